package audit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
)

// fullBody has every member.
func fullBody() audit.Body {
	return audit.Body{
		V: 1, Institution: "demo", At: time.Date(2026, 2, 28, 23, 59, 59, 123456000, time.UTC), Stage: audit.StageOutcome, Kind: "access.result",
		Actor:   audit.Actor{ID: "p-1", Roles: []string{"handler", "head"}, Auth: "oidc", OnBehalf: "p-2"},
		Subject: "request:r-1", Revision: 1<<64 - 1, Purpose: "handle", Fields: []string{"phone", "id_number"},
		Decision: &audit.DecisionRef{Result: audit.ResultDeny, Rule: "R3", Article: "第六章 6.2.1", Reason: "not_assigned",
			Bundle: strings.Repeat("0a", 32), ID: "d-1", InputCommitment: strings.Repeat("b", 64)},
		Key:     &audit.KeyUse{Name: "demo-record", Version: 3, Batch: "b-1", Item: 0, Lease: "l-1", Use: 9},
		Request: "r-1", Net: "branch \"A\"\n", Nonce: [16]byte{1, 2, 3}, Sim: true,
		Facts: audit.Facts{"outcome": "disclosed", "items": int64(2), "repeat_180d": false, "ids": []string{"a", "é"}, "none": []string{},
			"empty": "", "big": "18446744073709551615", "minus": int64(-audit.MaxInt)},
		Commit: map[string]string{"search.phone": strings.Repeat("c", 64), "id": strings.Repeat("d", 64)},
	}
}

func TestBodyRoundTrip(t *testing.T) {
	t.Parallel()
	want := fullBody()
	raw, err := want.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := jcs.Transform(raw); err != nil || string(again) != string(raw) {
		t.Errorf("jcs spells it otherwise:\n got %s\nwant %s (%v)", raw, again, err)
	}
	got, err := audit.ParseBody(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestGoldenBody pins the bytes of format version 1: they are signed and must never change.
func TestGoldenBody(t *testing.T) {
	t.Parallel()
	b := audit.Body{Institution: "demo", At: time.Date(2026, 1, 2, 3, 4, 5, 678901999, time.FixedZone("", 8*3600)), Stage: audit.StageEvent,
		Kind: "complaint.recorded", Actor: audit.Actor{ID: "p-1"}, Subject: "complaint:c-1", Nonce: [16]byte{15: 1},
		Facts: audit.Facts{"channel": "phone", "score": 5}}
	raw, err := b.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"actor":{"id":"p-1"},"at":"2026-01-01T19:04:05.678901Z","facts":{"channel":"phone","score":5},"institution":"demo",` +
		`"kind":"complaint.recorded","nonce":"00000000000000000000000000000001","stage":"event","subject":"complaint:c-1","v":1}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*audit.Body){
		"no institution":        func(b *audit.Body) { b.Institution = "" },
		"space in institution":  func(b *audit.Body) { b.Institution = "de mo" },
		"no time":               func(b *audit.Body) { b.At = time.Time{} },
		"year 10000":            func(b *audit.Body) { b.At = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"unknown stage":         func(b *audit.Body) { b.Stage = "plan" },
		"kind in upper case":    func(b *audit.Body) { b.Kind = "Access.read" },
		"no actor":              func(b *audit.Body) { b.Actor.ID = "" },
		"quote in role":         func(b *audit.Body) { b.Actor.Roles = []string{`"`} },
		"no subject":            func(b *audit.Body) { b.Subject = "" },
		"zero nonce":            func(b *audit.Body) { b.Nonce = [16]byte{} },
		"unknown version":       func(b *audit.Body) { b.V = 2 },
		"decision of no result": func(b *audit.Body) { b.Decision = &audit.DecisionRef{Rule: "R1"} },
		"bundle not hex":        func(b *audit.Body) { b.Decision.Bundle = "abc" },
		"item without batch":    func(b *audit.Body) { b.Key = &audit.KeyUse{Item: 1} },
		"use without lease":     func(b *audit.Body) { b.Key = &audit.KeyUse{Name: "k", Use: 1} },
		"negative key version":  func(b *audit.Body) { b.Key = &audit.KeyUse{Version: -1} },
		"float fact":            func(b *audit.Body) { b.Facts["x"] = 1.5 },
		"nil fact":              func(b *audit.Body) { b.Facts["x"] = nil },
		"fact beyond 2^53":      func(b *audit.Body) { b.Facts["x"] = int64(audit.MaxInt + 1) },
		"uint beyond 2^63":      func(b *audit.Body) { b.Facts["x"] = uint64(1 << 63) },
		"fact name":             func(b *audit.Body) { b.Facts["X"] = 1 },
		"fact not UTF-8":        func(b *audit.Body) { b.Facts["x"] = "\xff" },
		"list not UTF-8":        func(b *audit.Body) { b.Facts["x"] = []string{"\xff"} },
		"net not UTF-8":         func(b *audit.Body) { b.Net = "\xff" },
		"commit not hex":        func(b *audit.Body) { b.Commit["id"] = "x" },
		"commit path":           func(b *audit.Body) { b.Commit["a b"] = strings.Repeat("a", 64) },
		"too long":              func(b *audit.Body) { b.Net = strings.Repeat("x", audit.MaxBody) },
	} {
		b := fullBody()
		change(&b)
		if raw, err := b.Canonical(); !errors.Is(err, audit.ErrInvalid) {
			t.Errorf("%s: got %s, %v; want ErrInvalid", name, raw, err)
		}
	}
}

// TestParseBodyRefuses takes canonical JSON that is no body.
func TestParseBodyRefuses(t *testing.T) {
	t.Parallel()
	b := audittest.Body(1)
	raw, err := b.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][2]string{
		"unknown member":          {`"v":1`, `"v":1,"w":1`},
		"unknown version":         {`"v":1`, `"v":2`},
		"missing member":          {`"subject":"` + b.Subject + `",`, ``},
		"stage":                   {`"stage":"intent"`, `"stage":"plan"`},
		"time without fraction":   {`.001000Z`, `Z`},
		"30 February":             {`2026-01-02`, `2026-02-30`},
		"leap second":             {`03:04:05`, `03:04:60`},
		"revision as number":      {`"revision":"2"`, `"revision":2`},
		"revision zero":           {`"revision":"2"`, `"revision":"0"`},
		"revision leading zero":   {`"revision":"2"`, `"revision":"02"`},
		"revision beyond 64 bits": {`"revision":"2"`, `"revision":"18446744073709551616"`},
		"empty fields":            {`"fields":["id_number","phone"]`, `"fields":[]`},
		"empty purpose":           {`"purpose":"handle"`, `"purpose":""`},
		"unknown decision member": {`"result":"allow"`, `"result":"allow","rool":"x"`},
		"unknown result":          {`"result":"allow"`, `"result":"maybe"`},
		"item without batch":      {`"batch":"b-000001",`, ``},
		"sim false":               {`"stage"`, `"sim":false,"stage"`},
		"zero nonce":              {fmt.Sprintf("%x", b.Nonce), strings.Repeat("0", 32)},
		"long nonce":              {fmt.Sprintf("%x", b.Nonce), strings.Repeat("1", 34)},
	} {
		changed := strings.Replace(string(raw), c[0], c[1], 1)
		if changed == string(raw) {
			t.Fatalf("%s: %q not found in %s", name, c[0], raw)
		}
		if _, err := audit.ParseBody([]byte(changed)); !errors.Is(err, audit.ErrNotCanonical) {
			t.Errorf("%s: got %v, want ErrNotCanonical", name, err)
		}
	}
}

