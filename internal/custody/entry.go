package custody

import (
	"context"
	"encoding/hex"
	"log/slog"
	"slices"
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

// outcome queues what came of intents, with the keys that were used for them. A
// full queue makes the caller write it herself: an outcome may be late, never
// dropped while the process lives. What dies with the process a reaper closes.
func (d *Door) outcome(ctx context.Context, a *asked, intents []pglog.Receipt, o *opened, result string) {
	d.outcomeOf(ctx, a, intents, o, audit.Facts{"outcome": result})
}

// outcomeOf is outcome with more facts.
func (d *Door) outcomeOf(ctx context.Context, a *asked, intents []pglog.Receipt, o *opened, facts audit.Facts) {
	entries, uses := d.debts.settle(intents)
	if len(entries) == 0 {
		return // somebody else has said what came of it
	}
	facts["intents"] = intentsFact(entries)
	b := a.body(audit.StageOutcome, "access.result", facts)
	b.Subject, b.Revision = "request:"+a.caller.Request, 0
	if o != nil {
		b.Key = o.keyUse()
	}
	if keys := keysFact(uses); len(keys) > 0 {
		b.Facts["keys"] = keys
	}
	d.queue(ctx, answer{b, entries})
}

// queue hands an answer to the writer.
func (d *Door) queue(ctx context.Context, one answer) {
	select {
	case d.outcomes <- one:
	default:
		if err := d.answered(context.WithoutCancel(ctx), []answer{one}); err != nil {
			d.late.put(one)
		}
	}
}

// late are answers that the log did not take yet. Bounded by what this process
// owes, which is bounded by the requests under way.
type late struct {
	mu   sync.Mutex
	list []answer
}

func (l *late) put(list ...answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, list...)
}

func (l *late) take() []answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list[:min(len(l.list), outcomeBatch)]
	l.list = slices.Clone(l.list[len(list):])
	return list
}

// lateEvery is how often answers are tried again that the log did not take.
const lateEvery = time.Second

// Run says what this process owes and writes queued outcomes until ctx ends,
// then drains the queue. It may be called once.
func (d *Door) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	beside.Go(func() { d.followSuite(ctx) })
	beside.Go(func() { d.beats(ctx) })
	beside.Go(func() { d.watchInvestigations(ctx) })
	defer d.retire(context.WithoutCancel(ctx))
	defer beside.Wait()
	again := time.NewTicker(lateEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			d.drain(context.WithoutCancel(ctx))
			return nil
		case one := <-d.outcomes:
			d.flush(ctx, one)
		case <-again.C:
			if list := d.late.take(); len(list) > 0 {
				d.say(ctx, list)
			}
		}
	}
}

// outcomeWait is how long an outcome waits for company: long enough that a lone
// reader's outcomes are one commit in ten instead of one before each of her
// intents, short beside the second that a checkpoint may take.
const outcomeWait = 20 * time.Millisecond

// flush appends an outcome together with those that arrive within outcomeWait.
func (d *Door) flush(ctx context.Context, first answer) {
	list := []answer{first}
	wait := time.NewTimer(outcomeWait)
	defer wait.Stop()
	for len(list) < outcomeBatch {
		select {
		case one := <-d.outcomes:
			list = append(list, one)
			continue
		case <-wait.C:
		case <-ctx.Done():
		}
		break
	}
	d.say(ctx, list)
}

// say makes outcomes durable, now or later.
func (d *Door) say(ctx context.Context, list []answer) {
	if err := d.answered(context.WithoutCancel(ctx), list); err != nil {
		d.cfg.Logger.WarnContext(ctx, "outcomes not recorded yet", slog.Int("count", len(list)), slog.String("cause", storeError(err).Error()))
		d.late.put(list...)
	}
}

// drain empties the queue and tries what is late once more; what the log still
// does not take, a reaper closes.
func (d *Door) drain(ctx context.Context) {
	for {
		select {
		case one := <-d.outcomes:
			d.flush(ctx, one)
			continue
		default:
		}
		break
	}
	if list := d.late.take(); len(list) > 0 {
		d.say(ctx, list)
	}
}
