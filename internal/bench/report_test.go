package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAFigureSaysWhetherItMeetsItsGoalAndByHowMuchItDoesNot(t *testing.T) {
	t.Parallel()
	var b bench
	b.judge(Line{Name: "slow", Value: 3, Unit: "us", Note: "why"}, atMost(2), 1.23456)
	b.judge(Line{Name: "fast", Value: 0.80004, Unit: "x"}, atLeast(0.75), 0)
	b.judge(Line{Name: "short", Value: 0.5, Unit: "x"}, atLeast(0.75), 0)
	b.report("told", 7, "us", "")
	yes, no, floor := true, false, 1.235
	want := []Line{
		{Name: "slow", Value: 3, Unit: "us", Goal: "<= 2", Met: &no, Floor: &floor, Note: "missed: 50 % above the goal; why"},
		{Name: "fast", Value: 0.8, Unit: "x", Goal: ">= 0.75", Met: &yes},
		{Name: "short", Value: 0.5, Unit: "x", Goal: ">= 0.75", Met: &no, Note: "missed: 33 % below the goal"},
		{Name: "told", Value: 7, Unit: "us"},
	}
	if diff := cmp.Diff(want, b.lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestFiguresAreAListOfTheNamedMembers(t *testing.T) {
	t.Parallel()
	yes, floor := true, 2.0
	name := filepath.Join(t.TempDir(), "bench.json")
	lines := []Line{{Name: "a", Value: 1, Unit: "x", Goal: "<= 2", Met: &yes, Floor: &floor, Note: "n"}, {Name: "b", Value: 1, Unit: "x"}}
	if err := writeJSON(name, lines); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"name": "a", "value": 1.0, "unit": "x", "goal": "<= 2", "met": true, "floor": 2.0, "note": "n"},
		{"name": "b", "value": 1.0, "unit": "x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bench.json (-want +got):\n%s", diff)
	}
}

func TestTheTableShowsEveryLine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	b := bench{out: &out}
	b.judge(Line{Name: "one", Value: 1, Unit: "x"}, atMost(2), 0)
	b.judge(Line{Name: "two", Value: 3, Unit: "x"}, atMost(2), 0)
	b.table()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[1], "✓  one") || !strings.HasPrefix(lines[2], "✗  two") {
		t.Errorf("table:\n%s", out.String())
	}
}

func TestRoundKeepsFourDigits(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]float64{0: 0, 1234567: 1235000, 0.000123456: 0.0001235, -12.3456: -12.35, 250000: 250000} {
		if got := round(value); got != want {
			t.Errorf("round(%v) = %v, want %v", value, got, want)
		}
	}
}

func TestUnknownPartsAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := parse([]string{"-only", "seal,nothing"}); err == nil {
		t.Error("a part that does not exist was accepted")
	}
	if o, err := parse([]string{"-only", "seal,http", "-long"}); err != nil || !o.long {
		t.Errorf("parse: %+v, %v", o, err)
	}
}
