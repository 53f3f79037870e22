package custody_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// watch knows how many transactions are open and complains about whatever else
// is done meanwhile. The acts of its test come one after the other.
type watch struct {
	t                     *testing.T
	open                  atomic.Int64
	began, asked, decided atomic.Int64
}

// TraceQueryStart implements pgx.QueryTracer.
func (w *watch) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	switch strings.ToLower(strings.Fields(q.SQL)[0]) {
	case "begin":
		w.began.Add(1)
		w.open.Add(1)
	case "commit", "rollback":
		w.open.Add(-1)
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (w *watch) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (w *watch) during(what string) {
	if n := w.open.Load(); n != 0 {
		w.t.Errorf("%s while %d transactions are open", what, n)
	}
}

// OnStart implements sdktrace.SpanProcessor: the door opens a span around each
// decision and each key that it borrows.
func (w *watch) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if s.Name() == "door.decide" {
		w.decided.Add(1)
		w.during("a decision is asked for")
	}
}

// OnEnd, Shutdown and ForceFlush implement sdktrace.SpanProcessor.
func (w *watch) OnEnd(sdktrace.ReadOnlySpan)             {}
func (w *watch) Shutdown(context.Context) error          { return nil }
func (w *watch) ForceFlush(context.Context) error        { return nil }
func (w *watch) vault()                                  { w.asked.Add(1); w.during("Vault is called") }
func (w *watch) index(i custody.Indexer) custody.Indexer { return watchedIndex{i, w} }
func (w *watch) keys(inner keyring.Wrapper) keyring.Wrapper {
	return &counting{Wrapper: inner, before: w.vault}
}

type watchedIndex struct {
	custody.Indexer
	w *watch
}

// Tokens implements custody.Indexer.
func (i watchedIndex) Tokens(ctx context.Context, items []custody.IndexItem) ([][]byte, error) {
	i.w.vault()
	return i.Indexer.Tokens(ctx, items)
}

// TokensIn implements custody.Indexer.
func (i watchedIndex) TokensIn(ctx context.Context, items []custody.IndexItem) ([][]byte, []string, error) {
	i.w.vault()
	return i.Indexer.TokensIn(ctx, items)
}

// TestNoTransactionWaitsForVaultOrPolicy does everything that the door can do
// and finds no call to Vault and no decision inside of a transaction
// (contracts.md 4).
func TestNoTransactionWaitsForVaultOrPolicy(t *testing.T) {
	t.Parallel()
	w := &watch{t: t}
	h := openOn(t, pgtest.New(t, "custody", migrate), vaulttest.New(t), taps{
		pool:    func(c *pgxpool.Config) { c.ConnConfig.Tracer = w },
		wrapper: w.keys,
		config: func(c *custody.Config) {
			c.Index = w.index(c.Index)
			c.Tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(w))
		},
	})
	h.everything()
	if w.open.Load() != 0 {
		t.Errorf("%d transactions are left open", w.open.Load())
	}
	if w.began.Load() < 20 || w.asked.Load() < 10 || w.decided.Load() < 20 {
		t.Errorf("saw %d transactions, %d calls to Vault, %d decisions: the watch does not work", w.began.Load(), w.asked.Load(), w.decided.Load())
	}
}

// everything calls every act of the door at least once, keys not leased.
func (h *house) everything() {
	h.t.Helper()
	ctx, t := h.t.Context(), h.t
	h.unlimited()
	c := h.fileFull(1)
	keyed := draft(2)
	_, err := h.Create(ctx, h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: keyed, IdempotencyKey: "k-1"})
	must(t, err)
	_, err = h.CreateBatch(ctx, h.as("ivy"), "handle", []intake.Draft{draft(3), draft(4)})
	must(t, err)
	cold := func() { h.keys.VoidAll("test") }
	cold()
	_, err = h.Read(ctx, h.as("ivy"), custody.ReadRequest{ID: c.ID, Purpose: "handle"})
	must(t, err)
	_, err = h.List(ctx, h.as("ivy"), custody.ListRequest{Purpose: "handle"})
	must(t, err)
	cold()
	_, err = h.Search(ctx, h.as("ivy"), custody.SearchRequest{Purpose: "handle", Field: "phone", Value: full()["phone"]})
	must(t, err)
	cold()
	_, err = h.Reveal(ctx, h.as("han"), custody.RevealRequest{ID: c.ID, Purpose: "handle", Fields: []string{"phone"}, Reason: "call back"})
	must(t, err)
	cold()
	number := "13900139000"
	view, err := h.Amend(ctx, h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"phone": &number}})
	must(t, err)
	cold()
	_, err = h.Transition(ctx, h.as("han"), custody.TransitionRequest{ID: c.ID, Purpose: "handle", Revision: view.Revision, Name: "take", Inputs: map[string]string{}})
	must(t, err)
	_, err = h.Trail(ctx, h.as("han"), c.ID, "handle")
	must(t, err)
	_, err = h.Person(ctx, h.as("sec-a"), "han")
	must(t, err)
	h.grantsAndGlass(c.ID, cold)
	must(t, h.ExpireBreakGlass(ctx))
}

func (h *house) grantsAndGlass(id string, cold func()) {
	h.t.Helper()
	ctx, t := h.t.Context(), h.t
	cold()
	g, err := h.RequestGrant(ctx, h.as("aud"), custody.Grant{Complaint: id, Purpose: "audit", Groups: []string{"contact"}, Reason: "sampling", Minutes: 10})
	must(t, err)
	_, err = h.ReviewGrant(ctx, h.as("dora"), g.ID, true)
	must(t, err)
	_, err = h.RevokeGrant(ctx, h.as("dora"), g.ID)
	must(t, err)
	cold()
	b, err := h.OpenBreakGlass(ctx, h.as("hugo"), custody.BreakGlass{Complaint: id, Ticket: "INC-1", Reason: "emergency"})
	must(t, err)
	cold()
	_, err = h.Reveal(ctx, h.as("hugo"), custody.RevealRequest{ID: id, Purpose: "breakglass", Fields: []string{"phone"}, Reason: "emergency"})
	must(t, err)
	_, err = h.CloseBreakGlass(ctx, h.as("hugo"), b.ID)
	must(t, err)
	_, err = h.ReviewBreakGlass(ctx, h.as("dora"), b.ID, true)
	must(t, err)
	_, err = h.OpenBreakGlass(ctx, h.as("hugo"), custody.BreakGlass{Complaint: id, Ticket: "INC-2", Reason: "emergency"})
	must(t, err)
	real := h.now
	h.now = func() time.Time { return real().Add(2 * time.Hour) }
}
