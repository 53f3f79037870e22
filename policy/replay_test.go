package policy_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/sealtrail/sealtrail/policy"
)

// recorded is what the log would say of a decision.
func recorded(d policy.Decision, fields ...string) policy.Recorded {
	r := d.Request()
	return policy.Recorded{Roles: r.Subject.Roles, Purpose: r.Purpose, Action: r.Action, Fields: fields, Allowed: d.Allowed(), Refused: !d.Allowed(), Rule: d.TrueRule(),
		Article: d.TrueArticle(), Reason: d.TrueReason(), InputCommitment: d.InputCommitment()}
}

func newReplay(t *testing.T, e *policy.Engine) *policy.Replay {
	t.Helper()
	digest, archive := e.Bundle()
	r, err := policy.OpenReplay(t.Context(), archive, catalogue())
	if err != nil || r.Digest() != digest {
		t.Fatalf("%v: digest %s, want %s", err, r.Digest(), digest)
	}
	return r
}

// decisions are decided and admitted requests of many roles, actions, purposes, stages and persons' own states.
func decisions(t *testing.T, e *policy.Engine) []policy.Decision {
	t.Helper()
	var out []policy.Decision
	for i, action := range policy.Actions() {
		for j, role := range policy.Roles() {
			purpose := policy.Purposes()[(i+j)%len(policy.Purposes())]
			r := ask(action, purpose, func(r *policy.Request) {
				r.Subject.Roles, r.Transition = []string{role}, "accept"
				r.Record.Stage = policy.Stages()[(i+2*j)%4]
				r.Record.Sensitivity = policy.Sensitivities()[(2*i+j)%3]
				switch role {
				case "portal":
					r.Subject.Kind = policy.KindPortal
				case "application":
					r.Subject.Kind = policy.KindApplication
				case "keeper":
					r.Subject.Kind = policy.KindService
				}
				if (i+j)%5 == 0 {
					r.Subject.Unfit = []string{"training_expired"}
				}
			})
			for _, decide := range []func(context.Context, policy.Request) (policy.Decision, error){e.Decide, e.Admit} {
				d, err := decide(t.Context(), r)
				if err != nil {
					t.Fatalf("%s %s: %v", action, role, err)
				}
				out = append(out, d)
			}
		}
	}
	return out
}

// TestReplayDecidesAsTheLogSays: every decision is found again from its commitment alone and evaluates to the same; and each thing that
// the log could say otherwise is found.
func TestReplayDecidesAsTheLogSays(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	r := newReplay(t, e)
	all := decisions(t, e)
	check := func(d policy.Recorded) policy.Differs {
		got, err := r.Check(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	allowed := 0
	for i, d := range all {
		good := recorded(d)
		if got := check(good); got != "" {
			t.Fatalf("decision %d (%s, %s, %s) differs: %q", i, d.Request().Action, good.Purpose, good.Reason, got)
		}
		if d.Allowed() {
			allowed++
		}
		if i%300 != 0 {
			continue
		}
		other := all[(i+7)%len(all)]
		for name, c := range map[string]struct {
			change func(*policy.Recorded)
			want   policy.Differs
		}{
			"rule":       {func(d *policy.Recorded) { d.Rule = "R99" }, policy.DiffersRule},
			"article":    {func(d *policy.Recorded) { d.Article = "9.9" }, policy.DiffersRule},
			"reason":     {func(d *policy.Recorded) { d.Reason = "because" }, policy.DiffersReason},
			"commitment": {func(d *policy.Recorded) { d.InputCommitment = "00" + d.InputCommitment[2:] }, policy.DiffersInput},
			"roles":      {func(d *policy.Recorded) { d.Roles = []string{"handler", "auditor", "dpo"} }, policy.DiffersInput},
			"purpose":    {func(d *policy.Recorded) { d.Purpose = other.Request().Purpose }, policy.DiffersInput},
		} {
			bad := good
			c.change(&bad)
			if bad.Purpose == good.Purpose && name == "purpose" || c.want == policy.DiffersInput && i > 0 {
				continue // a search in vain takes a second
			}
			if got := check(bad); got != c.want {
				t.Errorf("decision %d with another %s: %q, want %q", i, name, got, c.want)
			}
		}
	}
	if allowed < 2 {
		t.Errorf("%d of %d decisions are allowed: the sample says little", allowed, len(all))
	}
}

// TestReplayFindsAnotherResultAndAnotherInput: a refusal called allowed, an allow called refused, and an entry that commits to the input
// of another decision with the same roles and purpose.
func TestReplayFindsAnotherResultAndAnotherInput(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	r := newReplay(t, e)
	decide := func(changes ...func(*policy.Request)) policy.Recorded {
		d, err := e.Decide(t.Context(), ask("read", "handle", changes...))
		if err != nil {
			t.Fatal(err)
		}
		return recorded(d)
	}
	good := decide()
	bad := decide(func(r *policy.Request) { r.Record.RespondentTokens = [][]byte{[]byte("token-1")} })
	if !good.Allowed || bad.Allowed {
		t.Fatalf("%+v, %+v", good, bad)
	}
	calledAllowed, calledRefused, swapped := bad, good, bad
	calledAllowed.Allowed, calledAllowed.Refused = true, false
	calledRefused.Allowed, calledRefused.Refused = false, true
	swapped.InputCommitment = good.InputCommitment
	for name, d := range map[string]policy.Recorded{"a refusal called allowed": calledAllowed, "an allow called refused": calledRefused, "another decision's input": swapped} {
		if got, err := r.Check(t.Context(), d); got == "" || got == policy.DiffersInput || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	calledRefused.Fields = []string{"cvn"} // never released: the door refuses although the action is allowed
	if got, err := r.Check(t.Context(), calledRefused); got != "" || err != nil {
		t.Errorf("a refusal for one field: %q, %v", got, err)
	}
	damaged := good
	damaged.Allowed = false // an entry about a damaged record: no word of the policy's
	if got, err := r.Check(t.Context(), damaged); got != "" || err != nil {
		t.Errorf("a finding of the door: %q, %v", got, err)
	}
}

// TestReplayWithAGrant: the groups of a grant are part of the input.
func TestReplayWithAGrant(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	d, err := e.Decide(t.Context(), ask("reveal", "handle", func(r *policy.Request) {
		r.Record.Assignee, r.Record.Department = "p-2", "loans"
		r.Subject.Grants = []policy.Grant{{Record: "c-1", Purpose: "handle", Groups: []string{"meta", "contact"}, From: at.AddDate(0, 0, -1), Until: at.AddDate(0, 0, 1)}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := newReplay(t, e).Check(t.Context(), recorded(d)); got != "" || err != nil {
		t.Errorf("%+v: %q, %v", recorded(d), got, err)
	}
}

// TestReplayRefusesWhatIsNoArchive: another spelling of the same files is not the bundle that a digest names.
func TestReplayRefusesWhatIsNoArchive(t *testing.T) {
	t.Parallel()
	_, archive := newEngine(t).Bundle()
	for name, raw := range map[string][]byte{"nothing": nil, "no archive": []byte("x"), "cut": archive[:len(archive)/2], "longer": append(bytes.Clone(archive), 0),
		"other bytes": bytes.Replace(archive, []byte("default"), []byte("Default"), 1)} {
		if _, err := policy.OpenReplay(t.Context(), raw, catalogue()); !errors.Is(err, policy.ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
