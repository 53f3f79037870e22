package transit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

func TestMain(m *testing.M) { os.Exit(vaulttest.Main(m)) }

// service is a client logged in as the service of its own institution.
func service(t testing.TB, v *vaulttest.Vault) (transit.Config, *transit.Login) {
	t.Helper()
	inst := vaulttest.Name("bank")
	role, secret := v.Institution(inst)
	client, err := transit.NewClient(transit.ClientConfig{Address: v.Addr, CACert: v.CACert})
	if err != nil {
		t.Fatal(err)
	}
	login, err := transit.NewLogin(transit.LoginConfig{Client: client, RoleID: role, SecretID: transit.StaticSecret(secret), Retry: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := login.Now(t.Context()); err != nil {
		t.Fatal(err)
	}
	return transit.Config{Client: client, Institution: inst, Login: login}, login
}

func newTransit(t testing.TB, cfg transit.Config) *transit.Transit {
	t.Helper()
	tr, err := transit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func newRing(t testing.TB, w keyring.Wrapper) *keyring.Keyring {
	t.Helper()
	k, err := keyring.New(keyring.Config{Wrapper: w, ProbeEvery: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func recordID(inst string, n int) keyring.RecordID {
	return keyring.RecordID{Institution: inst, Record: fmt.Sprint("rec-", n), Generation: 1}
}

func TestKeysThroughVault(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	w := newTransit(t, cfg)
	reqs := make([]keyring.MintRequest, 60)
	for i := range reqs {
		reqs[i] = keyring.MintRequest{ID: recordID(cfg.Institution, i), Reference: fmt.Sprint("entry-", i)}
	}
	var lends []keyring.LendRequest
	var envs [][]byte
	for i, r := range newRing(t, w).MintBatch(t.Context(), reqs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		if !strings.HasPrefix(r.Wrapped.Blob, "vault:v1:") || r.Wrapped.KeyVersion != 1 {
			t.Fatalf("wrapped %+v", r.Wrapped)
		}
		env, err := field.Seal(r.Lease.Key(), placeOf(reqs[i].ID), []byte(reqs[i].Reference), field.Short)
		if err != nil {
			t.Fatal(err)
		}
		r.Lease.Release()
		envs = append(envs, env)
		lends = append(lends, keyring.LendRequest{ID: reqs[i].ID, Wrapped: r.Wrapped, Reference: fmt.Sprint("read-", i)})
	}
	ring := newRing(t, w)
	for i, r := range ring.LendBatch(t.Context(), lends) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		p, err := field.Open(r.Lease.Key(), placeOf(reqs[i].ID), envs[i])
		if err != nil || string(p.Expose()) != reqs[i].Reference {
			t.Errorf("record %d: %v", i, err)
		}
		if r.Lease.Item() != i {
			t.Errorf("record %d is item %d", i, r.Lease.Item())
		}
		r.Lease.Release()
	}
	if s := ring.Stats(); s.Calls != 1 || s.Items != 60 {
		t.Errorf("stats %+v, want 60 items in 1 call", s)
	}
}

func placeOf(id keyring.RecordID) field.Place {
	return field.Place{Institution: id.Institution, Record: id.Record, RecordType: "t", Path: "p", Generation: id.Generation}
}

// TestVaultRefusesMovedAndChangedKeys: each bad item alone and among good ones.
func TestVaultRefusesMovedAndChangedKeys(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	w := newTransit(t, cfg)
	id := recordID(cfg.Institution, 0)
	l, wrapped, err := newRing(t, w).Mint(t.Context(), id, "e")
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	good := keyring.LendRequest{ID: id, Wrapped: wrapped, Reference: "good"}
	bad := map[string]keyring.LendRequest{}
	change := func(name string, f func(*keyring.LendRequest)) {
		r := good
		f(&r)
		bad[name] = r
	}
	change("record", func(r *keyring.LendRequest) { r.ID.Record += "0" })
	change("generation", func(r *keyring.LendRequest) { r.ID.Generation++ })
	change("institution", func(r *keyring.LendRequest) { r.ID.Institution += "0" })
	change("version", func(r *keyring.LendRequest) { r.Wrapped.Blob = strings.Replace(wrapped.Blob, ":v1:", ":v7:", 1) })
	change("prefix", func(r *keyring.LendRequest) { r.Wrapped.Blob = wrapped.Blob[6:] })
	change("no base64", func(r *keyring.LendRequest) { r.Wrapped.Blob = "vault:v1:***" })
	change("cut", func(r *keyring.LendRequest) { r.Wrapped.Blob = wrapped.Blob[:20] })
	change("commitment", func(r *keyring.LendRequest) { r.Wrapped.Commitment[31] ^= 1 })
	for i := len("vault:v1:"); i < len(wrapped.Blob); i += 7 {
		change(fmt.Sprint("byte ", i), func(r *keyring.LendRequest) {
			b := []byte(wrapped.Blob)
			b[i] = map[bool]byte{true: 'A', false: 'B'}[b[i] != 'A']
			r.Wrapped.Blob = string(b)
		})
	}
	ring := newRing(t, w)
	all := []keyring.LendRequest{good}
	for name, r := range bad {
		if _, err := newRing(t, w).Lend(t.Context(), r.Wrapped, r.ID, "alone"); !errors.Is(err, keyring.ErrIntegrity) {
			t.Errorf("%s alone: %v, want ErrIntegrity", name, err)
		}
		all = append(all, r)
	}
	for i, r := range ring.LendBatch(t.Context(), all) {
		if i == 0 && r.Err != nil || i > 0 && !errors.Is(r.Err, keyring.ErrIntegrity) {
			t.Errorf("item %d: %v", i, r.Err)
		}
	}
}

// TestRotatedAndRetiredKeys: after a rotation old keys open until the version
// is withdrawn; then the error says so.
func TestRotatedAndRetiredKeys(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	w := newTransit(t, cfg)
	id := recordID(cfg.Institution, 0)
	_, wrapped, err := newRing(t, w).Mint(t.Context(), id, "e")
	if err != nil {
		t.Fatal(err)
	}
	root := v.Client(v.RootToken)
	write := func(path string, data map[string]any) {
		t.Helper()
		if _, err := root.Logical().WriteWithContext(t.Context(), "transit/keys/"+cfg.Institution+"-record/"+path, data); err != nil {
			t.Fatal(err)
		}
	}
	write("rotate", nil)
	if _, err := newRing(t, w).Lend(t.Context(), wrapped, id, "r"); err != nil {
		t.Errorf("after rotation: %v", err)
	}
	_, newer, err := newRing(t, w).Mint(t.Context(), recordID(cfg.Institution, 1), "e")
	if err != nil || newer.KeyVersion != 2 {
		t.Errorf("new key has version %d, %v", newer.KeyVersion, err)
	}
	write("config", map[string]any{"min_decryption_version": 2})
	if _, err := newRing(t, w).Lend(t.Context(), wrapped, id, "r"); !errors.Is(err, keyring.ErrRetired) {
		t.Errorf("retired version: %v, want ErrRetired", err)
	}
}

func TestTokensThroughVault(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	x, err := transit.NewIndexer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	makeEpoch(t, v, cfg.Institution, 2)
	item := func(f string, epoch uint32, value string) transit.IndexItem {
		return transit.IndexItem{Field: f, Epoch: epoch, Normalised: []byte(value), Reference: "e-1"}
	}
	items := []transit.IndexItem{item("phone", 1, "+8613800138000"), item("phone", 1, "+8613800138001"),
		item("fax", 1, "+8613800138000"), item("phone", 2, "+8613800138000")}
	first, err := x.Tokens(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	again, err := x.Tokens(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range first {
		if len(first[i]) != blindindex.TokenSize || !bytes.Equal(first[i], again[i]) {
			t.Errorf("token %d: %d bytes, stable %v", i, len(first[i]), bytes.Equal(first[i], again[i]))
		}
		seen[string(first[i])] = true
	}
	if len(seen) != len(items) {
		t.Errorf("%d different tokens of %d items", len(seen), len(items))
	}
	if none, err := x.Tokens(t.Context(), nil); none != nil || err != nil {
		t.Errorf("no items: %v, %v", none, err)
	}
	if _, err := x.Tokens(t.Context(), []transit.IndexItem{{Field: "phone"}}); err == nil {
		t.Error("an empty value got a token")
	}
}

func TestConcurrentTokensShareCalls(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	x, err := transit.NewIndexer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := x.Tokens(t.Context(), []transit.IndexItem{{Field: "f", Normalised: []byte(fmt.Sprint(i))}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestCheckpointSignature(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	s, err := transit.NewCheckpointSigner(t.Context(), cfg, "sealtrail.example/bank/2026")
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(s.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	msg := []byte("sealtrail.example/bank/2026\n5\nAAAA\n")
	sig, err := s.Sign(t.Context(), msg)
	if err != nil || len(sig) != 64 || !verifier.Verify(msg, sig) || verifier.Name() != s.Name() || s.KeyVersion() != 1 {
		t.Errorf("Sign = %d bytes, %v", len(sig), err)
	}
	if verifier.Verify(append(msg, '\n'), sig) {
		t.Error("signature holds for another message")
	}
	// A rotation must not change who signs.
	root := v.Client(v.RootToken)
	if _, err := root.Logical().WriteWithContext(t.Context(), "transit/keys/"+cfg.Institution+"-log/rotate", nil); err != nil {
		t.Fatal(err)
	}
	if sig, err := s.Sign(t.Context(), msg); err != nil || !verifier.Verify(msg, sig) {
		t.Errorf("after rotation: %v", err)
	}
	cfg.Institution = "nobody"
	if _, err := transit.NewCheckpointSigner(t.Context(), cfg, "n"); !errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("a key that is not ours: %v, want ErrUnavailable", err)
	}
}

// TestRevokedTokenVoidsAndHeals: the kill switch of an operator, then a new
// login by itself.
func TestRevokedTokenVoidsAndHeals(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, login := service(t, v)
	w := newTransit(t, cfg)
	ring := newRing(t, w)
	id := recordID(cfg.Institution, 0)
	l, wrapped, err := ring.Mint(t.Context(), id, "e")
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	revoke(t, v, cfg.Client)
	if err := w.Probe(t.Context()); keyring.CauseOf(err) != keyring.CauseDenied {
		t.Errorf("probe with a revoked token: %v, want denied", err)
	}
	if _, err := ring.Lend(t.Context(), wrapped, recordID(cfg.Institution, 5), "r"); keyring.CauseOf(err) != keyring.CauseDenied {
		t.Errorf("revoked token: %v, want denied", err)
	}
	if ring.HasLive(id) {
		t.Error("lease survives the revocation")
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = login.Run(ctx) })
	eventually(t, "a new login", func() bool { return w.Probe(t.Context()) == nil })
	if _, err := ring.Lend(t.Context(), wrapped, id, "r"); err != nil {
		t.Errorf("healed: %v", err)
	}
	stop()
	wg.Wait()
}

func revoke(t *testing.T, v *vaulttest.Vault, c *api.Client) {
	t.Helper()
	_, err := v.Client(v.RootToken).Logical().WriteWithContext(t.Context(), "auth/token/revoke", map[string]any{"token": c.Token()})
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what another goroutine brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not happen within 20 s", what)
		}
	}
}
