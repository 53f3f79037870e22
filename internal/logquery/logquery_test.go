package logquery_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/internal/logquery"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestParse(t *testing.T) {
	t.Parallel()
	day := func(s string) time.Time {
		at, err := time.ParseInLocation(time.DateOnly, s, time.FixedZone("", 8*3600))
		if err != nil {
			t.Fatal(err)
		}
		return at.UTC()
	}
	for text, want := range map[string]logquery.Query{
		"":          {},
		"actor:han": {Conditions: []logquery.Condition{{Key: "actor", Values: []string{"han"}}}},
		"操作人\uff1a李雷 决定:拒绝\uff0cdeny since:7d": {Since: now.AddDate(0, 0, -7), Conditions: []logquery.Condition{
			{Key: "actor", Values: []string{"李雷"}}, {Key: "decision", Values: []string{"deny", "deny"}}}},
		`-action:access.read,access.list  字段:phone,id_number`: {Conditions: []logquery.Condition{
			{Key: "action", Values: []string{"access.read", "access.list"}, Not: true}, {Key: "field", Values: []string{"phone", "id_number"}}}},
		`subject:"a b,c" KIND:x`:                             {Conditions: []logquery.Condition{{Key: "subject", Values: []string{"a b,c"}}, {Key: "action", Values: []string{"x"}}}},
		"自:2026-11-01 至:2026-11-02":                          {Since: day("2026-11-01"), Until: day("2026-11-03")},
		"since:2026-11-01T00:00:00Z until:90m stage:意图 条款:6": {Since: now.AddDate(0, 0, -22).Add(-12 * time.Hour), Until: now.Add(-90 * time.Minute), Conditions: []logquery.Condition{{Key: "stage", Values: []string{"intent"}}, {Key: "article", Values: []string{"6"}}}},
	} {
		got, err := logquery.Parse(text, now)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseRefusesByPlaceAlone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]logquery.Error{
		"secretname":                         {Code: "missing_key", Position: 1},
		"actor:x secretkey:y":                {Code: "unknown_key", Position: 2},
		"actor:":                             {Code: "empty_value", Position: 1, Key: "actor"},
		"actor:a,,b":                         {Code: "empty_value", Position: 1, Key: "actor"},
		`action:x actor:"secretname`:         {Code: "unclosed_quote", Position: 2},
		`"actor:x"`:                          {Code: "missing_key", Position: 1},
		"since:secret":                       {Code: "malformed", Position: 1, Key: "since"},
		"since:0d":                           {Code: "malformed", Position: 1, Key: "since"},
		"since:7d since:8d":                  {Code: "duplicate_key", Position: 2, Key: "since"},
		"-until:7d":                          {Code: "duplicate_key", Position: 1, Key: "until"},
		"since:1d until:2d":                  {Code: "malformed", Position: 2, Key: "until"},
		"decision:maybe":                     {Code: "unknown_value", Position: 1, Key: "decision"},
		"actor:a\x01b":                       {Code: "unknown_value", Position: 1, Key: "actor"},
		strings.Repeat("x", 1001):            {Code: "too_long"},
		"actor:a" + strings.Repeat(",b", 20): {Code: "too_many_values", Position: 1, Key: "actor"},
		strings.Repeat("actor:a ", 21):       {Code: "too_many_values", Position: 21},
		"actor:x action:reveal stage:secretvalue ": {Code: "unknown_value", Position: 3, Key: "stage"},
	} {
		_, err := logquery.Parse(text, now)
		e, ok := errors.AsType[*logquery.Error](err)
		if !ok || *e != want {
			t.Errorf("%q: %v, want %v", text, err, &want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error repeats what was typed", text)
		}
	}
}

func TestKeysAreClearValuesAreNot(t *testing.T) {
	t.Parallel()
	q, err := logquery.Parse("actor:han actor:hugo decision:deny since:7d", now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"actor", "decision", "since"}, q.Keys()); diff != "" {
		t.Error(diff)
	}
	if !q.Personal() {
		t.Error("a query for a person is not personal")
	}
	if q, _ := logquery.Parse("decision:deny rule:R5", now); q.Personal() {
		t.Error("a query for codes is personal")
	}
}

// Whatever is typed is understood or refused by place, and twice the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"actor:han", `-subject:"a b",c`, "操作人:李雷", "since:7d until:2026-01-01", `x:"`, "actor::x", "-", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := logquery.Parse(text, now)
		again, err2 := logquery.Parse(text, now)
		if (err == nil) != (err2 == nil) || !cmp.Equal(q, again) {
			t.Fatal("not the same twice")
		}
		if err != nil {
			if _, ok := errors.AsType[*logquery.Error](err); !ok {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		for _, c := range q.Conditions {
			if len(c.Values) == 0 || c.Key == "" {
				t.Fatalf("an empty condition: %v", c)
			}
		}
	})
}

func ExampleParse() {
	q, err := logquery.Parse("操作人:han 动作:reveal 决定:拒绝 -目的:audit", time.Now())
	if err != nil {
		panic(err)
	}
	for _, c := range q.Conditions {
		fmt.Println(c.Key, c.Values, c.Not)
	}
	fmt.Println(q.Keys())
	// Output:
	// actor [han] false
	// action [reveal] false
	// decision [deny] false
	// purpose [audit] true
	// [action actor decision purpose]
}
