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
	"testing"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/sandbox"
	"github.com/sealtrail/sealtrail/internal/scratch"
)

// canary is one run of the canary test: an installation, every marker that was
// given to it, and what it answered where no classified value may stand.
type canary struct {
	*installation
	marks
	t        *testing.T
	answers  *os.File
	otlp     *collector
	revealed map[string]bool // fields whose marker came back in clear
}

// TestNoClassifiedValueIsFoundAnywhere stores unique markers in every
// classified field and sends them wherever a careless caller could, and then
// searches everything that any process wrote.
func TestNoClassifiedValueIsFoundAnywhere(t *testing.T) {
	c := newCanary(t)
	id := c.store()
	c.disclose(id)
	c.change(id)
	c.notes(id)
	c.refuse(id)
	c.mistype(id)
	c.imports()
	c.scrape()
	planted := c.plant()
	c.settle()

	for _, f := range complaint.Fields() {
		if f.Sealed && !c.revealed[f.Name] {
			t.Errorf("%s was never revealed: the test did not reach it", f.Name)
		}
	}
	c.provesItself(planted)
	found, size := newFinder(t, c.values).below(t, c.dir.Path)
	t.Logf("%d markers looked for in %.1f MB", len(c.values), float64(size)/1e6)
	for _, file := range slices.Sorted(maps.Keys(found)) {
		c.report(t, file, found[file])
	}
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	dir, err := scratch.New("e2e")
	must(t, err)
	otlp := collect(t, filepath.Join(dir.Path, "telemetry"))
	temp := filepath.Join(dir.Path, "tmp")
	must(t, os.MkdirAll(temp, 0o700))
	in, err := startIn(dir, append(otlp.environ(), "TMPDIR="+temp, "SEALTRAIL_DEBUG=true")...)
	must(t, err)
	t.Cleanup(func() { must(t, in.close()) })
	in.explain(t)
	must(t, os.MkdirAll(filepath.Join(dir.Path, "answers"), 0o700))
	answers, err := os.Create(filepath.Join(dir.Path, "answers", "quiet"))
	must(t, err)
	t.Cleanup(func() { answers.Close() })
	return &canary{installation: in, t: t, answers: answers, otlp: otlp, revealed: map[string]bool{}}
}

// quiet keeps an answer that may hold no classified value: every error, and
// successes that show metadata only.
func (c *canary) quiet(a *sandbox.Answer) *sandbox.Answer {
	c.t.Helper()
	_, err := fmt.Fprintf(c.answers, "%d %v\n%s\n", a.Status, a.Header, a.Body)
	must(c.t, err)
	return a
}

// silent makes a call whose success shows metadata only.
func (c *canary) silent(q call) *sandbox.Answer {
	c.t.Helper()
	a := c.quiet(c.answered(c.t, q))
	if a.Status >= 300 {
		c.t.Fatalf("%s %s as %s: got %d %s, want a success", q.method, q.path, q.who, a.Status, a.Body)
	}
	return a
}

// store files complaints one by one and in a batch.
func (c *canary) store() (id string) {
	c.t.Helper()
	made := c.create(c.t, draft(c.fields("stored", "whistle_report")))
	items := []any{draft(c.fields("stored in a batch")), draft(c.fields("stored in a batch", "whistle_report")),
		draft(map[string]string{"id_number": c.keep("malformed id_number in a batch", "11010519491231"+digits(4)+"77")}),
		map[string]any{"source": "hotline", c.word("unknown key of an item"): c.word("its value")}}
	result := c.silent(call{who: "app-core", method: "POST", path: "/v1/complaints:batch", body: map[string]any{"items": items}})
	var batch struct {
		Items []struct {
			Created *custody.Created
			Problem *problem
		}
	}
	must(c.t, json.Unmarshal(result.Body, &batch))
	if len(batch.Items) != 4 || batch.Items[0].Created == nil || batch.Items[1].Created == nil || batch.Items[2].Problem == nil || batch.Items[3].Problem == nil {
		c.t.Fatalf("batch: got %s", result.Body)
	}
	c.reveal("compliance-ma", batch.Items[0].Created.ID, "handle", "whistle_report")
	c.move(c.t, made, "intake-li", "accept", accepted)
	c.move(c.t, made, "intake-li", "classify", classified)
	c.move(c.t, made, "head-wang", "assign", map[string]string{"assignee": "handler-chen"})
	return made.ID
}

