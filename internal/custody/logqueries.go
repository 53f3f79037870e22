package custody

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/logquery"
	"github.com/sealtrail/sealtrail/internal/store"
)

// SavedQuery is a search of the log that a person keeps for herself.
type SavedQuery struct {
	ID      string    `json:"id"`
	Code    string    `json:"code" doc:"How the log names it"`
	Name    string    `json:"name"`
	Text    string    `json:"q"`
	SavedAt time.Time `json:"saved_at"`
	Audit   AuditRef  `json:"audit"`
}

// SavedQueries are all of one person.
type SavedQueries struct {
	Items []SavedQuery `json:"items"`
}

// queryCode is how a saved query is named in the log.
func queryCode(id string) string { return "q-" + shortID(id) }

// SaveQuery keeps a search under a name. The log says that one was saved and by
// which keys it searches, and commits to its text.
func (d *Door) SaveQuery(ctx context.Context, c Caller, q SavedQuery, purpose string) (*SavedQuery, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	q.Name = strings.TrimSpace(q.Name)
	if q.Name == "" || len([]rune(q.Name)) > 64 || personal(q.Name) {
		return nil, invalid("/name", "malformed")
	}
	parsed, err := logquery.Parse(q.Text, d.now())
	if err != nil {
		return nil, queryError(err)
	}
	if len(parsed.Keys()) == 0 {
		return nil, invalid("/q", "required")
	}
	a, err := d.ask(ctx, c, question{action: "log", purpose: purpose})
	if err != nil {
		return nil, err
	}
	row := store.LogQuery{Institution: d.cfg.Institution, ID: newUUID(), Person: c.Person, Name: q.Name, Text: q.Text, SavedAt: a.at}
	event := a.about("query.saved", "query:"+c.Request, audit.Facts{"query": queryCode(row.ID), "filters": parsed.Keys()})
	event.Commit = newNote("q", q.Text).commit()
	ref, err := d.changeRegister(ctx, event, func(tx pgx.Tx) error { return d.cfg.Store.InsertLogQuery(ctx, tx, row) })
	if errors.Is(err, store.ErrDuplicate) {
		return nil, &ConflictError{Code: "duplicate"}
	}
	if err != nil {
		return nil, err
	}
	v := savedView(row)
	v.Audit = ref
	return &v, nil
}

func savedView(row store.LogQuery) SavedQuery {
	return SavedQuery{ID: row.ID, Code: queryCode(row.ID), Name: row.Name, Text: row.Text, SavedAt: row.SavedAt.UTC()}
}

// SavedQueries lists the caller's own. It shows nothing of the log.
func (d *Door) SavedQueries(ctx context.Context, c Caller) (*SavedQueries, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if c.Institution != d.cfg.Institution {
		return nil, ErrNotFound
	}
	rows, err := d.cfg.Store.LogQueries(ctx, d.cfg.Institution, c.Person)
	if err != nil {
		return nil, storeError(err)
	}
	list := &SavedQueries{Items: []SavedQuery{}}
	for _, row := range rows {
		list.Items = append(list.Items, savedView(row))
	}
	return list, nil
}

// DeleteQuery forgets one of the caller's own.
func (d *Door) DeleteQuery(ctx context.Context, c Caller, id, purpose string) (AuditRef, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if !isUUID(id) {
		id = nowhere
	}
	a, err := d.ask(ctx, c, question{action: "log", purpose: purpose})
	if err != nil {
		return AuditRef{}, err
	}
	event := a.about("query.deleted", "query:"+c.Request, audit.Facts{"query": queryCode(id)})
	return d.changeRegister(ctx, event, func(tx pgx.Tx) error { return d.cfg.Store.DeleteLogQuery(ctx, tx, d.cfg.Institution, c.Person, id) })
}
