package supervision

import (
	"fmt"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/clock"
)

// journal is a log in memory for tests: each call adds one entry, 20 ms of sequencing after the service clock.
type journal struct {
	t      testing.TB
	leaves []audit.Leaf
}

// at reads "2026-01-05 09:00" in Asia/Shanghai.
func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04", s, zone())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// event adds an entry of stage event; add takes any body.
func (j *journal) event(when, kind, subject, actor string, facts audit.Facts) {
	j.t.Helper()
	j.add(audit.Body{At: at(j.t, when), Stage: audit.StageEvent, Kind: kind, Subject: subject, Actor: audit.Actor{ID: actor}, Facts: facts})
}

// access adds an intent of a person in a role.
func (j *journal) access(when, kind, actor, role string, fields []string, facts audit.Facts) {
	j.t.Helper()
	j.add(audit.Body{
		At: at(j.t, when), Stage: audit.StageIntent, Kind: kind, Subject: "complaint:a", Fields: fields, Facts: facts,
		Actor: audit.Actor{ID: actor, Roles: []string{role}}, Decision: &audit.DecisionRef{Result: audit.ResultAllow},
	})
}

func (j *journal) add(b audit.Body) {
	if b.Institution == "" {
		b.Institution = "demo-bank"
	}
	b.V, b.Nonce = 1, [16]byte{1}
	n := uint64(len(j.leaves))
	j.leaves = append(j.leaves, audit.Leaf{Body: b, Position: audit.Position{
		ID: n + 1, Index: n, Log: "demo-bank/2026", SeqAt: b.At.Add(20 * time.Millisecond), TrailN: 1,
	}})
}

// complaint records one and takes it through the steps given as "kind=time"; kinds without a prefix get "complaint.".
func (j *journal) complaint(id, receivedAt, recordedAt, department string, facts audit.Facts, steps ...step) {
	j.t.Helper()
	all := audit.Facts{"received_at": utc(at(j.t, receivedAt)), "channel": "phone", "source": "test", "level": "unclassified"}
	if department != "" {
		all["department"] = department
	}
	for k, v := range facts {
		all[k] = v
	}
	j.event(recordedAt, "complaint.recorded", "complaint:"+id, "intake-1", all)
	for _, s := range steps {
		j.event(s.at, s.kind, "complaint:"+id, s.actor(), s.facts)
	}
}

type step struct {
	kind, at string
	facts    audit.Facts
}

func (s step) actor() string {
	if s.kind == "complaint.accepted" || s.kind == "complaint.classified" {
		return "intake-1"
	}
	return "handler-1"
}

func utc(t time.Time) string { return t.UTC().Format(audit.TimeLayout) }

// adopt names calendar, definitions and limits, and adopts the norm from the given time on.
func (j *journal) adopt(when string) {
	j.t.Helper()
	for _, p := range testPublications() {
		facts := audit.Facts{"digest": p.digest}
		if p.what != "" {
			facts["what"] = p.what
		}
		j.event(when, p.kind, "service", "service-1", facts)
	}
	j.event(when, "norm.adopted", "service", "head-1", audit.Facts{"norm": "norm", "digest": clock.ProfilesDigest()})
}

type testPublication struct {
	kind, what, digest string
	data               []byte
}

func testPublications() []testPublication {
	return []testPublication{
		{"calendar.loaded", "", clock.China().Digest(), clock.China().JSON()},
		{"definitions.loaded", "figures", digestOf(embedded), embedded},
		{"definitions.loaded", "limits", clock.ProfilesDigest(), clock.ProfilesJSON()},
	}
}

// inputs are the embedded definitions, calendar and limits with the norm in force since 2025.
func inputs(t testing.TB) Inputs {
	t.Helper()
	d, err := ParseDefinitions(Embedded())
	if err != nil {
		t.Fatal(err)
	}
	return Inputs{
		Definitions: d, Calendar: clock.China(), Limits: clock.ProfilesJSON(),
		Norms: []Norm{{Name: "norm", From: at(t, "2025-01-01 00:00")}},
	}
}

func period(t testing.TB, s string) Period {
	t.Helper()
	p, err := ParsePeriod(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func foldOf(t testing.TB, p Period, leaves []audit.Leaf) *Fold {
	t.Helper()
	f, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leaves {
		if err := f.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func report(t testing.TB, p string, leaves []audit.Leaf) Report {
	t.Helper()
	r, err := foldOf(t, period(t, p), leaves).Report(inputs(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func reportBytes(t testing.TB, r Report) string {
	t.Helper()
	b, err := r.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// detail finds a detail's value; -1 for none.
func (f *Figure) detail(name, key string) int64 {
	for _, d := range f.Details {
		if d.Name == name && d.Key == key {
			return d.Value
		}
	}
	return -1
}

// nud writes a value as "numerator/denominator undecided".
func nud(r Ratio) string { return fmt.Sprintf("%d/%d %d", r.Numerator, r.Denominator, r.Undecided) }