// reveal opens fields and checks that markers came back.
func (c *canary) reveal(who, id, purpose string, fields ...string) {
	c.t.Helper()
	v := ok[custody.View](c.t, c.installation, call{who: who, method: "POST", path: complaintPath(id, "/reveals"), purpose: purpose,
		body: map[string]any{"fields": fields, "reason": c.text("reason of a reveal"), "ticket": "T-1"}})
	for _, f := range v.Fields {
		for marker := range c.values {
			if f.State == custody.StateRevealed && strings.Contains(f.Value, marker) {
				c.revealed[f.Name] = true
			}
		}
	}
}

// disclose reads in every way there is.
func (c *canary) disclose(id string) {
	c.t.Helper()
	var open []string
	for _, f := range complaint.Fields() {
		if f.Sealed && f.Group != "respondent" && f.Group != "whistle" {
			open = append(open, f.Name)
		}
	}
	c.reveal("handler-chen", id, "handle", open...)
	c.reveal("head-wang", id, "approve", "respondent_staff_id", "respondent_name")
	for _, who := range []string{"intake-li", "handler-chen"} {
		ok[custody.View](c.t, c.installation, call{who: who, method: "GET", path: complaintPath(id)})
	}
	c.silent(call{who: "intake-li", method: "GET", path: complaintPath(id, "?view=meta")})
	c.silent(call{who: "app-core", method: "GET", path: complaintPath(id, "?view=meta")})
	c.silent(call{who: "intake-li", method: "GET", path: "/v1/complaints?page_size=5"})
	c.silent(call{who: "handler-chen", method: "GET", path: complaintPath(id, "/trail")})
	for value, where := range maps.Clone(c.values) {
		at, name, _ := strings.Cut(where, " ")
		f, _ := complaint.FieldByName(name)
		if at != "stored" || f.Index == "" {
			continue
		}
		if f.Index == "email" {
			value += "@canary.example"
		}
		page := ok[custody.Page](c.t, c.installation, call{who: "handler-chen", method: "POST", path: "/v1/complaints:search",
			body: map[string]string{"field": name, "value": value}})
		if len(page.Items) != 1 || page.Items[0].ID != id {
			c.t.Errorf("search by %s: got %d hits, want the one complaint", name, len(page.Items))
		}
		nobody := c.valid(f, "searched in vain")
		c.silent(call{who: "handler-chen", method: "POST", path: "/v1/complaints:search", body: map[string]string{"field": name, "value": nobody}})
	}
}

// change amends every field and moves the complaint with sealed inputs.
func (c *canary) change(id string) {
	c.t.Helper()
	now := ok[custody.View](c.t, c.installation, call{who: "handler-chen", method: "GET", path: complaintPath(id, "?view=meta")})
	v := c.silent(call{who: "handler-chen", method: "PATCH", path: complaintPath(id), ifMatch: now.Revision,
		body: map[string]any{"fields": c.fields("amended", "whistle_report")}})
	var view custody.View
	must(c.t, json.Unmarshal(v.Body, &view))
	made := &custody.Created{ID: id, Revision: view.Revision}
	for _, step := range []struct {
		who, name string
		inputs    map[string]string
	}{
		{"handler-chen", "take", nil}, {"handler-chen", "review", nil}, {"handler-chen", "complete_review", nil},
		{"handler-chen", "log_contact", map[string]string{"contact_notes": c.text("input contact_notes"), "next_action": "call_back", "next_due": "2026-12-31T00:00:00Z"}},
		{"handler-chen", "propose", map[string]string{"plan": c.text("input plan")}},
		{"head-wang", "approve", nil},
		{"handler-chen", "decide", map[string]string{"outcome": "upheld", "decision_text": c.text("input decision_text")}},
	} {
		c.move(c.t, made, step.who, step.name, step.inputs)
	}
	c.silent(call{who: "handler-chen", method: "GET", path: complaintPath(id, "/trail")})
	for _, q := range []call{
		{who: "handler-chen", method: "PATCH", path: complaintPath(id), ifMatch: 1, body: map[string]any{"fields": map[string]string{"demand": c.text("amended at a stale revision")}}},
		{who: "intake-li", method: "PATCH", path: complaintPath(id), ifMatch: made.Revision, body: map[string]any{"fields": map[string]string{"demand": c.text("refused amendment")}}},
		{who: "handler-chen", method: "PATCH", path: complaintPath(id), ifMatch: made.Revision, body: map[string]any{"fields": map[string]string{"bank_card": c.keep("malformed amendment", "62220"+digits(9)+"x")}}},
		{who: "handler-chen", method: "POST", path: complaintPath(id, "/transitions"), ifMatch: made.Revision, body: map[string]any{"name": "propose", "inputs": map[string]string{"plan": c.text("transition out of state")}}},
		{who: "handler-chen", method: "POST", path: complaintPath(id, "/transitions"), ifMatch: made.Revision, body: map[string]any{"name": "notify", "inputs": map[string]string{c.word("unknown input"): c.word("its value")}}},
		{who: "handler-chen", method: "POST", path: complaintPath(id, "/transitions"), ifMatch: made.Revision, body: map[string]any{"name": c.word("transition name")}},
		{who: "intake-li", method: "POST", path: complaintPath(id, "/transitions"), ifMatch: made.Revision, body: map[string]any{"name": "record_satisfaction", "inputs": map[string]string{"score": c.word("wrong fact")}}},
	} {
		c.fails(q)
	}
}

