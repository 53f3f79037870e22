package disclosure_test

import (
	"bytes"
	"crypto/fips140"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/crypto/disclosure"
)

// header is a sound one.
func header() disclosure.Header {
	at := time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
	return disclosure.Header{Disclosure: "8b1f6a3c-0d0e-4c5e-9a51-0f1d2c3b4a59", Institution: "demo-bank", Scope: "record", Basis: "court_order",
		Purpose: "legal", Groups: []string{"contact", "identity"}, RecipientName: "某区人民法院", Watermark: "wm-abcdefgh",
		IssuedAt: at, ExpiresAt: at.AddDate(0, 1, 0), LogEntry: 4711, LogSHA256: strings.Repeat("ab", 32)}
}

func record(n int) disclosure.Record {
	return disclosure.Record{Type: "complaint", ID: fmt.Sprintf("c-%d", n), Revision: 3,
		Attributes: []disclosure.Field{{Name: "state", Value: []byte("closed")}, {Name: "channel", Value: []byte("web")}},
		Fields: []disclosure.Field{{Name: "phone", Value: []byte("13800138000")},
			{Name: "complainant_name", Value: []byte("张三丰 \"quoted\"\\ \t\n\x01 \u2028 𝄞")}},
		Withheld: []disclosure.Withheld{{Name: "id_number", Code: "policy_denied"}}}
}

func hybrid(t testing.TB) (*age.HybridIdentity, disclosure.Recipient) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip("fips140=only: age")
	}
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := disclosure.ParseRecipient(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	return id, to
}

// packed writes a package of two records, one left out, and one file.
func packed(t testing.TB, to disclosure.Recipient, file []byte) ([]byte, disclosure.Summary) {
	t.Helper()
	var sealed bytes.Buffer
	w, err := disclosure.NewWriter(&sealed, to, header())
	if err != nil {
		t.Fatal(err)
	}
	steps := []error{w.Record(record(1)), w.Withheld("c-2", "integrity"), w.Record(record(3)),
		w.File(disclosure.File{Record: "c-3", ID: "f-1", Field: "attachments", MediaType: "application/pdf", Name: "账单.pdf", Size: int64(len(file))}, bytes.NewReader(file)),
		w.Flush()}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes(), sum
}

// inner opens the age file and nothing more.
func inner(t testing.TB, sealed []byte, id age.Identity) []byte {
	t.Helper()
	r, err := age.Decrypt(bytes.NewReader(sealed), id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drain reads an inner file to its end.
func drain(plain []byte) ([]disclosure.Item, *disclosure.Reader, error) {
	r, err := disclosure.NewReader(bytes.NewReader(plain))
	if err != nil {
		return nil, nil, err
	}
	var items []disclosure.Item
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return items, r, nil
		}
		if err != nil {
			return items, r, err
		}
		items = append(items, item)
	}
}

func TestPackageComesBackWhole(t *testing.T) {
	t.Parallel()
	id, to := hybrid(t)
	file := bytes.Repeat([]byte("0123456789"), 12_345)
	sealed, sum := packed(t, to, file)
	if got := sha256.Sum256(sealed); got != sum.SHA256 || sum.Bytes != int64(len(sealed)) {
		t.Errorf("the summary is of another file: %x, %d bytes", sum.SHA256, sum.Bytes)
	}
	if bytes.Contains(sealed, []byte("13800138000")) {
		t.Error("a value stands in the sealed file")
	}
	items, r, err := drain(inner(t, sealed, id))
	if err != nil {
		t.Fatal(err)
	}
	want := header()
	want.RecipientSHA256 = to.Fingerprint()
	if diff := cmp.Diff(r.Header(), want); diff != "" {
		t.Error(diff)
	}
	var back []byte
	for _, item := range items {
		back = append(back, item.Chunk...)
	}
	if !bytes.Equal(back, file) {
		t.Errorf("the file came back as %d bytes", len(back))
	}
	one := record(1)
	got := items[0].Record
	if got == nil || string(got.Fields[0].Value) != string(one.Fields[1].Value) || got.Withheld[0] != one.Withheld[0] || got.Revision != 3 {
		t.Errorf("the first record came back as %+v", got)
	}
	if items[1].Withheld == nil || items[1].Withheld.Code != "integrity" {
		t.Errorf("a record left out is not said: %+v", items[1])
	}
	if diff := cmp.Diff(r.Trailer(), sum.Trailer); diff != "" {
		t.Error(diff)
	}
	if sum.Records != 2 || sum.Files != 1 || sum.Withheld["integrity"] != 1 {
		t.Errorf("counted %+v", sum.Trailer)
	}
}

func TestEveryLineCarriesTheWatermark(t *testing.T) {
	t.Parallel()
	id, to := hybrid(t)
	sealed, _ := packed(t, to, []byte("file"))
	for n, line := range bytes.Split(bytes.TrimSuffix(inner(t, sealed, id), []byte("\n")), []byte("\n")) {
		if !bytes.Contains(line, []byte(`"watermark":"wm-abcdefgh"`)) {
			t.Errorf("line %d has no watermark", n)
		}
	}
}

