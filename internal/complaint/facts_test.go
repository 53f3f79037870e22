package complaint

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func recordedFacts() map[string]any {
	return map[string]any{
		"received_at": "2026-11-23T01:02:03Z", "channel": "phone", "source": "app", "level": "unclassified",
		"department": "cards", "branch": "b012", "repeat_180d": true, "referral": "none",
	}
}

func TestCheckFacts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, kind string
		change     map[string]any // nil values take the fact away
		fact       string         // the fact that is refused, "-" for none
	}{
		{"good", "complaint.recorded", nil, "-"},
		{"time as a time", "complaint.recorded", map[string]any{"received_at": time.Unix(1, 0).UTC()}, "-"},
		{"common fact", "complaint.recorded", map[string]any{"occurred_at": "2026-11-23T01:02:03.5Z"}, "-"},
		{"required fact is missing", "complaint.recorded", map[string]any{"channel": nil}, "channel"},
		{"fact that is not in the schema", "complaint.recorded", map[string]any{"narrative": "text"}, ""},
		{"name as a fact", "complaint.recorded", map[string]any{"complainant_name": "张三"}, ""},
		{"not a member", "complaint.recorded", map[string]any{"channel": "pigeon"}, "channel"},
		{"wrong type", "complaint.recorded", map[string]any{"repeat_180d": "yes"}, "repeat_180d"},
		{"time with an offset", "complaint.recorded", map[string]any{"received_at": "2026-11-23T01:02:03+08:00"}, "received_at"},
		{"local time", "complaint.recorded", map[string]any{"received_at": time.Unix(1, 0).In(time.FixedZone("x", 3600))}, "received_at"},
		{"telephone as a source", "complaint.recorded", map[string]any{"source": "a13800138000"}, "source"},
		{"telephone as a branch", "complaint.recorded", map[string]any{"branch": "13800138000"}, "branch"},
		{"Chinese text as a code", "complaint.recorded", map[string]any{"source": "网点"}, "source"},
		{"nothing", "complaint.recorded", map[string]any{"branch": ""}, "branch"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			facts := recordedFacts()
			for k, v := range tc.change {
				if facts[k] = v; v == nil {
					delete(facts, k)
				}
			}
			checkFact(t, CheckFacts(tc.kind, facts), tc.fact)
		})
	}
}

func checkFact(t *testing.T, err error, want string) {
	t.Helper()
	var fe *FactError
	switch {
	case want == "-" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "-" && (!errors.As(err, &fe) || fe.Fact != want):
		t.Errorf("got %v, want fact %q refused", err, want)
	}
}

func TestFactTypes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 129)
	for _, tc := range []struct {
		typ       string
		good, bad []any
	}{
		{"bool", []any{true, false}, []any{"true", 1, nil}},
		{"int", []any{1, int64(-5), uint64(7), json.Number("12"), "12", "-1"}, []any{"1.5", "+1", "01", "", 1.0, uint64(1 << 63), "9223372036854775808"}},
		{"score", []any{1, 5, "3"}, []any{0, 6, "x"}},
		{"time", []any{"2026-11-23T01:02:03.123456Z"}, []any{"2026-11-23", "", time.Time{}, 5}},
		{"code", []any{"a", "L-15", "x.y:z_1"}, []any{"", "1a", "a b", "a12345678901", long, "é"}},
		{"codes", []any{[]string{}, []string{"a", "b"}, []any{"a"}}, []any{[]string{"1"}, []any{1}, "a", nil}},
		{"refs", []any{[]string{"17", "018f3c"}}, []any{[]string{"a b"}, []string{""}}},
		{"unit", []any{"0101", "b-1.2", "1101080012"}, []any{"12345678901", "a/b", ""}},
		{"ref", []any{"018f3c1e-7b7a-7cc2", "20482048204820"}, []any{"", "a b", long}},
		{"alias", []any{"p-3fa9"}, []any{"张三", ""}},
		{"hex", []any{"00ff"}, []any{"", "0X", "00FF", long}},
		{"text", []any{"bank-a.example/2026", "v1 (x)"}, []any{"", "a\n", "call 13800138000", long, "中"}},
		{"field", []any{"phone"}, []any{"no_such_field", ""}},
		{"channel", []any{"phone"}, []any{"pigeon", 1}},
	} {
		for _, v := range tc.good {
			if !Registry().factFits(tc.typ, v) {
				t.Errorf("%s refuses %v", tc.typ, v)
			}
		}
		for _, v := range tc.bad {
			if Registry().factFits(tc.typ, v) {
				t.Errorf("%s takes %v", tc.typ, v)
			}
		}
	}
}

func TestFactErrorsHoldNoValue(t *testing.T) {
	t.Parallel()
	for fact := range recordedFacts() {
		facts := recordedFacts()
		facts[fact] = "canary 7731"
		err := CheckFacts("complaint.recorded", facts)
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), fact) {
			t.Errorf("%s: got %v, want the fact's name and not its value", fact, err)
		}
	}
	facts := recordedFacts()
	facts["canary7731"] = true
	if err := CheckFacts("complaint.recorded", facts); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("unknown fact: got %v, want a refusal without its name", err)
	}
	if err := CheckFacts("canary7731", nil); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("unknown kind: got %v", err)
	}
}

// TestSpecificTypeWinsOverCommon: an event may require a fact that others only
// may have.
func TestSpecificTypeWinsOverCommon(t *testing.T) {
	t.Parallel()
	facts := recordedFacts()
	delete(facts, "level")
	checkFact(t, CheckFacts("complaint.recorded", facts), "level")
	typ, required, ok := Registry().FactType("complaint.recorded", "level")
	if typ != "level" || !required || !ok {
		t.Errorf("got %s, %v, %v", typ, required, ok)
	}
	if _, required, ok := Registry().FactType("complaint.closed", "level"); required || !ok {
		t.Error("a common fact is not optional")
	}
	if _, _, ok := Registry().FactType("complaint.closed", "narrative"); ok {
		t.Error("a fact that is not in the schema was found")
	}
	names := Registry().FactNames("complaint.closed")
	if len(names) != len(Registry().CommonFacts)+1 {
		t.Errorf("got %v", names)
	}
}
