package custody

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// Page sizes of lists and searches.
const (
	DefaultPageSize = 50
	MaxPageSize     = 200
)

// List shows the metadata of complaints by clear columns, earliest due first.
// It needs no key. Each row shown has a decision and an intent of its own; rows
// whose metadata the caller may not see are left out.
func (d *Door) List(ctx context.Context, c Caller, r ListRequest) (*Page, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	filter, err := listFilter(r)
	if err != nil {
		return nil, err
	}
	a, err := d.askMany(ctx, c, question{action: "list", purpose: r.Purpose})
	if err != nil {
		return nil, err
	}
	shown, bodies, next, err := d.visible(ctx, a, filter)
	if err != nil {
		return nil, err
	}
	page, err := d.page(ctx, a, shown, bodies, false)
	if err != nil {
		return nil, err
	}
	page.Next = next
	return page, nil
}

// listRounds bounds how many rows one list looks through, some 4,000, for a
// page of rows that the caller may see.
const listRounds = 10

// visible gathers one page of rows that the caller may see, and one more to know
// whether there is another page: rows that are hidden from her leave neither a
// gap nor a page token behind, or the filters would be an oracle.
func (d *Door) visible(ctx context.Context, a *asked, filter store.Filter) (shown []*asked, bodies []audit.Body, next string, err error) {
	limit := filter.Limit
	filter.Limit++
	for range listRounds {
		rows, err := d.cfg.Store.List(ctx, d.cfg.Institution, filter)
		if err != nil {
			return nil, nil, "", storeError(err)
		}
		found := make([]store.Found, len(rows))
		for i, row := range rows {
			found[i] = store.Found{Complaint: row}
		}
		more, asked, err := d.decideEach(ctx, a, found, false)
		if err != nil {
			return nil, nil, "", err
		}
		shown, bodies = append(shown, more...), append(bodies, asked...)
		if len(shown) > limit {
			last := shown[limit-1].row
			return shown[:limit], bodies[:limit], encodeCursor(cursor{last.DueAt, last.ID}), nil
		}
		if len(rows) < filter.Limit {
			return shown, bodies, "", nil
		}
		last := rows[len(rows)-1]
		filter.AfterDue, filter.AfterID = last.DueAt, last.ID
		filter.Limit = min(2*filter.Limit, 500)
	}
	return shown, bodies, encodeCursor(cursor{filter.AfterDue, filter.AfterID}), nil
}

type cursor struct {
	Due time.Time `json:"d"`
	ID  string    `json:"i"`
}