func TestCutOrChangedInnerFilesAreRefused(t *testing.T) {
	t.Parallel()
	id, to := hybrid(t)
	sealed, _ := packed(t, to, []byte("0123456789"))
	plain := inner(t, sealed, id)
	lines := bytes.SplitAfter(plain, []byte("\n"))
	lines = lines[:len(lines)-1]
	without := func(n int) []byte {
		return bytes.Join(append(append([][]byte{}, lines[:n]...), lines[n+1:]...), nil)
	}
	for n := range lines {
		if _, _, err := drain(without(n)); !errors.Is(err, disclosure.ErrBroken) {
			t.Errorf("without line %d: %v", n, err)
		}
	}
	swapped := append([][]byte{}, lines...)
	swapped[1], swapped[3] = swapped[3], swapped[1]
	cases := map[string][]byte{
		"two records swapped": bytes.Join(swapped, nil), "cut in the last line": plain[:len(plain)-1], "empty": nil,
		"something behind":   append(bytes.Clone(plain), 'x'),
		"twice":              append(bytes.Clone(plain), plain...),
		"a space":            bytes.Replace(plain, []byte(`"kind":"record"`), []byte(`"kind": "record"`), 1),
		"another watermark":  bytes.Replace(plain, []byte("wm-abcdefgh"), []byte("wm-abcdefgi"), 2),
		"another expiry":     bytes.Replace(plain, []byte("2026-12-23"), []byte("2027-12-23"), 1),
		"another key's case": bytes.Replace(plain, []byte(`"code":`), []byte(`"Code":`), 1),
		"a member twice":     bytes.Replace(plain, []byte(`"code":"integrity",`), []byte(`"code":"integrity","code":"integrity",`), 1),
		"a part too many":    bytes.Replace(plain, lines[5], append(bytes.Clone(lines[5]), lines[5]...), 1),
	}
	for name, changed := range cases {
		if _, _, err := drain(changed); !errors.Is(err, disclosure.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range plain {
		flipped := bytes.Clone(plain)
		flipped[i] ^= 1
		if _, _, err := drain(flipped); !errors.Is(err, disclosure.ErrBroken) {
			t.Errorf("bit flipped in byte %d: %v", i, err)
		}
	}
}

func TestCutSealedFilesAreRefused(t *testing.T) {
	t.Parallel()
	id, to := hybrid(t)
	sealed, _ := packed(t, to, bytes.Repeat([]byte("x"), 200_000))
	for _, n := range []int{0, 10, len(sealed) / 2, len(sealed) - 1} {
		r, err := disclosure.Open(bytes.NewReader(sealed[:n]), id)
		for err == nil {
			_, err = r.Next()
		}
		if isEnd(err) {
			t.Errorf("%d of %d bytes were read as a whole package", n, len(sealed))
		}
	}
}

// failing fails after n bytes.
type failing struct{ n int }

func (f *failing) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestAPackageThatFailedIsNeverClosed(t *testing.T) {
	t.Parallel()
	id, to := hybrid(t)
	w, err := disclosure.NewWriter(&failing{100_000}, to, header())
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		err = errors.Join(w.Record(record(1)), w.Flush())
	}
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("2,000 records into a full disk: %v", err)
	}
	if _, err := w.Close(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("closing it: %v", err)
	}
	for name, give := range map[string]func(*disclosure.Writer) error{
		"given up":      func(w *disclosure.Writer) error { w.Abort(); return errors.New("given up") },
		"a short file":  func(w *disclosure.Writer) error { return w.File(aFile(10), strings.NewReader("short")) },
		"a longer file": func(w *disclosure.Writer) error { return w.File(aFile(4), strings.NewReader("longer")) },
	} {
		var sealed bytes.Buffer
		w, err := disclosure.NewWriter(&sealed, to, header())
		if err != nil {
			t.Fatal(err)
		}
		if give(w) == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := w.Close(); err == nil {
			t.Errorf("%s: was closed all the same", name)
		}
		if r, err := disclosure.Open(&sealed, id); err == nil {
			if _, err = r.Next(); err == nil || isEnd(err) {
				t.Errorf("%s: what left reads as whole", name)
			}
		}
	}
}

func aFile(size int64) disclosure.File {
	return disclosure.File{Record: "c-3", ID: "f-1", Field: "recordings", MediaType: "audio/wav", Size: size}
}