// notes gives reasons of every kind: for a grant, for break-glass, and in
// refused requests of both.
func (c *canary) notes(id string) {
	c.t.Helper()
	ask := func(reason string) call {
		return call{who: "auditor-he", method: "POST", path: "/v1/access-requests", body: map[string]any{"complaint": id, "purpose": "audit",
			"groups": []string{"identity", "contact"}, "reason": reason, "minutes": 30}}
	}
	var g custody.Grant
	must(c.t, json.Unmarshal(c.silent(ask(c.text("reason of a grant"))).Body, &g))
	c.silent(call{who: "dpo-xu", method: "POST", path: "/v1/access-requests/" + g.ID + "/reviews", body: map[string]string{"verdict": "approve"}})
	c.reveal("auditor-he", id, "audit", "phone")
	c.silent(call{who: "dpo-xu", method: "POST", path: "/v1/access-requests/" + g.ID + "/revoke"})
	var b custody.BreakGlass
	must(c.t, json.Unmarshal(c.silent(call{who: "handler-zhao", method: "POST", path: "/v1/break-glass", body: map[string]any{"complaint": id, "ticket": "INC-1",
		"reason": c.text("reason of break-glass")}}).Body, &b))
	c.reveal("handler-zhao", id, "breakglass", "phone")
	c.silent(call{who: "handler-zhao", method: "POST", path: "/v1/break-glass/" + b.ID + "/close"})
	c.silent(call{who: "dpo-xu", method: "POST", path: "/v1/break-glass/" + b.ID + "/review", body: map[string]bool{"justified": true}})
	c.fails(call{who: "analyst-gao", method: "POST", path: "/v1/break-glass", body: map[string]any{"complaint": id, "ticket": "INC-2", "reason": c.text("reason of refused break-glass")}})
	refused := ask(c.text("reason of a refused grant"))
	refused.who = "analyst-gao"
	c.fails(refused)
	c.fails(call{who: "handler-zhao", method: "POST", path: "/v1/break-glass", body: map[string]any{"complaint": id, "ticket": c.text("malformed ticket"), "reason": "short enough"}})
}

// fails makes a call that must fail by the caller's fault.
func (c *canary) fails(q call) {
	c.t.Helper()
	if a := c.quiet(c.answered(c.t, q)); a.Status < 400 || a.Status >= 500 {
		c.t.Errorf("%s %s as %s: got %d, want 4xx", q.method, strings.SplitN(q.path, "?", 2)[0], q.who, a.Status)
	}
}

