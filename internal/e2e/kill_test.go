package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// killRounds multiplies the rounds of the kill tests.
func killRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SEALTRAIL_KILL_ROUNDS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatal("SEALTRAIL_KILL_ROUNDS: want a number from 1")
	}
	return n
}

// TestKilledServiceLosesNothingAcknowledged kills the service with SIGKILL
// while eight callers hammer it, several times.
func TestKilledServiceLosesNothingAcknowledged(t *testing.T) {
	in := rough(t)
	l := newLoad(t, in)
	for range 3 * killRounds(t) {
		l.survive(func() {
			must(t, in.KillService())
			must(t, in.StartService(t.Context()))
		})
	}
	t.Logf("acknowledged %v; refused %v", l.by, l.outages)
}

// TestKilledDatabaseLosesNothingAcknowledged kills PostgreSQL with SIGKILL
// under the same load. The service is not restarted: it heals.
func TestKilledDatabaseLosesNothingAcknowledged(t *testing.T) {
	in := rough(t)
	l := newLoad(t, in)
	pid := in.ServicePid()
	for range 2 * killRounds(t) {
		l.survive(func() {
			must(t, in.PG.Kill())
			must(t, in.PG.Restart(t.Context()))
		})
	}
	if got := in.ServicePid(); got != pid || got == 0 {
		t.Errorf("the service was process %d and is %d: it did not heal by itself", pid, got)
	}
	if limit := 3 * time.Second; l.slowest > limit {
		t.Errorf("a refusal took %s, want at most %s", l.slowest, limit)
	}
	t.Logf("acknowledged %v; refused %v, slowest %s", l.by, l.outages, l.slowest)
}

// TestPowerFailureLosesNothingAcknowledged kills service, PostgreSQL and Vault
// together, as far as a machine that goes on can imitate one that does not.
func TestPowerFailureLosesNothingAcknowledged(t *testing.T) {
	in := rough(t)
	l := newLoad(t, in)
	for range killRounds(t) {
		l.survive(func() {
			must(t, in.PG.Kill())
			must(t, in.Vault.Kill())
			must(t, in.KillService())
			must(t, in.PG.Restart(t.Context()))
			must(t, in.Vault.Restart(t.Context()))
			must(t, in.Vault.Unseal(t.Context()))
			must(t, in.StartService(t.Context()))
		})
	}
	t.Logf("acknowledged %v; refused %v", l.by, l.outages)
}

// survive runs a catastrophe in the middle of the load and checks everything
// that was ever acknowledged.
func (l *load) survive(catastrophe func()) {
	l.t.Helper()
	pinned := l.saveCheckpoint()
	stop := l.run()
	l.more(15)
	catastrophe()
	l.more(8)
	stop()
	for _, f := range l.failures {
		l.t.Errorf("under load: %s", f)
	}
	l.check(pinned)
}

// saveCheckpoint keeps the checkpoint as an auditor does.
func (l *load) saveCheckpoint() (file string) {
	l.t.Helper()
	eventually(l.t, "a first checkpoint", func() bool { return l.checkpointSize() > 0 })
	raw, err := os.ReadFile(filepath.Join(l.LogDir(), "checkpoint"))
	must(l.t, err)
	file = filepath.Join(l.t.TempDir(), "checkpoint")
	must(l.t, os.WriteFile(file, raw, 0o600))
	return file
}

// check compares what was acknowledged with the published log and the store.
func (l *load) check(pinned string) {
	l.t.Helper()
	l.published(l.t, slices.MaxFunc(l.acts, func(a, b acknowledged) int { return int(a.entry) - int(b.entry) }).entry)
	entries := l.entries(pinned)
	for _, a := range l.acts {
		switch got, ok := entries[a.entry]; {
		case !ok:
			l.t.Errorf("entry %d (%s) was acknowledged and is not in the log", a.entry, a.kind)
		case got != a:
			l.t.Errorf("entry %d: the log holds %+v, acknowledged was %+v", a.entry, got, a)
		}
	}
	l.readAll()
	l.checkCommands(pinned)
	l.checkWhole()
}