func TestABadRecordLeavesThePackageUsable(t *testing.T) {
	t.Parallel()
	id, to := hybrid(t)
	var sealed bytes.Buffer
	w, err := disclosure.NewWriter(&sealed, to, header())
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]disclosure.Record{
		"not UTF-8":    {Type: "complaint", ID: "c-1", Fields: []disclosure.Field{{Name: "phone", Value: []byte{0xff}}}},
		"a name twice": {Type: "complaint", ID: "c-1", Fields: []disclosure.Field{{Name: "phone"}, {Name: "phone"}}},
		"a wild name":  {Type: "complaint", ID: "c-1", Fields: []disclosure.Field{{Name: `a":"b`}}},
		"an id of two": {Type: "complaint", ID: "c 1"},
	} {
		if err := w.Record(bad); !errors.Is(err, disclosure.ErrUnfit) {
			t.Errorf("%s was taken", name)
		}
	}
	if err := w.Record(record(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	items, _, err := drain(inner(t, sealed.Bytes(), id))
	if err != nil || len(items) != 1 {
		t.Errorf("%d records and %v", len(items), err)
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	pq, _ := hybrid(t)
	x, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for text, quantum := range map[string]bool{x.Recipient().String(): false, pq.Recipient().String(): true, " " + x.Recipient().String() + "\n": false} {
		r, err := disclosure.ParseRecipient(text)
		if err != nil || r.PostQuantum() != quantum || r.String() != strings.TrimSpace(text) || r.Fingerprint() != sha256.Sum256([]byte(r.String())) {
			t.Errorf("%s...: %v, %v", text[:10], r.PostQuantum(), err)
		}
	}
	key := x.Recipient().String()
	for text, code := range map[string]string{
		x.String(): "secret_key", pq.String(): "secret_key", strings.ToLower(x.String()): "secret_key", "AGE-PLUGIN-YUBIKEY-1Q": "secret_key",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI": "ssh_key", "ecdsa-sha2-nistp256 AAAA": "ssh_key", "-----BEGIN OPENSSH PRIVATE KEY-----": "ssh_key",
		"correct horse battery staple": "passphrase", "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t": "plugin_key",
		"": "malformed", key[:len(key)-1]: "malformed", key + "q": "malformed", key + "\n" + key: "malformed", "age1pq1zzz": "malformed", "hello": "malformed",
	} {
		_, err := disclosure.ParseRecipient(text)
		refused, ok := errors.AsType[*disclosure.RecipientError](err)
		if !ok || refused.Code != code {
			t.Errorf("%.12q: %v, want %s", text, err, code)
			continue
		}
		if len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats what was pasted: %v", err)
		}
	}
}

func TestHeadersAreChecked(t *testing.T) {
	t.Parallel()
	_, to := hybrid(t)
	if _, err := disclosure.NewWriter(io.Discard, disclosure.Recipient{}, header()); err == nil {
		t.Error("no recipient was taken")
	}
	for name, change := range map[string]func(*disclosure.Header){
		"no name":      func(h *disclosure.Header) { h.RecipientName = "" },
		"expired":      func(h *disclosure.Header) { h.ExpiresAt = h.IssuedAt },
		"no watermark": func(h *disclosure.Header) { h.Watermark = "" },
		"scope":        func(h *disclosure.Header) { h.Scope = "All of it" },
		"group":        func(h *disclosure.Header) { h.Groups = []string{"a b"} },
	} {
		h := header()
		change(&h)
		if _, err := disclosure.NewWriter(io.Discard, to, h); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// FuzzReader feeds inner files: whatever is accepted is what a Writer writes.
func FuzzReader(f *testing.F) {
	id, to := hybrid(f)
	sealed, _ := packed(f, to, []byte("file"))
	plain := inner(f, sealed, id)
	f.Add(plain)
	f.Add(plain[:len(plain)/2])
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		items, r, err := drain(data)
		if err != nil {
			if !errors.Is(err, disclosure.ErrBroken) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if n := int64(len(items)) + 1; r.Trailer().Lines != n || !bytes.HasSuffix(data, []byte("}\n")) {
			t.Errorf("%d lines were read as %d", r.Trailer().Lines, n)
		}
	})
}

// TestUnderFIPSOnly runs itself again where Go allows approved algorithms only:
// there, sealing is an error at once. (age itself would try for ever.)
func TestUnderFIPSOnly(t *testing.T) {
	if fips140.Enforced() {
		_, err := disclosure.ParseRecipient("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
		if err == nil || !strings.Contains(err.Error(), "fips140=only") {
			t.Errorf("a recipient was taken: %v", err)
		}
		if _, err = disclosure.NewWriter(io.Discard, disclosure.Recipient{}, header()); err == nil || !strings.Contains(err.Error(), "fips140=only") {
			t.Errorf("a package was begun: %v", err)
		}
		return
	}
	t.Parallel()
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUnderFIPSOnly$", "-test.timeout=20s")
	again.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// isEnd says that a package was read to its end; an error that wraps io.EOF is
// another thing.
func isEnd(err error) bool { return errors.Is(err, io.EOF) && !errors.Is(err, disclosure.ErrBroken) }