// TestBodyRoundTripProperty: whatever Canonical writes, ParseBody reads back, jcs agrees with, and no other spelling is accepted.
func TestBodyRoundTripProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawBody(t)
		raw, err := want.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := jcs.Transform(raw); err != nil || string(again) != string(raw) {
			t.Fatalf("jcs spells it %s (%v)", again, err)
		}
		got, err := audit.ParseBody(raw)
		if err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func drawBody(t *rapid.T) audit.Body {
	token := rapid.StringMatching(`[!#-\[\]-~]{1,20}`)
	maybe := rapid.OneOf(rapid.Just(""), token)
	b := audit.Body{V: 1, Institution: token.Draw(t, "institution"), Stage: audit.StageIntent, Kind: rapid.StringMatching(`[a-z]{1,9}\.[a-z_]{1,9}`).Draw(t, "kind"),
		At:      time.UnixMicro(rapid.Int64Range(-62135596799000000, 253402300799999999).Draw(t, "at")).UTC(),
		Actor:   audit.Actor{ID: token.Draw(t, "actor"), Auth: maybe.Draw(t, "auth")},
		Subject: token.Draw(t, "subject"), Purpose: maybe.Draw(t, "purpose"), Revision: rapid.Uint64().Draw(t, "revision"),
		Net: rapid.String().Draw(t, "net"), Nonce: [16]byte{1}, Sim: rapid.Bool().Draw(t, "sim")}
	if l := rapid.SliceOfN(token, 0, 3).Draw(t, "fields"); len(l) > 0 {
		b.Fields = l
	}
	name := rapid.StringMatching(`[a-z0-9_]{1,6}`)
	value := rapid.OneOf(rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Int64Range(-audit.MaxInt, audit.MaxInt).AsAny(), rapid.SliceOfN(rapid.String(), 0, 3).AsAny())
	if m := rapid.MapOfN(name, value, 0, 5).Draw(t, "facts"); len(m) > 0 {
		b.Facts = m
	}
	return b
}

func TestFactsAccessors(t *testing.T) {
	t.Parallel()
	f := fullBody().Facts
	if s, ok := f.Text("outcome"); !ok || s != "disclosed" {
		t.Errorf("Text: %q, %v", s, ok)
	}
	if b, ok := f.Bool("repeat_180d"); !ok || b {
		t.Errorf("Bool: %v, %v", b, ok)
	}
	if l, ok := f.List("ids"); !ok || len(l) != 2 {
		t.Errorf("List: %v, %v", l, ok)
	}
	if n, ok := f.Int("items"); !ok || n != 2 {
		t.Errorf("Int: %v, %v", n, ok)
	}
	if _, ok := f.Int("big"); ok {
		t.Error("Int of a number beyond int64 is ok")
	}
	if n, ok := (audit.Facts{"n": "-12"}).Int("n"); !ok || n != -12 {
		t.Errorf("Int of a decimal string: %v, %v", n, ok)
	}
	if _, ok := f.Int("absent"); ok {
		t.Error("Int of an absent fact is ok")
	}
}

func ExampleBody_Canonical() {
	b := audit.Body{
		Institution: "demo", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Stage: audit.StageIntent, Kind: "access.reveal",
		Actor: audit.Actor{ID: "p-0007", Roles: []string{"handler"}}, Subject: "complaint:c-1", Purpose: "handle",
		Fields: []string{"phone"}, Nonce: [16]byte{1}, // NewNonce() outside of examples
	}
	raw, err := b.Canonical()
	fmt.Println(string(raw), err)
	// Output: {"actor":{"id":"p-0007","roles":["handler"]},"at":"2026-01-02T03:04:05.000000Z","fields":["phone"],"institution":"demo","kind":"access.reveal","nonce":"01000000000000000000000000000000","purpose":"handle","stage":"intent","subject":"complaint:c-1","v":1} <nil>
}
