package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/sandbox"
)

// withinDeadline is how soon an outage must be said: 2 s (audit.md, promise 2)
// and what two busy cores need beside it.
const withinDeadline = 2*time.Second + 900*time.Millisecond

// scene is what the probes work on.
type scene struct {
	in              *installation
	leased, cold    *custody.Created // the key of cold was never borrowed
	coldest, frozen *custody.Created // two more, so that no probe warms another's
}

// prepare files complaints of handler-chen, of which only one has its key
// borrowed: keys of a batch are given back at once, and restarting the service
// would forget the others'.
func prepare(t *testing.T, in *installation) *scene {
	t.Helper()
	s := &scene{in: in}
	for _, c := range []**custody.Created{&s.leased, &s.cold, &s.coldest, &s.frozen} {
		*c = in.assigned(t, draft(nil))
	}
	// Revoking a grant withdraws the borrowed key of its record.
	for _, c := range []*custody.Created{s.cold, s.coldest, s.frozen} {
		g := ok[custody.Grant](t, in, call{who: "auditor-he", method: "POST", path: "/v1/access-requests", body: map[string]any{
			"complaint": c.ID, "purpose": "audit", "groups": []string{"contact"}, "reason": "sample", "minutes": 5}})
		ok[custody.Grant](t, in, call{who: "dpo-xu", method: "POST", path: "/v1/access-requests/" + g.ID + "/revoke"})
	}
	s.lease(t)
	return s
}

// lease borrows the key of the leased complaint.
func (s *scene) lease(t *testing.T) {
	t.Helper()
	ok[custody.View](t, s.in, call{who: "intake-li", method: "GET", path: complaintPath(s.leased.ID)})
}

// probes are one call of each kind, by name.
func (s *scene) probes() map[string]call {
	reveal := map[string]any{"fields": []string{"phone"}, "reason": "call back"}
	return map[string]call{
		"create":            {who: "intake-li", method: "POST", path: "/v1/complaints", body: draft(nil)},
		"batch":             {who: "app-core", method: "POST", path: "/v1/complaints:batch", body: map[string]any{"items": []any{draft(nil), draft(nil)}}},
		"read":              {who: "intake-li", method: "GET", path: complaintPath(s.cold.ID)},
		"read, key leased":  {who: "intake-li", method: "GET", path: complaintPath(s.leased.ID)},
		"read metadata":     {who: "intake-li", method: "GET", path: complaintPath(s.cold.ID, "?view=meta")},
		"list":              {who: "intake-li", method: "GET", path: "/v1/complaints?page_size=5"},
		"search":            {who: "intake-li", method: "POST", path: "/v1/complaints:search", body: map[string]string{"field": "phone", "value": "13800138000"}},
		"reveal":            {who: "handler-chen", method: "POST", path: complaintPath(s.coldest.ID, "/reveals"), body: reveal},
		"amend":             {who: "handler-chen", method: "PATCH", path: complaintPath(s.frozen.ID), ifMatch: s.frozen.Revision, body: map[string]any{"fields": map[string]string{"demand": "refund"}}},
		"transition":        {who: "intake-li", method: "POST", path: complaintPath(s.frozen.ID, "/transitions"), ifMatch: s.frozen.Revision, body: map[string]any{"name": "respond"}},
		"trail":             {who: "handler-chen", method: "GET", path: complaintPath(s.cold.ID, "/trail")},
		"report":            {who: "analyst-gao", method: "GET", path: "/v1/reports?period=2026-01", purpose: "quality"},
		"person":            {who: "sec-lin", method: "GET", path: "/v1/people/intake-li", purpose: "approve"},
		"open break-glass":  {who: "handler-zhao", method: "POST", path: "/v1/break-glass", body: map[string]any{"complaint": s.coldest.ID, "ticket": "INC-9", "reason": "an emergency"}},
		"entry":             {who: "auditor-he", method: "GET", path: "/v1/audit/entries/1"},
		"a refusal":         {who: "quality-sun", method: "POST", path: complaintPath(s.cold.ID, "/reveals"), purpose: "quality", body: reveal},
		"an unknown record": {who: "auditor-he", method: "GET", path: complaintPath("00000000-0000-4000-8000-000000000000"), purpose: "audit"},
	}
}

