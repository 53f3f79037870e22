package intake_test

import (
	"bytes"
	"crypto/fips140"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/crypto/intake"
)

var sealedAt = time.Date(2026, 11, 23, 17, 40, 1, 123_456_000, time.UTC)

func newKey(t testing.TB, institution string, version uint32) *intake.PrivateKey {
	t.Helper()
	seed := make([]byte, intake.SeedSize)
	rand.Read(seed)
	k, err := intake.NewPrivateKey(institution, version, intake.DefaultKEM(), seed)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func draft(n int) intake.Draft {
	return intake.Draft{Source: "app", SourceID: fmt.Sprintf("s-%d", n), Body: []byte(fmt.Sprintf(`{"fields":{"phone":"13800138000","narrative":"投诉 %d"}}`, n))}
}

func seal(t testing.TB, k *intake.PrivateKey, d intake.Draft) (intake.Envelope, intake.Receipt) {
	t.Helper()
	public, err := intake.ParsePublicKey(k.Public().Bundle())
	if err != nil {
		t.Fatal(err)
	}
	e, r, err := public.Seal(d, sealedAt)
	if err != nil {
		t.Fatal(err)
	}
	return e, r
}

func TestDraftComesBack(t *testing.T) {
	t.Parallel()
	k := newKey(t, "demo-bank", 3)
	for _, body := range [][]byte{{0}, []byte("x"), draft(1).Body, bytes.Repeat([]byte("长"), 100_000), bytes.Repeat([]byte{0}, 1000), make([]byte, intake.MaxDraft)} {
		d := draft(1)
		d.Body = body
		e, r := seal(t, k, d)
		again, err := intake.ParseEnvelope(bytes.Clone(e.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		back, err := k.Open(again)
		if err != nil || !bytes.Equal(back, body) {
			t.Errorf("%d bytes came back as %d: %v", len(body), len(back), err)
		}
		if again.Institution() != "demo-bank" || again.Version() != 3 || !again.SealedAt().Equal(sealedAt) || !r.Of(again) {
			t.Errorf("the head came back as %s, %d, %s", again.Institution(), again.Version(), again.SealedAt())
		}
		if len(body) > 20 && bytes.Contains(e.Bytes(), body[:20]) && body[0] != 0 {
			t.Error("the draft stands in the envelope")
		}
	}
}

func TestTheSameSeedIsTheSameKey(t *testing.T) {
	t.Parallel()
	seed := bytes.Repeat([]byte{7}, intake.SeedSize)
	a, err := intake.NewPrivateKey("demo-bank", 1, intake.DefaultKEM(), seed)
	if err != nil {
		t.Fatal(err)
	}
	b, err := intake.NewPrivateKey("demo-bank", 1, intake.DefaultKEM(), bytes.Clone(seed))
	if err != nil || a.Public().Fingerprint() != b.Public().Fingerprint() {
		t.Fatalf("two keys of one seed: %v", err)
	}
	e, _ := seal(t, a, draft(1))
	if _, err := b.Open(e); err != nil {
		t.Error(err)
	}
}

func TestOtherKeysDoNotOpen(t *testing.T) {
	t.Parallel()
	k := newKey(t, "demo-bank", 1)
	e, _ := seal(t, k, draft(1))
	for name, c := range map[string]struct {
		key  *intake.PrivateKey
		want error
	}{
		"another institution": {newKey(t, "other-bank", 1), intake.ErrForeign},
		"another version":     {newKey(t, "demo-bank", 2), intake.ErrVersion},
		"another key":         {newKey(t, "demo-bank", 1), intake.ErrOpen},
	} {
		if got, err := c.key.Open(e); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := k.Open(intake.Envelope{}); !errors.Is(err, intake.ErrMalformed) {
		t.Errorf("no envelope: %v", err)
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	t.Parallel()
	k := newKey(t, "demo-bank", 1)
	e, _ := seal(t, k, draft(1))
	for i := range e.Bytes() {
		raw := bytes.Clone(e.Bytes())
		raw[i] ^= 1
		changed, err := intake.ParseEnvelope(raw)
		if err == nil {
			_, err = k.Open(changed)
		}
		if err == nil {
			t.Errorf("bit flipped in byte %d: it opens", i)
		}
	}
	for n := range len(e.Bytes()) {
		cut, err := intake.ParseEnvelope(e.Bytes()[:n])
		if err == nil {
			_, err = k.Open(cut)
		}
		if err == nil {
			t.Errorf("cut to %d bytes: it opens", n)
		}
	}
	if _, err := intake.ParseEnvelope(append(bytes.Clone(e.Bytes()), 0)); err == nil {
		longer, _ := intake.ParseEnvelope(append(bytes.Clone(e.Bytes()), 0))
		if _, err := k.Open(longer); err == nil {
			t.Error("extended: it opens")
		}
	}
}

func TestLengthsTellLittle(t *testing.T) {
	t.Parallel()
	k := newKey(t, "demo-bank", 1)
	sizes := map[int]bool{}
	for n := 1000; n < 1500; n++ {
		d := draft(1)
		d.Body = bytes.Repeat([]byte("x"), n)
		e, _ := seal(t, k, d)
		sizes[len(e.Bytes())] = true
		if over := len(e.Bytes()) - n - 1200; over > n/8 {
			t.Fatalf("%d bytes are %d longer", n, over)
		}
	}
	if len(sizes) > 12 {
		t.Errorf("500 lengths show as %d", len(sizes))
	}
}

func TestKeysAndReceiptsAreReadStrictly(t *testing.T) {
	t.Parallel()
	k := newKey(t, "demo-bank", 1)
	bundle := string(k.Public().Bundle())
	for name, bad := range map[string]string{
		"empty": "", "a space": strings.Replace(bundle, ":", ": ", 1), "a line end": bundle + "\n", "another format": strings.Replace(bundle, "key/1", "key/2", 1),
		"version 0": strings.Replace(bundle, `"version":1`, `"version":0`, 1), "no institution": strings.Replace(bundle, "demo-bank", "", 1),
		"upper case": strings.Replace(bundle, "demo-bank", "Demo-bank", 1), "half a key": bundle[:40], "another KEM": strings.Replace(bundle, `"kem":`, `"kem":1`, 1),
	} {
		if _, err := intake.ParsePublicKey([]byte(bad)); !errors.Is(err, intake.ErrMalformed) {
			t.Errorf("key, %s: %v", name, err)
		}
	}
	_, r := seal(t, k, draft(1))
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back intake.Receipt
	if err := json.Unmarshal(line, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(back, r); diff != "" || r.KeySHA256 != k.Public().Fingerprint() {
		t.Error(diff)
	}
	for _, bad := range []string{"{}", strings.Replace(string(line), "receipt/1", "receipt/2", 1), strings.Replace(string(line), `"s-1"`, `"s 1"`, 1)} {
		if err := json.Unmarshal([]byte(bad), &back); !errors.Is(err, intake.ErrMalformed) {
			t.Errorf("receipt %s: %v", bad, err)
		}
	}
}

func TestSealRefusesWhatCannotBeTaken(t *testing.T) {
	t.Parallel()
	k := newKey(t, "demo-bank", 1)
	for name, change := range map[string]func(*intake.Draft){
		"empty": func(d *intake.Draft) { d.Body = nil }, "too long": func(d *intake.Draft) { d.Body = make([]byte, intake.MaxDraft+1) },
		"no source": func(d *intake.Draft) { d.Source = "" }, "a wild source id": func(d *intake.Draft) { d.SourceID = "张三" },
	} {
		d := draft(1)
		change(&d)
		if _, _, err := k.Public().Seal(d, sealedAt); err == nil {
			t.Errorf("%s was sealed", name)
		}
	}
	if _, err := intake.NewPrivateKey("demo-bank", 1, intake.DefaultKEM(), make([]byte, 31)); err == nil {
		t.Error("a short seed was taken")
	}
	if _, err := intake.NewPrivateKey("demo-bank", 1, 0x0020, make([]byte, 32)); err == nil {
		t.Error("a KEM without ML-KEM was taken")
	}
}

func TestPrivateKeysDoNotPrint(t *testing.T) {
	t.Parallel()
	k := newKey(t, "demo-bank", 1)
	raw, err := json.Marshal(map[string]any{"key": k})
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %x", k, k, k, k, k), string(raw), fmt.Sprint(err)} {
		if strings.Contains(strings.NewReplacer("[sealed]", "", "map", "", "key", "").Replace(text), "0x") || len(text) > 80 {
			t.Errorf("printed as %s", text)
		}
	}
}

func TestSpoolKeepsWhatItAnsweredFor(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := intake.OpenSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	k := newKey(t, "demo-bank", 1)
	var want []string
	for n := range 3 {
		e, r := seal(t, k, draft(n))
		if err := s.Put(e, r); err != nil {
			t.Fatal(err)
		}
		if err := s.Put(e, r); err != nil { // a client that was not sure
			t.Fatal(err)
		}
		want = append(want, r.SourceID)
	}
	// A crash between envelope and receipt, and one in the middle of a file.
	e, _ := seal(t, k, draft(9))
	write(t, filepath.Join(dir, "20991231T000000.000000-x.envelope"), e.Bytes())
	write(t, filepath.Join(dir, "y.envelope.1.part"), e.Bytes()[:10])
	write(t, filepath.Join(dir, "zz.envelope"), []byte("broken"))
	again, err := intake.OpenSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen, noReceipt, broken := map[string]bool{}, 0, 0
	for kept, err := range again.Waiting() {
		switch {
		case errors.Is(err, intake.ErrMalformed):
			broken++
			if err := again.Refused(kept, "malformed"); err != nil {
				t.Fatal(err)
			}
		case err != nil:
			t.Fatal(err)
		case kept.Receipt == nil:
			noReceipt++
		default:
			seen[kept.Receipt.SourceID] = true
			if _, err := k.Open(kept.Envelope); err != nil {
				t.Error(err)
			}
			if err := again.Done(kept); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(seen) != len(want) || noReceipt != 1 || broken != 1 {
		t.Errorf("%d with receipt, %d without, %d broken", len(seen), noReceipt, broken)
	}
	for folder, n := range map[string]int{"done": 6, "refused": 2} {
		if files, _ := os.ReadDir(filepath.Join(dir, folder)); len(files) != n {
			t.Errorf("%s holds %d files, want %d", folder, len(files), n)
		}
	}
	if parts, err := again.Unfinished(0); err != nil || len(parts) != 1 {
		t.Errorf("half-written files: %v, %v", parts, err)
	}
	e1, _ := seal(t, k, draft(1))
	_, r2 := seal(t, k, draft(2))
	if s.Put(e1, r2) == nil {
		t.Error("an envelope was kept with another one's receipt")
	}
}

func write(t *testing.T, name string, contents []byte) {
	t.Helper()
	if err := os.WriteFile(name, contents, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskIsAnError(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := intake.OpenSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	e, r := seal(t, newKey(t, "demo-bank", 1), draft(1))
	if err := s.Put(e, r); err == nil {
		t.Error("an envelope was said to be kept in a folder that is gone")
	}
}

// TestUnderFIPSOnly runs the tests of sealing again where Go allows approved
// algorithms only.
func TestUnderFIPSOnly(t *testing.T) {
	if fips140.Enforced() {
		if intake.DefaultKEM() != intake.MLKEM768P256 {
			t.Error("the KEM is not an approved one")
		}
		return
	}
	t.Parallel()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^(TestUnderFIPSOnly|TestDraftComesBack|TestOtherKeysDoNotOpen|TestEveryFlippedBitIsRefused)$", "-test.timeout=60s")
	again.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func FuzzParseEnvelope(f *testing.F) {
	k := newKey(f, "demo-bank", 1)
	e, _ := seal(f, k, draft(1))
	f.Add(e.Bytes())
	f.Add([]byte("sti1"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := intake.ParseEnvelope(raw)
		if err != nil {
			if !errors.Is(err, intake.ErrMalformed) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if _, err := k.Open(got); err == nil && !bytes.Equal(raw, e.Bytes()) {
			t.Error("something else opens")
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add(newKey(f, "demo-bank", 1).Public().Bundle())
	f.Fuzz(func(t *testing.T, raw []byte) {
		if k, err := intake.ParsePublicKey(raw); err == nil && !bytes.Equal(k.Bundle(), raw) {
			t.Error("two spellings of one key")
		}
	})
}
