package doortest

import (
	"context"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// reading is what the fake remembers of saved queries and investigations.
type reading struct {
	queries map[string]*custody.SavedQuery
	cases   map[string]*custody.Investigation
}

func (r *reading) init() {
	if r.queries == nil {
		r.queries, r.cases = map[string]*custody.SavedQuery{}, map[string]*custody.Investigation{}
	}
}

// logEntries are the entries of the fake's log, the newest first.
func logEntries() []custody.LogEntry {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	return []custody.LogEntry{
		{Entry: 12, Log: "test/2026", Index: 11, LeafHash: "22", At: at, SeqAt: at, Stage: "intent", Kind: "access.read", Actor: "a-1", Name: "han", Subject: "complaint:1", Purpose: "handle"},
		{Entry: 7, Log: "test/2026", Index: 6, LeafHash: "11", At: at, SeqAt: at, Stage: "event", Kind: "access.denied", Actor: "a-2", Subject: "complaint:1",
			Decision: &custody.LogDecision{Result: "deny", Rule: "R14", Article: "6.1.14"}, Facts: map[string]any{"action": "reveal"}},
	}
}

// SearchLog implements httpapi.Reading: one entry to a page; the text "wrong" is
// refused at word 1, and a page token holds the next place.
func (d *Door) SearchLog(_ context.Context, c custody.Caller, r custody.LogSearch) (*custody.LogPage, error) {
	if err := d.enter("search_log", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if r.Text == "wrong" || r.Codes && r.Text == "actor:han" {
		return nil, &custody.InvalidError{Problems: []intake.Problem{{Pointer: "/q", Code: "query_missing_key", Position: 1}}}
	}
	page := &custody.LogPage{Items: logEntries()[:1], Log: 2026, Size: 12, Next: "1", Audit: d.audit()}
	if r.After != "" {
		page.Items, page.Next = logEntries()[1:], ""
	}
	return page, nil
}

// ExportLog implements httpapi.Reading.
func (d *Door) ExportLog(_ context.Context, c custody.Caller, r custody.LogSearch, size uint64, encode func([]custody.LogEntry) ([]byte, error)) ([]byte, *custody.LogManifest, error) {
	if err := d.enter("export_log", c); err != nil {
		return nil, nil, err
	}
	defer d.mu.Unlock()
	raw, err := encode(logEntries())
	return raw, &custody.LogManifest{Format: "sealtrail-log-export/v1", Query: r.Text, Log: 2026, Size: max(size, 12), Count: 2, Audit: d.audit()}, err
}

// SaveQuery implements httpapi.Reading.
func (d *Door) SaveQuery(_ context.Context, c custody.Caller, q custody.SavedQuery, _ string) (*custody.SavedQuery, error) {
	if err := d.enter("save_query", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	d.reading.init()
	q.ID, q.Code, q.SavedAt, q.Audit = newID(), "q-1", time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), d.audit()
	d.reading.queries[q.ID] = &q
	return &q, nil
}

// SavedQueries implements httpapi.Reading.
func (d *Door) SavedQueries(_ context.Context, c custody.Caller) (*custody.SavedQueries, error) {
	if err := d.enter("saved_queries", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	list := &custody.SavedQueries{Items: []custody.SavedQuery{}}
	for _, q := range d.reading.queries {
		list.Items = append(list.Items, *q)
	}
	return list, nil
}

// DeleteQuery implements httpapi.Reading.
func (d *Door) DeleteQuery(_ context.Context, c custody.Caller, id, _ string) (custody.AuditRef, error) {
	if err := d.enter("delete_query", c); err != nil {
		return custody.AuditRef{}, err
	}
	defer d.mu.Unlock()
	if d.reading.queries[id] == nil {
		return custody.AuditRef{}, custody.ErrNotFound
	}
	delete(d.reading.queries, id)
	return d.audit(), nil
}

// Own implements httpapi.Reading.
func (d *Door) Own(_ context.Context, c custody.Caller, _ custody.OwnRequest) (*custody.OwnPage, error) {
	if err := d.enter("own", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	e := logEntries()[0]
	return &custody.OwnPage{Items: []custody.OwnEntry{{Entry: e.Entry, Log: e.Log, Index: e.Index, LeafHash: e.LeafHash, At: e.At, Stage: e.Stage, Kind: e.Kind,
		Mine: true, Subject: e.Subject, Purpose: e.Purpose}}, Log: 2026, Size: 12, Audit: d.audit()}, nil
}

// Looked implements httpapi.Reading.
func (d *Door) Looked(_ context.Context, c custody.Caller, id, _ string, proofs bool) (*custody.Looked, error) {
	if err := d.enter("looked", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	g := custody.LookedGroup{Date: "2026-03-02", Duty: "handler", What: "masked", Times: 2}
	if proofs {
		g.Proofs = []custody.LookedProof{{Log: "test/2026", Index: 11, LeafHash: "22", Path: []string{"33"}, Checkpoint: "note"}}
	}
	return &custody.Looked{ID: id, Items: []custody.LookedGroup{g}, Entries: 2, Audit: d.audit()}, nil
}

// RequestInvestigation implements httpapi.Reading.
func (d *Door) RequestInvestigation(_ context.Context, c custody.Caller, r custody.Investigation) (*custody.Investigation, error) {
	if err := d.enter("request_investigation", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	d.reading.init()
	r.ID, r.Code, r.State, r.RequestedBy, r.RequestedAt, r.Audit = newID(), "i-1", "requested", c.Person, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), d.audit()
	d.reading.cases[r.ID] = &r
	return &r, nil
}

// SettleInvestigation implements httpapi.Reading; nobody assents to her own.
func (d *Door) SettleInvestigation(_ context.Context, c custody.Caller, id, verdict string) (*custody.Investigation, error) {
	if err := d.enter(verdict+"_investigation", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	x := d.reading.cases[id]
	if x == nil || verdict == "approve" && x.RequestedBy == c.Person {
		return nil, custody.ErrNotFound
	}
	x.State = map[string]string{"approve": "approved", "refuse": "refused", "close": "closed"}[verdict]
	x.Audit = d.audit()
	return x, nil
}

// Investigation implements httpapi.Reading.
func (d *Door) Investigation(_ context.Context, c custody.Caller, id string) (*custody.Investigation, error) {
	if err := d.enter("investigation", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if x := d.reading.cases[id]; x != nil {
		return x, nil
	}
	return nil, custody.ErrNotFound
}

// Investigations implements httpapi.Reading.
func (d *Door) Investigations(_ context.Context, c custody.Caller, state string) (*custody.Investigations, error) {
	if err := d.enter("investigations", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	list := &custody.Investigations{Items: []custody.Investigation{}, Audit: d.audit()}
	for _, x := range d.reading.cases {
		if state == "" || x.State == state {
			list.Items = append(list.Items, *x)
		}
	}
	return list, nil
}
