package complaint

import (
	"testing"
	"time"
)

func TestRetentionRulesCoverTheSet(t *testing.T) {
	t.Parallel()
	rules := RetentionRules()
	if len(rules) != len(Registry().Allowed("retention_rule")) {
		t.Fatalf("%d rules for %d words", len(rules), len(Registry().Allowed("retention_rule")))
	}
	for _, r := range rules {
		if !Registry().Has("retention_rule", r.Rule) || r.ZH == "" || r.EN == "" || r.Source == "" || r.Certainty == "" {
			t.Errorf("%s lacks a word, a label, its source or how certain that is", r.Rule)
		}
		if (r.Years == 0) != (r.From == "") {
			t.Errorf("%s: a period counts from something", r.Rule)
		}
	}
}

func TestRetentionIsCountedInChineseDays(t *testing.T) {
	t.Parallel()
	for closed, want := range map[string]string{
		"2026-11-23T08:00:00Z": "2029-11-23T16:00:00Z", // 24:00 of 23 November in China
		"2026-11-23T15:59:59Z": "2029-11-23T16:00:00Z",
		"2026-11-23T16:00:00Z": "2029-11-24T16:00:00Z", // already the 24th in China
		"2028-02-29T04:00:00Z": "2031-03-01T16:00:00Z",
	} {
		at, err := time.Parse(time.RFC3339, closed)
		if err != nil {
			t.Fatal(err)
		}
		until, rule := Retention(at, []string{"narrative", "id_number"}, false)
		if rule != RetentionComplaint || until.Format(time.RFC3339) != want {
			t.Errorf("closed %s: %s by %s, want %s", closed, until.Format(time.RFC3339), rule, want)
		}
	}
}

func TestTenYearsOnlyWhereTheCopyIsTheRecord(t *testing.T) {
	t.Parallel()
	closed := time.Date(2026, 1, 5, 4, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		stored []string
		aml    bool
		want   string
	}{
		{[]string{"narrative", "bank_card"}, false, RetentionComplaint},
		{[]string{"narrative"}, true, RetentionComplaint},
		{[]string{"narrative", "bank_card"}, true, RetentionAML},
		{nil, true, RetentionComplaint},
	} {
		if _, rule := Retention(closed, c.stored, c.aml); rule != c.want {
			t.Errorf("%v, aml %t: %s, want %s", c.stored, c.aml, rule, c.want)
		}
	}
}

func TestGroupsEndByThemselves(t *testing.T) {
	t.Parallel()
	a := Attrs{Milestones: map[string]time.Time{"complaint.closed": time.Date(2026, 1, 5, 4, 0, 0, 0, time.UTC)}, RetentionReason: RetentionAML}
	three, ten := time.Date(2029, 1, 5, 16, 0, 0, 0, time.UTC), time.Date(2036, 1, 5, 16, 0, 0, 0, time.UTC)
	a.RetentionUntil = ten
	ends := RetentionEnds(&a)
	for _, f := range SealedFields() {
		want := three
		if f.Group == "identity" || f.Group == "account" || f.Group == "amount" { // each holds a field of ten years
			want = ten
		}
		if !ends[f.Group].Equal(want) {
			t.Errorf("%s ends %s, want %s", f.Group, ends[f.Group], want)
		}
	}
	if end := RetentionEnd(&a, []string{"narrative", "feedback"}); !end.Equal(three) {
		t.Errorf("narrative and feedback end %s", end)
	}
	if end := RetentionEnd(&a, []string{"narrative", "account"}); !end.Equal(ten) {
		t.Errorf("narrative and account end %s", end)
	}
	if end := RetentionEnd(&a, nil); !end.Equal(ten) {
		t.Errorf("the record ends %s", end)
	}
	a.RetentionReason, a.RetentionUntil = RetentionComplaint, three
	if end := RetentionEnd(&a, []string{"account"}); !end.Equal(three) {
		t.Errorf("where the copy is no such record, account ends %s", end)
	}
}

// TestWhatIsNotKnownHasNotEnded: no closing, no end; no reason, the longest.
func TestWhatIsNotKnownHasNotEnded(t *testing.T) {
	t.Parallel()
	open := Attrs{Milestones: map[string]time.Time{"complaint.accepted": time.Unix(0, 0)}}
	if RetentionEnds(&open) != nil || !RetentionEnd(&open, nil).IsZero() || !RetentionEnd(&open, []string{"narrative"}).IsZero() {
		t.Error("an open complaint has an end of retention")
	}
	closed := Attrs{Milestones: map[string]time.Time{"complaint.withdrawn": time.Date(2026, 1, 5, 4, 0, 0, 0, time.UTC)}}
	if end := RetentionEnd(&closed, nil); end.Year() != 2036 {
		t.Errorf("a record that does not say why it is kept is kept until %s", end)
	}
	if !RetentionEnd(&closed, []string{"meta"}).IsZero() {
		t.Error("the clear attributes end before the log")
	}
}

func TestLiftingReturnsToWhereItWasRestrictedFrom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ act, next, from, want string }{
		{"lift_restriction", "archived", "closed", "closed"},
		{"lift_restriction", "archived", "refused", "refused"},
		{"lift_restriction", "archived", "", "archived"},
		{"lift_restriction", "archived", "nowhere", "archived"},
		{"restrict", "restricted", "closed", "restricted"},
	} {
		if got := ReturnState(c.act, c.next, c.from); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}