// entries verifies the published log against the pinned checkpoint and returns
// its entries as callers were told of them.
func (l *load) entries(pinned string) map[uint64]acknowledged {
	l.t.Helper()
	saved, err := os.ReadFile(pinned)
	must(l.t, err)
	seq, report := verify.Entries(context.Background(), os.DirFS(l.LogDir()), verify.Options{VerifierKey: l.LogKey, Pinned: [][]byte{saved}})
	found := map[uint64]acknowledged{}
	for leaf, err := range seq {
		must(l.t, err)
		found[leaf.ID] = describe(leaf)
	}
	if r := report(); r == nil || !r.OK() {
		l.t.Fatalf("the published log does not verify: %+v", r)
	}
	return found
}

func describe(leaf audit.Leaf) acknowledged {
	sum := sha256.Sum256(leaf.RawBody)
	return acknowledged{leaf.ID, hex.EncodeToString(sum[:]), leaf.Body.Subject, leaf.Body.Kind, string(leaf.Body.Stage)}
}

// readAll reads every acknowledged complaint back.
func (l *load) readAll() {
	l.t.Helper()
	var group errgroup.Group
	group.SetLimit(workers)
	for _, id := range slices.Sorted(maps.Keys(l.created)) {
		group.Go(func() error {
			v := ok[custody.View](l.t, l.installation, call{who: "intake-li", method: "GET", path: complaintPath(id)})
			i := slices.IndexFunc(v.Fields, func(f custody.FieldView) bool { return f.Name == "phone" })
			if v.Revision < l.created[id] || i < 0 || v.Fields[i].Value != "138****8000" {
				l.t.Errorf("%s: got revision %d, acknowledged was %d, fields %v", id, v.Revision, l.created[id], v.Fields)
			}
			return nil
		})
	}
	must(l.t, group.Wait())
}

// checkCommands runs what an operator and an auditor run.
func (l *load) checkCommands(pinned string) {
	l.t.Helper()
	if out, code := l.installation.run(l.t, "trailcheck", "verify", "--key", l.KeyFile(), "--pinned", pinned, l.LogDir()); code != 0 {
		l.t.Errorf("trailcheck verify: exit code %d\n%s", code, out)
	}
	out, code := l.installation.run(l.t, "sealtraild", "trail", "check", "--institution", "demo-bank",
		"--database-url-file", filepath.Join(l.Dir(), "credentials", "database-url"), "--published", l.Published())
	if code != 0 {
		l.t.Errorf("sealtraild trail check: exit code %d\n%s", code, out)
	}
}

// checkWhole looks for halves: a complaint is its row, its key and its entry.
func (in *installation) checkWhole(t testing.TB) {
	t.Helper()
	for what, query := range map[string]string{
		"complaints without a key":           `select count(*) from sealtrail.complaint c where not exists (select from keys.wrapped w where w.complaint = c.id)`,
		"keys without a complaint":           `select count(*) from keys.wrapped w where not exists (select from sealtrail.complaint c where c.id = w.complaint)`,
		"complaints without an entry":        `select count(*) from sealtrail.complaint c where not exists (select from audit.entry e where e.subject = 'complaint:' || c.id and convert_from(e.body, 'UTF8') like '%"complaint.recorded"%')`,
		"complaints without an index":        `select count(*) from sealtrail.complaint c where c.phone_sealed is not null and not exists (select from sealtrail.blind_index b where b.complaint = c.id and b.field = 'phone')`,
		"revisions without an entry of them": `select count(*) from sealtrail.complaint c where not exists (select from audit.entry e where e.subject = 'complaint:' || c.id and convert_from(e.body, 'UTF8') like '%"revision":"' || c.revision || '"%')`,
	} {
		if n := in.count(t, query); n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
}

func (l *load) checkWhole() {
	l.t.Helper()
	l.installation.checkWhole(l.t)
}
