package verify_test

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// headsOf folds the leaves of logs, the last one up to size, by the definition.
func headsOf(size uint64, logs ...*audittest.Log) (m audit.Heads) {
	for i, l := range logs {
		to := l.Size()
		if i == len(logs)-1 {
			to = size
		}
		for index := range to {
			leaf, err := audit.ParseLeaf(l.Leaf(index))
			if err != nil {
				panic(err)
			}
			if s := leaf.Body.Subject; audit.InHeads(s) {
				m.Set(audit.Head{Key: audit.HeadKey(s), N: leaf.TrailN, Last: audit.LeafHash(l.Leaf(index))})
			}
		}
	}
	return m
}

// commitTo is the entry that commits to the ends of trails after size entries of the last log.
func commitTo(size uint64, logs ...*audittest.Log) audit.Body {
	m := headsOf(size, logs...)
	root := m.Root()
	b := audittest.Body(0)
	b.Kind, b.Stage, b.Subject, b.Commit = audit.HeadsKind, audit.StageEvent, audit.HeadsSubject, nil
	b.Facts = audit.Facts{"origin": logs[len(logs)-1].Origin(), "size": size, "trails": m.Len(), "root": hex.EncodeToString(root[:])}
	return b
}

func heads(t *testing.T, opts verify.Options, l *audittest.Log) verify.Step {
	t.Helper()
	opts.VerifierKey = l.VerifierKey()
	rep, err := verify.Verify(t.Context(), l.Folder(), opts)
	if err != nil {
		t.Fatal(err)
	}
	s := rep.HeadsStep(11)
	if rep.OK() == (s.Status == verify.Failed) {
		t.Errorf("the report is ok: %v, and the step %s", rep.OK(), s.Status)
	}
	return s
}

func TestCommittedHeadsAreRecomputed(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	l.PutBlob([]byte(policyBundle))
	l.Append(audittest.Bodies(300)...)
	l.Append(commitTo(300, l))
	l.Append(audittest.Bodies(500)[200:]...)
	l.Append(commitTo(420, l), commitTo(590, l), commitTo(301, l), commitTo(601, l), commitTo(0, l))
	if s := heads(t, verify.Options{}, l); s.Status != verify.OK || s.Number != 11 {
		t.Fatalf("%+v", s)
	}
}

func TestFalseHeadsAreFound(t *testing.T) {
	t.Parallel()
	for code, lie := range map[string]func(f audit.Facts){
		"heads_root":   func(f audit.Facts) { f["root"] = fmt.Sprintf("%064x", 1) },
		"heads_root 2": func(f audit.Facts) { f["trails"] = 7 },
		"heads_root 3": func(f audit.Facts) { f["size"] = 299 },
		"heads_form":   func(f audit.Facts) { f["size"] = 400 },
		"heads_form 2": func(f audit.Facts) { f["origin"] = "sealtrail.example/other" },
		"heads_form 3": func(f audit.Facts) { delete(f, "size") },
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			l := audittest.New(audittest.Config{})
			l.PutBlob([]byte(policyBundle))
			l.Append(audittest.Bodies(300)...)
			b := commitTo(300, l)
			lie(b.Facts)
			l.Append(b)
			l.Append(commitTo(301, l))
			s := heads(t, verify.Options{}, l)
			if len(s.Findings) != 1 || s.Findings[0].Code != code[:10] || *s.Findings[0].From != 300 {
				t.Fatalf("%+v", s)
			}
		})
	}
}

func TestHeadsAcrossYears(t *testing.T) {
	t.Parallel()
	first := audittest.New(audittest.Config{Origin: "sealtrail.example/demo/2025"})
	first.PutBlob([]byte(policyBundle))
	first.Append(audittest.Bodies(300)...)
	late := commitTo(290, first) // sequenced to the next year's log
	second := audittest.New(audittest.Config{Trails: first.Trails(), FirstID: 1000})
	second.PutBlob([]byte(policyBundle))
	opened := audittest.Body(0)
	c, err := audit.SplitNote(first.Checkpoint())
	if err != nil {
		t.Fatal(err)
	}
	head, err := audit.ParseCheckpoint(c.Text)
	if err != nil {
		t.Fatal(err)
	}
	opened.Kind, opened.Subject, opened.Facts, opened.Commit = "log.opened", "charter:log", audit.Facts{"origin": head.Origin, "size": head.Size, "root": hex.EncodeToString(head.Root[:])}, nil
	second.Append(opened, late)
	second.Append(audittest.Bodies(400)[250:]...)
	second.Append(commitTo(152, first, second))
	var trails verify.Trails
	if s := heads(t, verify.Options{Trails: &trails}, first); s.Status != verify.NotChecked {
		t.Fatalf("%+v", s)
	}
	if s := heads(t, verify.Options{Trails: &trails}, second); s.Status != verify.OK {
		t.Fatalf("%+v", s)
	}
	if s := heads(t, verify.Options{}, second); s.Status != verify.NotChecked || len(s.Notes) != 1 {
		t.Fatalf("without the earlier log: %+v", s)
	}
}
