package transit_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// write is an operator's call.
func write(t *testing.T, v *vaulttest.Vault, path string, data map[string]any) {
	t.Helper()
	if _, err := v.Client(v.RootToken).Logical().WriteWithContext(t.Context(), path, data); err != nil {
		t.Fatal(err)
	}
}

// makeEpoch makes the index key of a later epoch, as an operator does.
func makeEpoch(t *testing.T, v *vaulttest.Vault, inst string, n int) {
	t.Helper()
	write(t, v, fmt.Sprintf("transit/keys/%s-index.%d", inst, n), map[string]any{"type": "hmac", "key_size": 32})
}

// TestRewrapKeepsTheKeyAndItsPlace: after a rotation each wrapped key comes to
// the newest version, still opens as the same key for its record alone, and one
// that does not open says so without touching its neighbours.
func TestRewrapKeepsTheKeyAndItsPlace(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	w := newTransit(t, cfg)
	var wrapped []keyring.Wrapped
	var items []transit.RewrapItem
	for i := range 4 {
		l, one, err := newRing(t, w).Mint(t.Context(), recordID(cfg.Institution, i), "e")
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		wrapped = append(wrapped, one)
		items = append(items, transit.RewrapItem{Reference: fmt.Sprint("key-", i), Context: recordID(cfg.Institution, i).Context(), Blob: one.Blob})
	}
	write(t, v, "transit/keys/"+cfg.Institution+"-record/rotate", nil)
	items[1].Context = recordID(cfg.Institution, 9).Context() // another record's
	items[2].Blob = "vault:v1:AAAA"                           // cut
	got, err := w.Rewrap(t.Context(), "batch", items)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 2} {
		if !errors.Is(got[i].Err, keyring.ErrIntegrity) || got[i].Blob != "" {
			t.Errorf("item %d: %+v, want ErrIntegrity alone", i, got[i])
		}
	}
	for _, i := range []int{0, 3} {
		if got[i].Err != nil || got[i].KeyVersion != 2 || got[i].Blob == wrapped[i].Blob {
			t.Fatalf("item %d: version %d, %v", i, got[i].KeyVersion, got[i].Err)
		}
		w2 := keyring.Wrapped{Blob: got[i].Blob, Commitment: wrapped[i].Commitment, KeyVersion: 2}
		if _, err := newRing(t, w).Lend(t.Context(), w2, recordID(cfg.Institution, i), "r"); err != nil {
			t.Errorf("rewrapped key %d: %v", i, err)
		}
		if _, err := newRing(t, w).Lend(t.Context(), w2, recordID(cfg.Institution, 7), "r"); !errors.Is(err, keyring.ErrIntegrity) {
			t.Errorf("rewrapped key %d for another record: %v", i, err)
		}
	}
	write(t, v, "transit/keys/"+cfg.Institution+"-record/config", map[string]any{"min_decryption_version": 2})
	got, err = w.Rewrap(t.Context(), "batch", []transit.RewrapItem{{Context: items[0].Context, Blob: wrapped[0].Blob}})
	if err != nil || !errors.Is(got[0].Err, keyring.ErrRetired) {
		t.Errorf("a retired version: %+v, %v; want ErrRetired", got, err)
	}
}