// outcome is what became of a probe.
type outcome struct {
	*sandbox.Answer
	err  error
	took time.Duration
}

// probe sends all probes at once.
func (s *scene) probe() map[string]outcome {
	var mu sync.Mutex
	var group sync.WaitGroup
	out := map[string]outcome{}
	for name, c := range s.probes() {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			began := time.Now()
			a, err := s.in.do(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			out[name] = outcome{a, err, time.Since(began)}
		})
	}
	group.Wait()
	return out
}

// expect probes once: those in served must be answered as always, all others
// with a 503 of one of the codes, in time.
func (s *scene) expect(t *testing.T, what string, served []string, codes ...string) {
	t.Helper()
	for name, got := range s.probe() {
		switch {
		case got.err != nil:
			t.Errorf("%s: %s: no answer: %v", what, name, got.err)
			continue
		case got.took > withinDeadline:
			t.Errorf("%s: %s: answered %d after %s, want within %s", what, name, got.Status, got.took, withinDeadline)
		}
		switch code := codeOf(got.Answer); {
		case slices.Contains(served, name):
			if got.Status >= 500 {
				t.Errorf("%s: %s: got %d %s, want an answer: it needs none of what is away", what, name, got.Status, code)
			}
		case name == "batch" && got.Status == http.StatusOK:
			itemsRefused(t, what, got.Body, codes)
		case got.Status != http.StatusServiceUnavailable || !slices.Contains(codes, code):
			t.Errorf("%s: %s: got %d %s, want 503 with one of %v", what, name, got.Status, got.Body, codes)
		case got.Header.Get("Retry-After") == "":
			t.Errorf("%s: %s: no Retry-After", what, name)
		}
	}
}

// itemsRefused checks a batch that was judged item by item.
func itemsRefused(t *testing.T, what string, body []byte, codes []string) {
	t.Helper()
	var batch struct {
		Items []struct {
			Created *custody.Created
			Problem *problem
		}
	}
	must(t, json.Unmarshal(body, &batch))
	for i, item := range batch.Items {
		if item.Created != nil || item.Problem == nil || !slices.Contains(codes, item.Problem.Code) {
			t.Errorf("%s: batch item %d: got %s, want one of %v", what, i, body, codes)
		}
	}
}

// heals waits until every probe is served again by the same process.
func (s *scene) heals(t *testing.T, what string, pid int) {
	t.Helper()
	s.warm(t, what)
	if got := s.in.ServicePid(); got != pid || got == 0 {
		t.Errorf("%s: the service was process %d and is %d", what, pid, got)
	}
	s.in.checkWhole(t)
}

func (s *scene) warm(t *testing.T, what string) {
	t.Helper()
	took := eventually(t, what+" to heal", func() bool {
		a, err := s.in.do(context.Background(), call{who: "intake-li", method: "POST", path: "/v1/complaints", body: draft(nil)})
		return err == nil && a.Status == http.StatusCreated
	})
	t.Logf("%s: healed in %s", what, took.Round(10*time.Millisecond))
	// A connection that died unseen may cost one caller one more 503.
	var last map[string]outcome
	for range 3 {
		last = s.probe()
		for name, got := range last {
			if got.err == nil && got.Status < 500 {
				delete(last, name)
			}
		}
		if len(last) == 0 {
			return
		}
		t.Logf("%s: once more after healing: %v", what, slices.Collect(maps.Keys(last)))
	}
	for name, got := range last {
		t.Errorf("%s: %s after healing: %v %s", what, name, got.err, got.Body)
	}
}

// TestDatabaseAway pauses and stops PostgreSQL.
func TestDatabaseAway(t *testing.T) {
	in := rough(t)
	s := prepare(t, in)
	pid := in.ServicePid()
	codes := []string{"audit_unavailable", "database_unavailable", "deadline_exceeded"}

	must(t, in.PG.Pause())
	for range 2 { // the second time nothing is fresh any more
		s.expect(t, "PostgreSQL paused", nil, codes...)
	}
	must(t, in.PG.Resume())
	s.heals(t, "PostgreSQL paused", pid)

	must(t, in.PG.Stop())
	s.expect(t, "PostgreSQL stopped", nil, codes...)
	if got := in.ready(t); !strings.Contains(got, "db") {
		t.Errorf("PostgreSQL stopped: /readyz says %q", got)
	}
	must(t, in.PG.Restart(context.Background()))
	s.heals(t, "PostgreSQL stopped", pid)
}

