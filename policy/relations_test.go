package policy

import (
	"fmt"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

// twin is relations.rego, prepared.
type twin struct{ query rego.PreparedEvalQuery }

func newTwin(t testing.TB) twin {
	t.Helper()
	b, err := readBundle(confidentiality.Files())
	if err != nil {
		t.Fatal(err)
	}
	c, err := compile(b.modules)
	if err != nil {
		t.Fatal(err)
	}
	q, err := rego.New(rego.Compiler(c), rego.Store(inmem.NewFromObject(b.data)), rego.StrictBuiltinErrors(true),
		rego.Query("data.sealtrail.relations.facts")).PrepareForEval(bg)
	if err != nil {
		t.Fatal(err)
	}
	return twin{q}
}

// facts asks the twin.
func (w twin) facts(r *Request) (uint16, error) {
	rs, err := w.query.Eval(bg, rego.EvalInput(worldOf(r)))
	if err != nil {
		return 0, err
	}
	if len(rs) != 1 {
		return 0, fmt.Errorf("the twin is undefined")
	}
	got, _ := rs[0].Expressions[0].Value.(map[string]any)
	if len(got) != len(facts) {
		return 0, fmt.Errorf("the twin gives %d facts", len(got))
	}
	var out uint16
	for i, f := range facts {
		if got[f] == true {
			out |= 1 << i
		}
	}
	return out, nil
}

// worldOf writes a request as relations.rego reads it.
func worldOf(r *Request) map[string]any {
	grants, windows := []any{}, []any{}
	for _, g := range r.Subject.Grants {
		grants = append(grants, map[string]any{"disclosure": g.Disclosure, "record": g.Record, "purpose": g.Purpose, "groups": list(g.Groups), "from": g.From.UnixNano(), "until": g.Until.UnixNano()})
	}
	for _, b := range r.Subject.BreakGlass {
		windows = append(windows, map[string]any{"record": b.Record, "from": b.From.UnixNano(), "until": b.Until.UnixNano()})
	}
	tokens := []any{}
	for _, t := range r.Record.RespondentTokens {
		tokens = append(tokens, string(t))
	}
	return map[string]any{
		"action": r.Action, "purpose": r.Purpose, "requester": r.Requester, "involved": list(r.Involved), "seconded": r.Seconded, "at": r.At.UnixNano(),
		"subject": map[string]any{
			"id": r.Subject.ID, "kind": r.Subject.Kind, "department": r.Subject.Department, "level": int(r.Subject.Level),
			"staff_token": string(r.Subject.StaffToken), "data_subject_token": string(r.Subject.DataSubjectToken),
			"unfit": list(r.Subject.Unfit), "grants": grants, "breakglass": windows,
		},
		"record": map[string]any{
			"id": r.Record.ID, "department": r.Record.Department, "assignee": r.Record.Assignee, "level": r.Record.Level,
			"respondent_tokens": tokens, "earlier_handlers": list(r.Record.EarlierHandlers), "under_review": r.Record.UnderReview,
			"data_subject_token": string(r.Record.DataSubjectToken), "held": r.Record.Held, "retained_until": nanos(r.Record.RetainedUntil),
		},
	}
}

// nanos is 0 for the zero time: no known end.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func list(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

func noon(minutes int) time.Time {
	return time.Date(2026, 3, 2, 12, minutes, 0, 0, time.UTC)
}

// plain is a small world: one person, one record, nothing between them.
func plain() Request {
	return Request{
		Action: "read", Purpose: "handle", At: noon(0),
		Subject: Subject{ID: "p1", Kind: KindHuman, Department: "a", StaffToken: []byte("t1")},
		Record:  Record{ID: "c1", Department: "b", Level: "general"},
	}
}

// worlds enumerates small worlds: for every fact, all combinations of what it could depend on, over two people, two departments, two
// records, two purposes and times before, at and after the borders.
func worlds() []Request {
	var out []Request
	for _, kind := range []string{KindHuman, KindApplication, KindPortal, KindService, "ghost"} {
		for _, id := range []string{"", "p1"} {
			who := plain()
			who.Subject.Kind, who.Subject.ID = kind, id
			out = append(out, implications(who)...)
			out = append(out, assignments(who)...)
			for _, unfit := range [][]string{nil, {"training_expired"}, {"undertaking_missing", "sunspots"}, {"account_inactive"}, {"breakglass_unreviewed"}} {
				who.Subject.Unfit = unfit
				out = append(out, who)
			}
		}
		for _, dept := range []string{"", "a", "b"} {
			for _, owner := range []string{"", "a", "b"} {
				r := plain()
				r.Subject.Kind, r.Subject.Department, r.Record.Department = kind, dept, owner
				out = append(out, r)
			}
		}
	}
	for level := range uint8(5) {
		for _, of := range []string{"", "unclassified", "general", "serious", "major", "majr"} {
			r := plain()
			r.Subject.Level, r.Record.Level = level, of
			out = append(out, r)
		}
	}
	return append(append(out, windows()...), keepings()...)
}

// keepings enumerates holds, ends of retention before, at and after now, second assents, and who acted on an object before.
func keepings() []Request {
	var out []Request
	for _, held := range []bool{false, true} {
		for _, until := range []time.Time{{}, noon(-1), noon(0), noon(1)} {
			for _, seconded := range []bool{false, true} {
				r := plain()
				r.Record.Held, r.Record.RetainedUntil, r.Seconded = held, until, seconded
				out = append(out, r)
			}
		}
	}
	for _, action := range actions {
		for _, requester := range []string{"", "p1", "p2"} {
			for _, involved := range [][]string{nil, {"p2"}, {"p2", "p1"}, {""}} {
				r := plain()
				r.Action, r.Requester, r.Involved = action, requester, involved
				out = append(out, r)
			}
		}
	}
	return out
}

// implications enumerates tokens, respondents and earlier handlers.
func implications(r Request) []Request {
	var out []Request
	for _, token := range []string{"", "t1"} {
		for _, tokens := range [][][]byte{nil, {[]byte("t1")}, {[]byte("t2")}, {[]byte("t2"), []byte("t1")}, {[]byte("")}} {
			for _, earlier := range [][]string{nil, {"p1"}, {"p2"}, {""}} {
				for _, review := range []bool{false, true} {
					r.Subject.StaffToken, r.Record.RespondentTokens = []byte(token), tokens
					r.Record.EarlierHandlers, r.Record.UnderReview = earlier, review
					out = append(out, r)
				}
			}
		}
	}
	return out
}

// assignments enumerates assignees, requesters and data subjects.
func assignments(r Request) []Request {
	var out []Request
	for _, action := range []string{"read", "grant_review", "breakglass_review", "people", "keys", "erase_approve"} {
		for _, requester := range []string{"", "p1", "p2"} {
			for _, assignee := range []string{"", "p1", "p2"} {
				for _, tokens := range [][2]string{{"", ""}, {"", "d1"}, {"d1", ""}, {"d1", "d1"}, {"d1", "d2"}} {
					r.Action, r.Requester, r.Record.Assignee = action, requester, assignee
					r.Subject.DataSubjectToken, r.Record.DataSubjectToken = []byte(tokens[0]), []byte(tokens[1])
					out = append(out, r)
				}
			}
		}
	}
	return out
}

// windows enumerates grants and break-glass around their borders.
func windows() []Request {
	var out []Request
	for _, record := range []string{"", "c1", "c2"} {
		for _, of := range []string{"", "c1"} {
			for minute := -1; minute <= 3; minute++ {
				for _, purpose := range []string{"handle", "approve"} {
					for _, groups := range [][]string{nil, {"identity"}, {"unheard_of"}, {"unheard_of", "meta"}} {
						r := plain()
						r.Record.ID, r.At = of, noon(minute)
						r.Subject.Grants = []Grant{{Record: record, Purpose: purpose, Groups: groups, From: noon(0), Until: noon(2)}}
						out = append(out, r)
						r.Subject.Grants[0].Disclosure = minute == 1
						for _, action := range []string{"disclose", "leave"} {
							r.Action = action
							out = append(out, r)
						}
					}
				}
				r := plain()
				r.Record.ID, r.At = of, noon(minute)
				r.Subject.BreakGlass = []BreakGlass{{Record: "c2", From: noon(0), Until: noon(9)}, {Record: record, From: noon(0), Until: noon(2)}}
				out = append(out, r)
			}
		}
	}
	return out
}

func TestRelationsEqualTheirTwin(t *testing.T) {
	t.Parallel()
	w := newTwin(t)
	seen := map[uint16]bool{}
	all := worlds()
	for i := range all {
		want, err := w.facts(&all[i])
		if err != nil {
			t.Fatal(err)
		}
		if got := relations(&all[i]); got != want {
			t.Errorf("facts %010b in Go, %010b in Rego for %+v", got, want, all[i])
		}
		seen[want] = true
	}
	t.Logf("%d worlds, %d different sets of facts", len(all), len(seen))
	for i, f := range facts {
		var on, off bool
		for s := range seen {
			on, off = on || s&(1<<i) != 0, off || s&(1<<i) == 0
		}
		if !on || !off {
			t.Errorf("fact %s is never %v in any world", f, !on)
		}
	}
}

// TestRelationsEqualTheirTwinAnywhere mixes everything at random, where the enumeration varies one fact's inputs at a time.
func TestRelationsEqualTheirTwinAnywhere(t *testing.T) {
	t.Parallel()
	w := newTwin(t)
	rapid.Check(t, func(t *rapid.T) {
		r := drawRequest(t)
		want, err := w.facts(&r)
		if err != nil {
			t.Fatal(err)
		}
		if got := relations(&r); got != want {
			t.Fatalf("facts %010b in Go, %010b in Rego", got, want)
		}
	})
}

// drawRequest draws a request from small lists, so that identifiers meet often.
func drawRequest(t *rapid.T) Request {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	some := func(name string, from ...string) []string {
		return rapid.SliceOfN(rapid.SampledFrom(from), 0, 2).Draw(t, name)
	}
	r := Request{
		Action: pick("action", actions...), Purpose: pick("purpose", "handle", "breakglass", "approve"), Transition: pick("transition", "take", "approve", "close", "restrict"),
		Requester: pick("requester", "", "p1", "p2"), Involved: some("involved", "p1", "p2"), Seconded: rapid.Bool().Draw(t, "seconded"), At: noon(rapid.IntRange(-1, 3).Draw(t, "at")),
		Subject: Subject{
			ID: pick("id", "", "p1", "p1"), Kind: pick("kind", KindHuman, KindHuman, KindPortal, KindApplication, KindService), Department: pick("unit", "", "a", "b"),
			Level: rapid.Uint8Range(0, 3).Draw(t, "duty"), StaffToken: []byte(pick("token", "", "t1")), Unfit: some("unfit", "training_expired", "sunspots"),
			DataSubjectToken: []byte(pick("own", "", "d1")), Roles: some("roles", roles...),
		},
		Record: Record{
			ID: pick("record", "", "c1", "c1"), Department: pick("owner", "", "a", "b"), Assignee: pick("assignee", "", "p1", "p2"),
			Level: pick("level", "unclassified", "general", "serious", "major"), Stage: pick("stage", stages...), Sensitivity: pick("sensitivity", sensitivities...),
			EarlierHandlers: some("earlier", "p1", "p2"), UnderReview: rapid.Bool().Draw(t, "review"), DataSubjectToken: []byte(pick("his", "", "d1")),
			Held: rapid.Bool().Draw(t, "held"),
		},
	}
	if rapid.Bool().Draw(t, "counted") {
		r.Record.RetainedUntil = noon(rapid.IntRange(-1, 2).Draw(t, "retained until"))
	}
	for _, tok := range some("respondents", "t1", "t2") {
		r.Record.RespondentTokens = append(r.Record.RespondentTokens, []byte(tok))
	}
	for _, g := range some("grants", "c1", "c2") {
		r.Subject.Grants = append(r.Subject.Grants, Grant{Disclosure: rapid.Bool().Draw(t, "disclosure"), Record: g, Purpose: r.Purpose, Groups: some("granted", groups...), From: noon(0), Until: noon(2)})
	}
	for _, b := range some("windows", "c1", "c2") {
		r.Subject.BreakGlass = append(r.Subject.BreakGlass, BreakGlass{Record: b, From: noon(1), Until: noon(2)})
	}
	return r
}
