package verify_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// years is a folder of three years' logs, each closed and taken over; change may alter them before they are joined.
func years(change func(log []*audittest.Log)) (root fstest.MapFS, keys string) {
	var logs []*audittest.Log
	var trails *audittest.Trails
	id := uint64(1)
	for i, origin := range []string{"demo/2024", "demo/2025", "demo/2026"} {
		l := audittest.New(audittest.Config{Origin: origin, FirstID: id, Trails: trails, Start: time.Date(2024+i, 1, 1, 0, 0, 0, 0, time.UTC)})
		l.PutBlob([]byte(policyBundle))
		if i > 0 {
			l.Append(logs[i-1].Opening())
		}
		l.Append(audittest.Bodies(300)[100*i : 100*i+100]...)
		if i < 2 {
			l.Append(l.Closing())
		}
		id, trails = id+l.Size(), l.Trails()
		logs = append(logs, l)
		keys += l.VerifierKey() + "\n"
	}
	if change != nil {
		change(logs)
	}
	root = fstest.MapFS{}
	for _, l := range logs {
		for name, f := range l.Folder() {
			root[l.Origin()+"/"+name] = f
		}
	}
	return root, keys
}

// Each year's log commits to the former one's final checkpoint; whoever re-signs a former year with the real key is convicted by
// the next year's first entry alone.
func TestTheNextLogVouchesForTheFormer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func([]*audittest.Log)
		log    int
		step   int
		code   string // "": nothing wrong
	}{
		{name: "genuine"},
		{"last year rewritten, its trails left as they are", func(l []*audittest.Log) {
			l[1] = l[1].Rewrite(func(i uint64, b *audit.Body) bool {
				if i == 40 {
					b.Net = "elsewhere"
				}
				return true
			})
		}, 2, verify.StepCheckpoints, "former_differs"},
		{"the first year cut off before its closing", func(l []*audittest.Log) {
			l[0] = l[0].Rewrite(func(i uint64, _ *audit.Body) bool { return i < 100 })
		}, 1, verify.StepCheckpoints, "former_differs"},
		{"an entry behind the closing", func(l []*audittest.Log) { l[0].Append(audittest.Body(7777)) }, 0, verify.StepEntries, "after_closed"},
		{"the opening names nothing", func(l []*audittest.Log) {
			l[2] = l[2].Rewrite(func(i uint64, b *audit.Body) bool {
				if i == 0 {
					b.Facts = audit.Facts{"origin": "demo/2026"}
				}
				return true
			})
		}, 2, verify.StepCheckpoints, "former_unnamed"},
		{"the opening is not there", func(l []*audittest.Log) {
			l[2] = l[2].Rewrite(func(i uint64, _ *audit.Body) bool { return i > 0 })
		}, 2, verify.StepCheckpoints, "former_unnamed"},
		{"the closing states another root", func(l []*audittest.Log) {
			l[1] = l[1].Rewrite(func(_ uint64, b *audit.Body) bool {
				if b.Kind == "log.closed" {
					b.Facts["root"] = strings.Repeat("ab", 32)
				}
				return true
			})
		}, 1, verify.StepEntries, "closed_differs"},
		{"the closing states another size", func(l []*audittest.Log) {
			l[1] = l[1].Rewrite(func(_ uint64, b *audit.Body) bool {
				if b.Kind == "log.closed" {
					b.Facts["size"] = int64(7)
				}
				return true
			})
		}, 1, verify.StepEntries, "closed_differs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root, keys := years(test.change)
			reports, err := verify.VerifyAll(t.Context(), root, verify.Options{VerifierKey: keys})
			if err != nil || len(reports) != 3 {
				t.Fatalf("%d reports, %v", len(reports), err)
			}
			if test.code == "" {
				for _, r := range reports {
					if !r.OK() || len(r.Step(verify.StepCheckpoints).Notes) > 0 {
						t.Errorf("%s: %s", r.Origin, findings(r))
					}
				}
				return
			}
			for _, f := range reports[test.log].Step(test.step).Findings {
				if f.Code == test.code {
					return
				}
			}
			t.Errorf("no %s:\n%s", test.code, findings(reports[test.log]))
		})
	}
}

// A year that is not there is said, not passed over.
func TestAMissingYearIsNotChecked(t *testing.T) {
	t.Parallel()
	root, keys := years(nil)
	for name := range root {
		if strings.HasPrefix(name, "demo/2025/") {
			delete(root, name)
		}
	}
	reports, err := verify.VerifyAll(t.Context(), root, verify.Options{VerifierKey: keys})
	if err != nil || len(reports) != 2 {
		t.Fatalf("%d reports, %v", len(reports), err)
	}
	notes := reports[1].Step(verify.StepCheckpoints).Notes
	if len(notes) == 0 || !strings.Contains(notes[0].EN, "not checked: the log before this one, demo/2025 of 102 entries") || !strings.Contains(notes[0].ZH, "未检查") {
		t.Errorf("notes: %v", notes)
	}
}
