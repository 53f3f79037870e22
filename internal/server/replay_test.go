package server_test

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/policy"
)

// decided makes entries of real decisions, as the door writes them.
type decided struct {
	t      *testing.T
	log    *audittest.Log
	engine *policy.Engine
	n      int
}

func newDecided(t *testing.T) *decided {
	t.Helper()
	var c policy.Catalogue
	for _, f := range complaint.Fields() {
		c.Fields = append(c.Fields, policy.Field{Name: f.Name, Group: f.Group, Class: f.Class})
	}
	e, err := policy.New(t.Context(), policy.Config{Catalogue: c, EvalTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	d := &decided{t: t, log: audittest.New(audittest.Config{}), engine: e}
	_, archive := e.Bundle()
	d.log.PutBlob(archive)
	return d
}

// entry appends one decision; change alters what the log says of it.
func (d *decided) entry(implicated bool, change func(*audit.Body)) {
	d.t.Helper()
	r := policy.Request{Institution: "demo", Action: "read", Purpose: "handle", At: time.Now(),
		Subject: policy.Subject{ID: "p-1", Kind: policy.KindHuman, Roles: []string{"handler"}, Department: "cards", Level: 3, StaffToken: []byte("t1")},
		Record: policy.Record{ID: "c-1", Department: "cards", Assignee: "p-1", Level: "general", Stage: "open", Sensitivity: "ordinary",
			RespondentTokens: [][]byte{[]byte("t9")}}}
	if implicated {
		r.Record.RespondentTokens = [][]byte{[]byte("t1")}
	}
	got, err := d.engine.Decide(d.t.Context(), r)
	if err != nil || got.Allowed() == implicated {
		d.t.Fatalf("%v, %v", got.Allowed(), err)
	}
	d.n++
	b := audittest.Body(4 * d.n)
	b.Kind, b.Stage, b.Facts, b.Commit, b.Actor.Roles, b.Purpose = "access.read", audit.StageIntent, audit.Facts{"masked": 1}, nil, r.Subject.Roles, r.Purpose
	b.Decision = &audit.DecisionRef{Result: audit.ResultAllow, Rule: got.TrueRule(), Article: got.TrueArticle(), Reason: got.TrueReason(), Bundle: got.Bundle(),
		ID: got.ID(), InputCommitment: got.InputCommitment()}
	if implicated {
		b.Kind, b.Stage, b.Facts = "access.denied", audit.StageEvent, audit.Facts{"action": "read", "reason": got.TrueReason()}
		b.Decision.Result = audit.ResultDeny
	}
	if change != nil {
		change(&b)
	}
	d.log.Append(b)
}

func (d *decided) replay(change ...func(fstest.MapFS)) (*server.Replay, error) {
	folder := d.log.Folder()
	for _, c := range change {
		c(folder)
	}
	return server.ReplayPolicy(d.t.Context(), folder, d.log.VerifierKey(), 0, 0)
}

// TestReplayOfALogFindsWhatWasNotDecidedSo: decisions as they were made replay; a rule, a result, an input or roles that the log gives
// otherwise are found, by index.
func TestReplayOfALogFindsWhatWasNotDecidedSo(t *testing.T) {
	t.Parallel()
	d := newDecided(t)
	d.entry(false, nil)
	d.entry(true, nil)
	if r, err := d.replay(); err != nil || r.Replayed != 2 || r.Differing != 0 || r.Skipped != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	commitment := ""
	d.entry(false, func(b *audit.Body) { commitment = b.Decision.InputCommitment })
	for i, tt := range []struct {
		change func(*audit.Body)
		want   policy.Differs
	}{
		{func(b *audit.Body) { b.Decision.Rule = "R3" }, policy.DiffersRule},
		{func(b *audit.Body) { b.Decision.InputCommitment = commitment }, ""}, // of an allow: the refusal is not what the policy says
		{func(b *audit.Body) { b.Actor.Roles = []string{"auditor"} }, policy.DiffersInput},
		{func(b *audit.Body) {
			b.Kind, b.Stage, b.Facts = "access.read", audit.StageIntent, nil
			b.Decision.Result = audit.ResultAllow
		}, ""},
	} {
		d.entry(true, tt.change)
		r, err := d.replay()
		if err != nil || r.Differing != i+1 || r.Differences[i].Index != uint64(3+i) || tt.want != "" && r.Differences[i].What != tt.want {
			t.Errorf("change %d: %+v, %v", i, r, err)
		}
	}
}

// TestReplaySaysWhatItSkipped: without its archive a decision is not evaluated, and counted; a log that does not verify is refused.
func TestReplaySaysWhatItSkipped(t *testing.T) {
	t.Parallel()
	d := newDecided(t)
	d.entry(false, nil)
	d.entry(false, func(b *audit.Body) { b.Decision.Reason = "not_evaluated" })
	other := d.log.PutBlob([]byte("not a bundle"))
	d.entry(false, func(b *audit.Body) { b.Decision.Bundle = other })
	r, err := d.replay()
	if err != nil || r.Replayed != 1 || r.Skipped != 2 || len(r.Why) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	digest, _ := d.engine.Bundle()
	if _, err := d.replay(func(f fstest.MapFS) { f[audit.BlobPath(digest)].Data[0] ^= 1 }); !errors.Is(err, server.ErrNotVerified) {
		t.Errorf("a changed archive: %v", err)
	}
}

// TestReplayBecomesAnEntry: what a replay came to stands in the log.
func TestReplayBecomesAnEntry(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	pool, err := pgxpool.New(t.Context(), s.db.App)
	must(t, err)
	defer pool.Close()
	must(t, server.RecordReplay(t.Context(), pool, s.cfg.Institution, &server.Replay{From: 3, Until: 9, Replayed: 5, Differing: 1}))
	log, err := pglog.New(t.Context(), pglog.Config{Pool: pool, Institution: s.cfg.Institution})
	must(t, err)
	entries, err := log.Trail(t.Context(), "charter:replay", 9)
	must(t, err)
	if len(entries) != 1 {
		t.Fatalf("%d entries", len(entries))
	}
	b, err := audit.ParseBody(entries[0].Body)
	must(t, err)
	from, _ := b.Facts.Int("from")
	replayed, _ := b.Facts.Int("replayed")
	differing, _ := b.Facts.Int("differing")
	if b.Kind != "policy.replayed" || from != 3 || replayed != 5 || differing != 1 {
		t.Errorf("%+v", b)
	}
}