// TestKeyInfoReadsBackWhatAnOperatorChanged.
func TestKeyInfoReadsBackWhatAnOperatorChanged(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	w := newTransit(t, cfg)
	began := time.Now().Add(-time.Minute)
	info, err := w.KeyInfo(t.Context(), "record")
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != cfg.Institution+"-record" || info.Type != "aes256-gcm96" || !info.Derived || info.Exportable || info.AllowPlaintextBackup ||
		info.DeletionAllowed || info.LatestVersion != 1 || info.MinDecryptionVersion != 1 || info.MinEncryptionVersion != 0 || info.MinAvailableVersion != 0 {
		t.Errorf("untouched key: %+v", info)
	}
	if at := info.Created[1]; at.Before(began) || at.After(time.Now().Add(time.Minute)) {
		t.Errorf("version 1 was made at %v", at)
	}
	path := "transit/keys/" + cfg.Institution + "-record/"
	write(t, v, path+"rotate", nil)
	write(t, v, path+"rotate", nil)
	write(t, v, path+"config", map[string]any{"min_decryption_version": 2, "min_encryption_version": 3, "exportable": true, "deletion_allowed": true, "allow_plaintext_backup": true})
	write(t, v, path+"trim", map[string]any{"min_available_version": 2})
	if info, err = w.KeyInfo(t.Context(), "record"); err != nil {
		t.Fatal(err)
	}
	if !info.Exportable || !info.AllowPlaintextBackup || !info.DeletionAllowed || info.LatestVersion != 3 ||
		info.MinDecryptionVersion != 2 || info.MinEncryptionVersion != 3 || info.MinAvailableVersion != 2 || len(info.Created) != 2 {
		t.Errorf("changed key: %+v", info)
	}
	for suffix, kind := range map[string]string{"index": "hmac", "log": "ed25519"} {
		if info, err := w.KeyInfo(t.Context(), suffix); err != nil || info.Type != kind || info.LatestVersion != 1 || kind != "hmac" && len(info.Created) != 1 {
			t.Errorf("%s: %+v, %v", suffix, info, err)
		}
	}
	makeEpoch(t, v, cfg.Institution, 2)
	if info, err := w.KeyInfo(t.Context(), "index.2"); err != nil || info.Name != cfg.Institution+"-index.2" {
		t.Errorf("later epoch: %+v, %v", info, err)
	}
	if _, err := w.KeyInfo(t.Context(), "index.3"); keyring.CauseOf(err) != keyring.CauseRejected {
		t.Errorf("a key that is not there: %v, want rejected", err)
	}
	if _, err := w.KeyInfo(t.Context(), "other"); keyring.CauseOf(err) != keyring.CauseDenied {
		t.Errorf("a key that is not the service's: %v, want denied", err)
	}
}

// TestEpochsHaveKeysOfTheirOwn: what one epoch's key computes is nothing to
// another, mixed epochs keep their order, and an epoch without a key fails.
func TestEpochsHaveKeysOfTheirOwn(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	x, err := transit.NewIndexer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	makeEpoch(t, v, cfg.Institution, 2)
	makeEpoch(t, v, cfg.Institution, 30)
	var items []transit.IndexItem
	for i := range 60 {
		items = append(items, transit.IndexItem{Field: "phone", Epoch: []uint32{1, 2, 30}[i%3], Normalised: []byte(fmt.Sprint("v", i/3))})
	}
	mixed, err := x.Tokens(t.Context(), items)
	if err != nil {
		t.Fatal(err)
	}
	for i, it := range items {
		alone, err := x.Tokens(t.Context(), []transit.IndexItem{it})
		if err != nil || !bytes.Equal(alone[0], mixed[i]) {
			t.Fatalf("item %d of epoch %d is not the token it has alone (%v)", i, it.Epoch, err)
		}
	}
	if tokens, err := x.Tokens(t.Context(), []transit.IndexItem{items[0], {Field: "phone", Epoch: 4, Normalised: []byte("v")}}); tokens != nil || !errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("an epoch without a key: %d tokens, %v", len(tokens), err)
	}
	// The same input under another key: the key itself must differ, not only
	// the epoch in the input.
	root := v.Client(v.RootToken)
	raw := func(key string) string {
		s, err := root.Logical().WriteWithContext(t.Context(), "transit/hmac/"+key, map[string]any{"input": "AAAA"})
		if err != nil {
			t.Fatal(err)
		}
		return s.Data["hmac"].(string)
	}
	if raw(cfg.Institution+"-index") == raw(cfg.Institution+"-index.2") {
		t.Error("two epochs share a key")
	}
}
