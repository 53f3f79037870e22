package transit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// outage is a service whose Vault the test may stop and seal.
type outage struct {
	t       *testing.T
	vault   *vaulttest.Vault
	master  *transit.Transit
	ring    *keyring.Keyring
	index   *transit.Indexer
	wrapped keyring.Wrapped
	id      keyring.RecordID
	cold    keyring.RecordID
	coldKey keyring.Wrapped
}

func newOutage(t *testing.T) *outage {
	v := vaulttest.Private(t)
	cfg, login := service(t, v)
	master := newTransit(t, cfg)
	o := &outage{t: t, vault: v, master: master, ring: newRing(t, master), id: recordID(cfg.Institution, 0), cold: recordID(cfg.Institution, 1)}
	var err error
	if o.index, err = transit.NewIndexer(cfg); err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		id keyring.RecordID
		w  *keyring.Wrapped
	}{{o.id, &o.wrapped}, {o.cold, &o.coldKey}} {
		l, w, err := o.ring.Mint(t.Context(), r.id, "e")
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		*r.w = w
	}
	o.ring.Void(o.cold)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = o.ring.Run(ctx) })
	wg.Go(func() { _ = login.Run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait() })
	return o
}

func (o *outage) refused(what string) {
	o.t.Helper()
	start := time.Now()
	if _, err := o.ring.Lend(o.t.Context(), o.coldKey, o.cold, "r"); !errors.Is(err, keyring.ErrUnavailable) {
		o.t.Errorf("%s: cold key: %v, want ErrUnavailable", what, err)
	}
	if _, err := o.index.Tokens(o.t.Context(), []transit.IndexItem{{Field: "f", Normalised: []byte("v")}}); !errors.Is(err, keyring.ErrUnavailable) {
		o.t.Errorf("%s: tokens: %v, want ErrUnavailable", what, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		o.t.Errorf("%s: refusing two calls took %v", what, took)
	}
}

func (o *outage) heals(what string) {
	o.t.Helper()
	start := time.Now()
	eventually(o.t, what, func() bool {
		l, err := o.ring.Lend(o.t.Context(), o.coldKey, o.cold, "r")
		l.Release()
		return err == nil
	})
	eventually(o.t, what+": tokens", func() bool {
		_, err := o.index.Tokens(o.t.Context(), []transit.IndexItem{{Field: "f", Normalised: []byte("v")}})
		return err == nil
	})
	// 2 s is promised, and shown in fake time (TestCircuitOpensAndClosesByItself);
	// here a Vault and all other tests share the machine.
	took := time.Since(start)
	o.t.Logf("%s: after %v", what, took)
	if took > 6*time.Second {
		o.t.Errorf("%s: healed %v after Vault did, want 2 s on an idle machine", what, took)
	}
	o.ring.Void(o.cold)
}

// TestVaultStopsAndComesBack: leases outlive an unreachable Vault, cold keys
// are refused in time, and all heals without a restart of ours. Vault is killed:
// one that is asked to stop seals itself first, and a probe in that moment is
// answered "sealed", which voids (TestVaultThatIsToldToStop).
func TestVaultStopsAndComesBack(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	if _, err := o.ring.Lend(t.Context(), o.wrapped, o.id, "r"); err != nil {
		t.Fatal(err)
	}
	if err := o.vault.Server.Kill(); err != nil {
		t.Fatal(err)
	}
	o.refused("stopped")
	if l, err := o.ring.Lend(t.Context(), o.wrapped, o.id, "r"); err != nil {
		t.Errorf("live lease while Vault is stopped: %v", err)
	} else {
		l.Release()
	}
	if err := o.vault.Server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.refused("restarted, still sealed")
	if err := o.vault.Server.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.heals("healing after a restart")
}

// TestVaultThatIsToldToStop says "sealed" for a moment, or nothing: a lease may
// live on or not, but nothing else is served, and all heals.
func TestVaultThatIsToldToStop(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	l, err := o.ring.Lend(t.Context(), o.wrapped, o.id, "r")
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
	if err := o.vault.Server.Stop(); err != nil {
		t.Fatal(err)
	}
	o.refused("stopped")
	if l, err := o.ring.Lend(t.Context(), o.wrapped, o.id, "r"); err == nil {
		l.Release()
	} else if !errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("%v, want a live lease or ErrUnavailable", err)
	}
	if err := o.vault.Server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := o.vault.Server.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.heals("healing after an orderly stop")
}

// TestSealedVaultVoidsAtOnce: sealing is an answer.
func TestSealedVaultVoidsAtOnce(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	if _, err := o.ring.Lend(t.Context(), o.wrapped, o.id, "r"); err != nil {
		t.Fatal(err)
	}
	if err := o.vault.Server.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "voiding", func() bool { return !o.ring.HasLive(o.id) })
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("sealing was seen after %v, want 2 s", took)
	}
	if c := keyring.CauseOf(o.ring.Health()); c != keyring.CauseSealed && c != keyring.CauseUnreachable {
		t.Errorf("health %v", o.ring.Health())
	}
	o.refused("sealed")
	if err := o.vault.Server.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.heals("healing after unsealing")
}

// TestFrozenVaultIsNoHang: the connection is there, the answer is not.
func TestFrozenVaultIsNoHang(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	if err := o.vault.Server.Pause(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the freeze", func() bool { // a stop signal takes its time to reach every thread
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return keyring.CauseOf(o.master.Probe(ctx)) == keyring.CauseDeadline
	})
	start := time.Now()
	_, err := o.ring.Lend(t.Context(), o.coldKey, o.cold, "r")
	if keyring.CauseOf(err) != keyring.CauseDeadline || time.Since(start) > 3*time.Second {
		t.Errorf("after %v: %v, want deadline after 2 s", time.Since(start), err)
	}
	if err := o.vault.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	o.heals("healing after a freeze")
}

// TestVaultsAuditLogHasBatchAndReferenceButNoValue: what reconciliation needs
// (contracts.md 5), and nothing more. Vault hashes references with its own key.
func TestVaultsAuditLogHasBatchAndReferenceButNoValue(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	ring := newRing(t, newTransit(t, cfg))
	l, _, err := ring.Mint(t.Context(), recordID(cfg.Institution, 0), "entry-4711")
	if err != nil {
		t.Fatal(err)
	}
	x, err := transit.NewIndexer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Tokens(t.Context(), []blindindex.Item{{Field: "phone", Normalised: []byte("CANARY-PHONE"), Reference: "entry-4712"}}); err != nil {
		t.Fatal(err)
	}
	hashed, err := v.Client(v.RootToken).Sys().AuditHash("file", "entry-4711")
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(v.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for line := range bytes.Lines(log) {
		if !bytes.Contains(line, []byte(l.Batch())) {
			continue
		}
		var e struct {
			Request struct {
				Path    string
				Headers map[string][]string
			}
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		found = found || strings.HasSuffix(e.Request.Path, "/encrypt/"+cfg.Institution+"-record") &&
			bytes.Contains(line, []byte(hashed)) && e.Request.Headers["x-correlation-id"] != nil
	}
	if !found {
		t.Errorf("no line of Vault's audit log has batch %s and the hash of its reference", l.Batch())
	}
	for _, marker := range []string{"CANARY-PHONE", "Q0FOQVJZ", "entry-4711"} {
		if bytes.Contains(log, []byte(marker)) {
			t.Errorf("Vault's audit log holds %q", marker)
		}
	}
}
