package custody

import (
	"context"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/policy"
)

// Asked lets tests try the opener with pairs that no path of the door makes.
type Asked = asked

// AskReveal asks as Reveal does.
func (d *Door) AskReveal(ctx context.Context, c Caller, id string, fields ...string) (*Asked, error) {
	return d.askRecord(ctx, c, question{action: "reveal", purpose: "handle", id: id, fields: fields})
}

// Intend records what Reveal records before it opens.
func (d *Door) Intend(ctx context.Context, a *Asked, fields ...string) (pglog.Receipt, error) {
	return d.record(ctx, a.intent("access.reveal", fields, audit.Facts{"reason_given": true}))
}

// Tell records an event with the same decision, record and fields.
func (d *Door) Tell(ctx context.Context, a *Asked, fields ...string) (pglog.Receipt, error) {
	b := a.body(audit.StageEvent, "access.reveal", audit.Facts{"reason_given": true})
	b.Fields = fields
	return d.record(ctx, b)
}

// OpenWith opens fields with a receipt and says how many came out.
func (d *Door) OpenWith(ctx context.Context, a *Asked, r pglog.Receipt, fields ...string) (int, error) {
	o, err := d.open(ctx, a, r, fields)
	if err != nil {
		return 0, err
	}
	defer o.close()
	return len(o.values), nil
}

// AtRevision is a at another revision of the record.
func (a *Asked) AtRevision(revision uint64) *Asked {
	b, row := *a, *a.row
	row.Revision = revision
	b.row = &row
	return &b
}

// Undecided is a without its decision.
func (a *Asked) Undecided() *Asked {
	b := *a
	b.decision = policy.Decision{}
	return &b
}

// Revision is the revision that was decided on.
func (a *Asked) Revision() uint64 { return a.row.Revision }

// AskRead asks as Read does.
func (d *Door) AskRead(ctx context.Context, c Caller, id string) (*Asked, error) {
	return d.askRecord(ctx, c, question{action: "read", purpose: "handle", id: id})
}

// Say queues an outcome, as every path of the door does at its end.
func (d *Door) Say(ctx context.Context, a *Asked, r pglog.Receipt) {
	d.outcome(ctx, a, []pglog.Receipt{r}, nil, "answered")
}

// Beat says what the process owes.
func (d *Door) Beat(ctx context.Context) { d.beat(ctx) }

// Forget lets the time be over in which an outcome of the intent is owed.
func (d *Door) Forget(r pglog.Receipt) {
	d.debts.mu.Lock()
	defer d.debts.mu.Unlock()
	d.debts.byEntry[r.EntryID()].until = time.Time{}
}

// Owed is how many intents this process may still answer for.
func (d *Door) Owed() int {
	d.debts.mu.Lock()
	defer d.debts.mu.Unlock()
	return len(d.debts.byEntry)
}

// EndInvestigations ends those whose time is over, as Run does each minute.
func (d *Door) EndInvestigations(ctx context.Context) error { return d.endInvestigations(ctx) }

// SetLimits makes the most hits of a bundle and of an export n until the test ends. Not for parallel tests.
func SetLimits(t interface{ Cleanup(func()) }, n int) {
	hits, lines := maxEvidenceHits, exportLimit
	maxEvidenceHits, exportLimit = n, n
	t.Cleanup(func() { maxEvidenceHits, exportLimit = hits, lines })
}