// refuse asks for what policy denies, with markers in what is sent along.
func (c *canary) refuse(id string) {
	c.t.Helper()
	body := func(where string) any {
		return map[string]any{"fields": []string{"id_number"}, "reason": c.text(where), "ticket": c.word("ticket of " + where)}
	}
	c.fails(call{who: "quality-sun", method: "POST", path: complaintPath(id, "/reveals"), purpose: "quality", body: body("reason of a refused reveal")})
	c.fails(call{who: "handler-zhao", method: "POST", path: complaintPath(id, "/reveals"), body: body("reason of a reveal without assignment")})
	c.fails(call{who: "analyst-gao", method: "POST", path: "/v1/complaints:search", purpose: "quality", body: map[string]string{"field": "id_number", "value": c.keep("refused search", residentID())}})
	c.fails(call{who: "quality-sun", method: "POST", path: "/v1/complaints", purpose: "quality", body: draft(c.fields("refused create"))})
	c.fails(call{who: "auditor-he", method: "GET", path: complaintPath("00000000-0000-4000-8000-000000000000"), purpose: "audit"})
}

// scrape keeps what Prometheus would.
func (c *canary) scrape() {
	c.t.Helper()
	res, err := http.Get(c.Ops + "/metrics")
	must(c.t, err)
	defer res.Body.Close()
	f, err := os.Create(filepath.Join(c.dir.Path, "telemetry", "prometheus"))
	must(c.t, err)
	defer f.Close()
	n, err := f.ReadFrom(res.Body)
	must(c.t, err)
	if n == 0 {
		c.t.Error("the metrics endpoint says nothing")
	}
}

// settle ends the service in good order, has PostgreSQL write everything, and
// ends the rest.
func (c *canary) settle() {
	c.t.Helper()
	must(c.t, c.StopService())
	c.sql(c.t, "checkpoint")
	must(c.t, c.Stop())
	telemetry := filepath.Join(c.dir.Path, "telemetry")
	for signal, word := range map[string]string{"traces": "/v1/complaints/{id}/reveals", "metrics": "sealtrail", "logs": "answered"} {
		if raw, err := os.ReadFile(filepath.Join(telemetry, signal)); err != nil || !strings.Contains(string(raw), word) {
			c.t.Errorf("the collector got no %s that name %s", signal, word)
		}
	}
	if log, err := os.ReadFile(c.ServiceLog()); err != nil || !strings.Contains(string(log), "answered") {
		c.t.Error("the service's log does not say what was answered: --debug did not work")
	}
}

// plant leaves one marker in each kind of place, as a leak would.
func (c *canary) plant() *marks {
	c.t.Helper()
	var p marks
	word := p.word("planted")
	c.sql(c.t, "create table public.planted as select '"+word+"'::text as leaked")
	c.sql(c.t, "do $$ begin raise log '"+word+"'; end $$")
	client, err := c.Vault.Client(c.Vault.RootToken())
	must(c.t, err)
	if _, err := client.Logical().ReadWithContext(context.Background(), "sys/policies/acl/"+word); err != nil {
		c.t.Logf("reading a policy that is not there: %v", err)
	}
	for _, signal := range []string{"traces", "metrics", "logs"} {
		res, err := http.Post(c.otlp.URL+"/v1/"+signal, "application/x-protobuf", strings.NewReader(word))
		must(c.t, err)
		must(c.t, res.Body.Close())
	}
	for _, name := range []string{"published/planted", "vault/raft/planted", "vault/vault.log", "logs/service.log", "logs/witness.log", "witness/planted", "tmp/planted", "answers/planted", "telemetry/prometheus"} {
		f, err := os.OpenFile(filepath.Join(c.dir.Path, filepath.FromSlash(name)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		must(c.t, err)
		_, err = f.WriteString("\n" + word + "\n")
		must(c.t, err)
		must(c.t, f.Close())
	}
	return &p
}

// provesItself checks that the planted marker is found in every kind of place.
func (c *canary) provesItself(planted *marks) {
	c.t.Helper()
	found, _ := newFinder(c.t, planted.values).below(c.t, c.dir.Path)
	for _, place := range []string{"postgres/data/base/", "postgres/data/pg_wal/", "postgres/postgres.log", "published/", "vault/audit.log", "vault/raft/", "vault/vault.log",
		"logs/service.log", "logs/witness.log", "witness/", "tmp/", "answers/", "telemetry/traces", "telemetry/metrics", "telemetry/logs", "telemetry/prometheus"} {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(found)), func(file string) bool { return strings.HasPrefix(file, place) }) {
			c.t.Errorf("a marker planted in %s is not found: the search proves nothing there", place)
		}
	}
}
