package custody

import (
	"context"
	"encoding/hex"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// outcomeQueue is how many outcomes may wait for the writer. A full queue makes
// the caller wait; it never drops one.
const outcomeQueue = 4096

// outcomeBatch is the most outcomes of one append.
const outcomeBatch = 256

// subjectOf is the trail key of a complaint.
func subjectOf(id string) string { return "complaint:" + id }

// body is an entry with everything that the caller and the decision say.
func (a *asked) body(stage audit.Stage, kind string, facts audit.Facts) audit.Body {
	b := audit.Body{
		At: a.at, Stage: stage, Kind: kind,
		Actor:   audit.Actor{ID: a.alias, Roles: a.subject.Roles, Auth: a.caller.Auth, OnBehalf: a.caller.OnBehalf},
		Subject: "request:" + a.caller.Request, Purpose: a.purpose, Request: a.caller.Request, Net: a.caller.Net, Facts: facts,
		Decision: decisionRef(a.decision, audit.ResultAllow),
	}
	if a.row != nil {
		b.Subject, b.Revision = subjectOf(a.row.ID), a.row.Revision
	}
	return b
}

func (a *asked) intent(kind string, fields []string, facts audit.Facts) audit.Body {
	b := a.body(audit.StageIntent, kind, facts)
	b.Fields = fields
	return b
}

// event is the entry of a change to next, appended in the change's transaction.
func (a *asked) event(kind string, next *store.Complaint, facts audit.Facts) audit.Body {
	b := a.body(audit.StageEvent, kind, facts)
	b.Subject, b.Revision = subjectOf(next.ID), next.Revision
	sum := field.ManifestDigest(next.Manifest)
	b.Commit = map[string]string{"manifest": hex.EncodeToString(sum[:])}
	return b
}

// denial is the entry of a refusal. It holds the true reason; the caller hears
// the public one. hidden says that the caller hears "no such record".
func (a *asked) denial(hidden bool) audit.Body {
	facts := audit.Facts{"action": a.action, "reason": a.decision.TrueReason()}
	b := a.body(audit.StageEvent, "access.denied", facts)
	b.Fields = a.fields
	b.Decision = decisionRef(a.decision, audit.ResultDeny)
	if hidden {
		if a.row == nil {
			b.Subject = "query:" + a.caller.Request
			facts["unknown_record"] = true
			facts["reason"] = "not_found"
		}
		salt := audit.NewNonce()
		b.Commit = map[string]string{"id": audit.Commit("id", salt, []byte(a.id))}
	}
	return b
}

func decisionRef(d policy.Decision, result string) *audit.DecisionRef {
	return &audit.DecisionRef{Result: result, Rule: d.TrueRule(), Article: d.TrueArticle(), Reason: d.TrueReason(),
		Bundle: d.Bundle(), ID: d.ID(), InputCommitment: d.InputCommitment()}
}

func decisionView(d policy.Decision) DecisionView {
	return DecisionView{ID: d.ID(), Rule: d.Rule(), Article: d.Article(), Reason: d.Reason(), Next: d.Next(), Bundle: d.Bundle()}
}

func receiptRef(r pglog.Receipt) AuditRef {
	sum := r.BodySHA256()
	return AuditRef{Entry: r.EntryID(), BodySHA256: hex.EncodeToString(sum[:])}
}

func auditRef(p pglog.Pending) AuditRef {
	sum := p.BodySHA256()
	return AuditRef{Entry: p.EntryID(), BodySHA256: hex.EncodeToString(sum[:])}
}

// outcome queues what came of intents. A full queue makes the caller write it
// herself: an outcome may be late, never dropped while the process lives. One
// that dies with the process leaves its request open, which trailcheck counts.
func (d *Door) outcome(ctx context.Context, a *asked, intents []pglog.Receipt, o *opened, result string) {
	ids := make([]string, len(intents))
	for i, r := range intents {
		ids[i] = "e" + strconv.FormatUint(r.EntryID(), 10)
	}
	b := a.body(audit.StageOutcome, "access.result", audit.Facts{"outcome": result, "intents": ids})
	b.Subject, b.Revision = "request:"+a.caller.Request, 0
	if o != nil {
		b.Key = o.keyUse()
	}
	select {
	case d.outcomes <- b:
	default:
		if _, err := d.record(ctx, b); err != nil {
			d.cfg.Logger.WarnContext(ctx, "outcome not recorded", slog.String("kind", b.Kind))
		}
	}
}

// Run writes queued outcomes until ctx ends, then drains the queue.
func (d *Door) Run(ctx context.Context) error {
	var follower sync.WaitGroup
	follower.Go(func() { d.followSuite(ctx) })
	defer follower.Wait()
	for {
		select {
		case <-ctx.Done():
			d.drain(context.WithoutCancel(ctx))
			return nil
		case b := <-d.outcomes:
			d.flush(ctx, b)
		}
	}
}

// outcomeWait is how long an outcome waits for company: long enough that a lone
// reader's outcomes are one commit in ten instead of one before each of her
// intents, short beside the second that a checkpoint may take.
const outcomeWait = 20 * time.Millisecond

// flush appends an outcome together with those that arrive within outcomeWait.
func (d *Door) flush(ctx context.Context, first audit.Body) {
	bodies := []audit.Body{first}
	wait := time.NewTimer(outcomeWait)
	defer wait.Stop()
	for len(bodies) < outcomeBatch {
		select {
		case b := <-d.outcomes:
			bodies = append(bodies, b)
			continue
		case <-wait.C:
		case <-ctx.Done():
		}
		break
	}
	if _, err := d.recordAll(context.WithoutCancel(ctx), bodies); err != nil {
		// The intents stand; an intent without outcome counts as unknown.
		d.cfg.Logger.WarnContext(ctx, "outcomes not recorded", slog.Int("count", len(bodies)))
	}
}

func (d *Door) drain(ctx context.Context) {
	for {
		select {
		case b := <-d.outcomes:
			d.flush(ctx, b)
		default:
			return
		}
	}
}
