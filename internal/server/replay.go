package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/policy"
)

// ErrNotVerified is returned where a log that is to be replayed is not what was
// signed: whatever its decisions come to would say nothing.
var ErrNotVerified = errors.New("the published log does not verify: see trailcheck verify")

// maxDiffering bounds the differences that a replay lists; all are counted.
const maxDiffering = 100

// neverEvaluated is the reason of a decision that never
// reached OPA.
const neverEvaluated = "not_evaluated"

// actionOf is the verb that a kind of entry belongs to, for the search only.
var actionOf = map[string]string{
	"access.read": "read", "access.reveal": "reveal", "access.search": "search", "access.list": "list", "access.trail": "trail",
	"access.report": "report", "access.log": "log", "access.file": "read", "access.disclosed": "disclose", "complaint.recorded": "create",
}

// Difference is a recorded decision that its archived bundle does not make.
type Difference struct {
	Index uint64         `json:"index"`
	What  policy.Differs `json:"what"`
}

// Replay is what became of a period's decisions.
type Replay struct {
	Origin      string         `json:"origin"`
	From        uint64         `json:"from"`
	Until       uint64         `json:"until"` // the first entry that was not looked at
	Replayed    int            `json:"replayed"`
	Differing   int            `json:"differing"`
	Skipped     int            `json:"skipped"`
	Differences []Difference   `json:"differences,omitempty"` // the first maxDiffering
	Why         map[string]int `json:"why,omitempty"`         // of those skipped
}

// replaying is a Replay under way.
type replaying struct {
	Replay
	ctx     context.Context //nolint:containedctx // of one call of ReplayPolicy, which the verifier's callback has no way to get
	folder  fs.FS
	bundles map[string]*policy.Replay // nil: cannot be opened
}

// ReplayPolicy verifies one log's folder and evaluates every decision of the
// entries [from, until) again, with the archived bundle that it names and OPA;
// until 0 means all. It writes nothing.
func ReplayPolicy(ctx context.Context, folder fs.FS, key string, from, until uint64) (*Replay, error) {
	r := &replaying{Replay: Replay{From: from, Until: until, Why: map[string]int{}}, ctx: ctx, folder: folder, bundles: map[string]*policy.Replay{}}
	report, err := verify.Verify(ctx, folder, verify.Options{VerifierKey: key, Entries: r.take})
	if err != nil {
		return nil, fmt.Errorf("replaying decisions: %w", err)
	}
	if !report.OK() {
		return nil, ErrNotVerified
	}
	r.Origin = report.Origin
	if r.Until == 0 || r.Until > report.Size {
		r.Until = report.Size
	}
	return &r.Replay, nil
}

func (r *replaying) take(v *audit.LeafView) error {
	if v.Index < r.From || r.Until > 0 && v.Index >= r.Until || len(v.Bundle()) == 0 {
		return nil
	}
	if string(v.Reason()) == neverEvaluated {
		r.skip("never evaluated")
		return nil
	}
	b, err := r.bundle(string(v.Bundle()))
	if err != nil {
		return err
	}
	if b == nil {
		r.skip("bundle of another version, or not archived")
		return nil
	}
	got, err := b.Check(r.ctx, recordedDecision(v))
	if err != nil {
		return fmt.Errorf("replaying entry %d: %w", v.Index, err)
	}
	r.Replayed++
	if got == "" {
		return nil
	}
	if r.Differing++; len(r.Differences) < maxDiffering {
		r.Differences = append(r.Differences, Difference{v.Index, got})
	}
	return nil
}

func (r *replaying) skip(why string) {
	r.Skipped++
	r.Why[why]++
}

// bundle opens an archived bundle once; nil for one that this program cannot
// evaluate.
func (r *replaying) bundle(digest string) (*policy.Replay, error) {
	if b, known := r.bundles[digest]; known {
		return b, nil
	}
	archive, err := fs.ReadFile(r.folder, audit.BlobPath(digest))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading a policy bundle: %w", err)
	}
	b, err := policy.OpenReplay(r.ctx, archive, policyCatalogue())
	if err != nil && !errors.Is(err, policy.ErrBundle) {
		return nil, err
	}
	if err != nil || b.Digest() != digest {
		b = nil
	}
	r.bundles[digest] = b
	return b, nil
}

func recordedDecision(v *audit.LeafView) policy.Recorded {
	body := v.Body()
	action, _ := body.Facts.Text("action")
	if action == "" {
		action = actionOf[body.Kind]
	}
	d := body.Decision
	return policy.Recorded{Roles: body.Actor.Roles, Purpose: body.Purpose, Action: action, Fields: body.Fields, Allowed: d.Result == audit.ResultAllow,
		Refused: body.Kind == "access.denied", Rule: d.Rule, Article: d.Article, Reason: d.Reason, InputCommitment: d.InputCommitment}
}

// policyCatalogue is the service's catalogue as the policy takes it.
func policyCatalogue() (c policy.Catalogue) {
	for _, f := range complaint.Fields() {
		c.Fields = append(c.Fields, policy.Field{Name: f.Name, Group: f.Group, Class: f.Class})
	}
	return c
}

// RecordReplay makes a replay an entry. It is durable on return.
func RecordReplay(ctx context.Context, pool *pgxpool.Pool, institution string, r *Replay) error {
	trail, err := pglog.New(ctx, pglog.Config{Pool: pool, Institution: institution})
	if err != nil {
		return err
	}
	alias, err := trail.Alias(ctx, "operator")
	if err != nil {
		return err
	}
	facts := audit.Facts{"from": int(r.From), "until": int(r.Until), "replayed": r.Replayed, "differing": r.Differing, "skipped": r.Skipped}
	if err := complaint.CheckFacts("policy.replayed", facts); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := trail.AppendTx(ctx, tx, audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "policy.replayed",
			Actor: audit.Actor{ID: alias, Auth: "operator"}, Subject: "charter:replay", Facts: facts})
		return err
	})
}
