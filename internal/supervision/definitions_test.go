package supervision

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/clock"
)

// What issue and design ask for is there, each figure with a use, a counter-figure and words in both languages.
func TestEmbeddedDefinitions(t *testing.T) {
	t.Parallel()
	d, err := ParseDefinitions(Embedded())
	if err != nil {
		t.Fatal(err)
	}
	want := "M01 M02 M03 M04 M05 M06 M07 M08 M09 M13 M13b M14 M16 M16b M23 M24 M28 M28b M41"
	var ids []string
	for _, f := range d.Figures {
		ids = append(ids, f.ID)
		for what, x := range map[string]Text{"name": f.Name, "numerator": f.Numerator, "denominator": f.Denominator, "undecided": f.Undecided} {
			if x.ZH == "" || x.EN == "" {
				t.Errorf("%s: %s lacks a language", f.ID, what)
			}
		}
	}
	if got := strings.Join(ids, " "); got != want {
		t.Errorf("figures: got %s, want %s", got, want)
	}
	if d.Digest() != digestOf(Embedded()) {
		t.Error("digest is not the bytes' own")
	}
}

// Every clock a definition names exists, and is law where the definition says so.
func TestDefinitionsNameRealClocks(t *testing.T) {
	t.Parallel()
	law, norm := clock.CNLaw(), clock.Norm()
	for _, f := range inputs(t).Definitions.Figures {
		for _, id := range f.Clocks {
			_, isLaw := law.Clock(id)
			_, isNorm := norm.Clock(id)
			if own := f.Measure == "breakglass_review"; !isLaw && !isNorm && !own {
				t.Errorf("%s: no clock %s", f.ID, id)
			}
			if f.Basis == "law" && !isLaw || f.Basis == "norm" && !isNorm {
				t.Errorf("%s: basis %s does not fit clock %s", f.ID, f.Basis, id)
			}
		}
	}
}

// Every event a clock starts or stops at reaches it.
func TestClocksGetTheirEvents(t *testing.T) {
	t.Parallel()
	known := map[string]bool{clock.StartReceived: true}
	for _, k := range milestoneKinds() {
		known[k] = true
	}
	for _, p := range []clock.Profile{clock.CNLaw(), clock.Norm()} {
		for _, c := range p.Clocks {
			if !known[c.Start] || !known[c.Stop] {
				t.Errorf("%s: the fold keeps no %s or no %s", c.ID, c.Start, c.Stop)
			}
		}
	}
}

func TestDefinitionsRefused(t *testing.T) {
	t.Parallel()
	figure := func(d map[string]any, i int) map[string]any { return d["figures"].([]any)[i].(map[string]any) }
	for name, change := range map[string]func(map[string]any){
		"other format":         func(d map[string]any) { d["format"] = "sealtrail-definitions/9" },
		"unknown member":       func(d map[string]any) { d["magic"] = 1 },
		"other zone":           func(d map[string]any) { d["zone"] = "UTC" },
		"bands descending":     func(d map[string]any) { d["age_bands_days"] = []int{9, 3} },
		"no review limit":      func(d map[string]any) { d["review_within_hours"] = 0 },
		"other kinds":          func(d map[string]any) { d["reads"] = []string{"access.read"} },
		"unknown measure":      func(d map[string]any) { figure(d, 0)["measure"] = "luck" },
		"no cohort":            func(d map[string]any) { figure(d, 0)["cohort"] = "X" },
		"no counter-figure":    func(d map[string]any) { figure(d, 0)["counter"] = "M99" },
		"its own counter":      func(d map[string]any) { figure(d, 0)["counter"] = "M01" },
		"id twice":             func(d map[string]any) { figure(d, 1)["id"] = "M01" },
		"unknown use":          func(d map[string]any) { figure(d, 0)["use"] = "bonus" },
		"target never a one":   func(d map[string]any) { figure(d, 0)["use"] = "never_a_target" },
		"target above 100 %":   func(d map[string]any) { figure(d, 0)["target_bp"] = 10001 },
		"timely, but no clock": func(d map[string]any) { figure(d, 0)["clocks"] = []string{} },
	} {
		var d map[string]any
		if err := json.Unmarshal(embedded, &d); err != nil {
			t.Fatal(err)
		}
		change(d)
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseDefinitions(b); !errors.Is(err, ErrDefinitions) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Words for every detail, unit and label in both languages; details that the code writes are all known.
func TestLabelsAreComplete(t *testing.T) {
	t.Parallel()
	l := loadLabels()
	for _, m := range []map[string]Text{l.Words, l.Details, l.Units} {
		for k, x := range m {
			if x.ZH == "" || x.EN == "" {
				t.Errorf("%s lacks a language", k)
			}
		}
	}
	for _, r := range []Report{report(t, "2026-01", january(t)), report(t, "2026-Q1", synthetic(t, 300, 3))} {
		for _, f := range r.Figures {
			for _, d := range f.Details {
				if _, ok := l.Details[d.Name]; !ok {
					t.Errorf("no word for detail %s", d.Name)
				}
				if _, ok := l.Units[d.Unit]; !ok {
					t.Errorf("no word for unit %s", d.Unit)
				}
			}
		}
	}
}

func TestParsePeriod(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2026-01": "2025-12-31T16:00:00Z/2026-01-31T16:00:00Z",
		"2026-Q4": "2026-09-30T16:00:00Z/2026-12-31T16:00:00Z",
		"2024":    "2023-12-31T16:00:00Z/2024-12-31T16:00:00Z",
	} {
		p, err := ParsePeriod(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.From.UTC().Format("2006-01-02T15:04:05Z") + "/" + p.To.UTC().Format("2006-01-02T15:04:05Z"); got != want || p.Name != in {
			t.Errorf("%s: got %s %s", in, p.Name, got)
		}
	}
	for _, in := range []string{"", "2026-13", "2026-00", "2026-1", "26-01", "2026-Q5", "2026-q1", "2026-+1", " 2026", "1999", "2026-01-01"} {
		if _, err := ParsePeriod(in); err == nil {
			t.Errorf("%q is accepted", in)
		}
	}
	weeks := period(t, "2026-01").weeks()
	if len(weeks) != 5 || weeks[0].name != "2026-W01" || weeks[4].name != "2026-W05" {
		t.Errorf("weeks: %v", weeks)
	}
}