func encodeCursor(c cursor) string {
	raw, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func listFilter(r ListRequest) (store.Filter, error) {
	f := store.Filter{State: r.State, Department: r.Department, Assignee: r.Assignee, DueBefore: r.DueBefore, Limit: pageSize(r.PageSize)}
	if r.State != "" && !complaint.Registry().Has("state", r.State) {
		return f, invalid("/state", "unknown_value", members("state")...)
	}
	if r.After == "" {
		return f, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(r.After)
	var c cursor
	if err != nil || json.Unmarshal(raw, &c) != nil || !isUUID(c.ID) {
		return f, invalid("/page_token", "malformed")
	}
	f.AfterDue, f.AfterID = c.Due, c.ID
	return f, nil
}

func pageSize(n int) int {
	if n <= 0 {
		return DefaultPageSize
	}
	return min(n, MaxPageSize)
}

// Search finds complaints by one blind-indexed field, exactly. The term never
// reaches PostgreSQL or the log: only its token and a salted commitment do.
func (d *Door) Search(ctx context.Context, c Caller, r SearchRequest) (*Page, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	f, ok := complaint.FieldByName(r.Field)
	if !ok || f.Index == "" {
		return nil, invalid("/field", "unknown_field")
	}
	term, err := normalise(r.Field, strings.TrimSpace(r.Value))
	if err != nil {
		return nil, invalid("/value", "malformed")
	}
	// 1 ask 2 record the query
	a, err := d.ask(ctx, c, question{action: "search", purpose: r.Purpose})
	if err != nil {
		return nil, err
	}
	if err := d.spend(ctx, a); err != nil {
		return nil, err
	}
	query := a.intent("access.search", []string{r.Field}, audit.Facts{"field": r.Field, "by_token": true})
	query.Subject = "query:" + c.Request
	query.Commit = newNote("term", string(term)).commit()
	receipt, err := d.record(ctx, query)
	if err != nil {
		return nil, err
	}
	found, err := d.find(ctx, IndexItem{Field: r.Field, Normalised: term, Reference: reference(receipt)}, pageSize(r.PageSize))
	if err != nil {
		d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "unavailable")
		return nil, err
	}
	// 3 each hit is an access of its own
	a.field, a.term = r.Field, term
	shown, bodies, err := d.decideEach(ctx, a, found, true)
	if err != nil {
		return nil, err
	}
	page, err := d.page(ctx, a, shown, bodies, true, receipt)
	if err != nil {
		return nil, err
	}
	if page.Audit == (AuditRef{}) {
		page.Audit = receiptRef(receipt)
	}
	return page, nil
}

// page records one intent per record shown in a single append, and opens what
// is masked. query is the intent that found them, if there was one.
func (d *Door) page(ctx context.Context, a *asked, shown []*asked, bodies []audit.Body, sealed bool, query ...pglog.Receipt) (*Page, error) {
	page := &Page{Items: []View{}}
	if len(shown) == 0 && len(query) > 0 {
		d.outcomeOf(ctx, a, query, nil, audit.Facts{"outcome": "answered", "hits": 0})
		return page, nil
	}
	if len(shown) == 0 {
		receipt, err := d.record(ctx, a.body(audit.StageOutcome, "access.result", audit.Facts{"outcome": "answered", "hits": 0}))
		if err != nil {
			return nil, err
		}
		page.Audit = receiptRef(receipt)
		return page, nil
	}
	receipts, err := d.recordAll(ctx, bodies)
	if err != nil {
		return nil, err
	}
	if sealed {
		defer d.borrowAll(ctx, shown, receipts)()
	}
	for i, item := range shown {
		view, err := d.showOne(ctx, item, receipts[i], sealed)
		if errors.Is(err, ErrIntegrity) {
			// One broken record must not hide the others, nor itself.
			view, err = d.view(item, receipts[i]), nil
			view.Broken = true
		}
		if err != nil {
			// The page is not answered: none of the others was disclosed.
			if others := slices.Concat(query, receipts[:i], receipts[i+1:]); len(others) > 0 {
				d.outcome(ctx, a, others, nil, "unavailable")
			}
			return nil, err
		}
		page.Items = append(page.Items, *view)
	}
	d.outcome(ctx, a, slices.Concat(query, receipts), nil, "answered")
	page.Audit = receiptRef(receipts[0])
	return page, nil
}

// decideEach asks about every row by itself. Rows whose metadata is
// denied are left out, exactly as if they were not there.
func (d *Door) decideEach(ctx context.Context, a *asked, found []store.Found, sealed bool) ([]*asked, []audit.Body, error) {
	var shown []*asked
	var bodies []audit.Body
	for _, f := range found {
		if f.State == complaint.StateErased {
			continue // its trail says so; it is in no list and no search
		}
		one := *a
		one.action, one.row, one.key = "list", f.Complaint, f.Key
		if sealed {
			one.action = "read"
		}
		err := d.vouched(ctx, &one)
		if err != nil {
			return nil, nil, err
		}
		one.decision, err = d.cfg.Policy.Decide(ctx, one.request(d.cfg.Institution, one.row))
		if err = d.undecidable(ctx, &one, err); errors.Is(err, ErrIntegrity) {
			continue // recorded; whether she may see it cannot be decided
		}
		if err != nil {
			return nil, nil, err
		}
		if !one.decision.Allowed() || one.decision.Group(complaint.GroupMeta) == policy.Deny {
			continue
		}
		if err := d.fresh(ctx, &one); errors.Is(err, ErrIntegrity) {
			one.stale = true
		} else if err != nil {
			return nil, nil, err
		}
		kind, fields := "access.list", []string(nil)
		if sealed {
			kind = "access.read"
		}
		if sealed && !one.stale {
			fields = one.maskable()
		}
		facts := audit.Facts{}
		if sealed {
			facts["masked"] = len(fields)
		}
		shown = append(shown, &one)
		bodies = append(bodies, one.intent(kind, fields, facts))
	}
	return shown, bodies, nil
}

func (d *Door) showOne(ctx context.Context, a *asked, receipt pglog.Receipt, sealed bool) (*View, error) {
	view := d.view(a, receipt)
	view.Broken = a.stale
	if !sealed || a.stale {
		return view, nil
	}
	o, err := d.open(ctx, a, receipt, a.maskable())
	if err != nil {
		return nil, fmt.Errorf("showing a hit: %w", err)
	}
	defer o.close()
	if err := a.matches(o); err != nil {
		return nil, d.broken(ctx, a, receipt, err)
	}
	view.Fields, err = a.masked(o, true)
	return view, err
}

// matches checks that a hit holds what was searched for: tokens lie in a table
// of their own, and one that was moved would show somebody else's complaint. A
// field that the caller may not see masked is not opened and so not compared.
func (a *asked) matches(o *opened) error {
	plain, shown := o.values[a.field]
	if !shown {
		return nil
	}
	stored, err := normalise(a.field, string(plain.Expose()))
	if err != nil || !bytes.Equal(stored, a.term) {
		return &field.IntegrityError{Path: a.field, What: "index.token"}
	}
	return nil
}