// keyless are the probes that need no Vault.
var keyless = []string{"read metadata", "list", "trail", "report", "person", "entry", "a refusal", "an unknown record"}

// TestVaultAway pauses, kills and seals Vault. A Vault that does not answer
// leaves borrowed keys alone for their 60 s; one that says sealed voids them.
func TestVaultAway(t *testing.T) {
	in := rough(t)
	s := prepare(t, in)
	pid := in.ServicePid()
	leased := append(slices.Clone(keyless), "read, key leased")
	const code = "vault_unavailable"

	must(t, in.Vault.Pause())
	s.expect(t, "Vault paused", leased, code)
	must(t, in.Vault.Resume())
	s.heals(t, "Vault paused", pid)

	s = prepare(t, in)
	// Killed, not stopped: one that ends in good order says that it is sealed,
	// and a sealed Vault voids all leases.
	must(t, in.Vault.Kill())
	s.expect(t, "Vault killed", leased, code)
	must(t, in.Vault.Restart(context.Background()))
	must(t, in.Vault.Unseal(context.Background()))
	s.heals(t, "Vault killed", pid)

	s = prepare(t, in)
	must(t, in.Vault.Seal(context.Background()))
	took := eventually(t, "the lease to be void", func() bool {
		a, err := in.do(context.Background(), call{who: "intake-li", method: "GET", path: complaintPath(s.leased.ID)})
		return err == nil && a.Status == http.StatusServiceUnavailable
	})
	if took > 3*time.Second {
		t.Errorf("Vault sealed: a leased key was used for %s more, want 2 s at most (contracts.md 5)", took)
	}
	s.expect(t, "Vault sealed", keyless, code)
	must(t, in.Vault.Unseal(context.Background()))
	s.heals(t, "Vault sealed", pid)
}

// ready is what /readyz says of each part, with its status in front.
func (in *installation) ready(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, in.Ops+"/readyz?verbose", nil)
	must(t, err)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	var body strings.Builder
	_, err = fmt.Fprint(&body, res.Status, " ")
	must(t, err)
	buf := make([]byte, 4096)
	n, _ := res.Body.Read(buf) // a short answer comes in one piece
	return body.String() + string(buf[:n])
}

// TestPublishedFolderAway takes the published folder away. Entries are durable
// in PostgreSQL, so nothing stops; readiness says so, and the log catches up.
func TestPublishedFolderAway(t *testing.T) {
	in := rough(t)
	before := in.checkpointSize()
	aside := in.Published() + ".aside"
	must(t, os.Rename(in.Published(), aside))
	// A file in its place: nothing can be made below it, not even by root.
	must(t, os.WriteFile(in.Published(), nil, 0o600))
	c := in.assigned(t, draft(nil))
	eventually(t, "/readyz to say that nothing is published", func() bool {
		got := in.ready(t)
		return strings.HasPrefix(got, "503") && strings.Contains(got, "published")
	})
	a := in.answered(t, call{who: "intake-li", method: "GET", path: complaintPath(c.ID)})
	if a.Status != http.StatusOK {
		t.Errorf("read: got %d %s, want 200: the entry is durable", a.Status, a.Body)
	}
	must(t, os.Remove(in.Published()))
	must(t, os.Rename(aside, in.Published()))
	in.published(t, c.Audit.Entry)
	eventually(t, "/readyz", func() bool { return strings.HasPrefix(in.ready(t), "200") })
	if after := in.checkpointSize(); after <= before {
		t.Errorf("the checkpoint's size was %d and is %d", before, after)
	}
	if out, code := in.run(t, "trailcheck", "verify", "--key", in.KeyFile(), in.LogDir()); code != 0 {
		t.Errorf("trailcheck verify: exit code %d\n%s", code, out)
	}
	if left, err := filepath.Glob(filepath.Join(in.LogDir(), "*.tmp-*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}
