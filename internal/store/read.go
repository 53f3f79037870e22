package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

func itoa(n int) string { return strconv.Itoa(n) }

func placeholders(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + itoa(i+1)
	}
	return strings.Join(list, ", ")
}

func scanComplaint(row pgx.Row) (*Complaint, error) {
	c := &Complaint{}
	if err := row.Scan(c.pointers()...); err != nil {
		return nil, err
	}
	c.utc()
	return c, nil
}

func scanMeta(row pgx.CollectableRow) (*Complaint, error) {
	c := &Complaint{}
	if err := row.Scan(append(c.clear(), c.logged()...)...); err != nil {
		return nil, err
	}
	c.utc()
	return c, nil
}

// Logged is what the log last said that a complaint was altered to. Zero: it has
// said nothing yet, or what it said has no index yet.
type Logged struct {
	Revision uint64
	Manifest []byte // SHA-256
	Entry    uint64 // the entry that says so
}

// Stale reports whether the row is older than the log, or is another one than
// the log knows at its revision. A row may be newer for the moment in which the
// entry of its change waits for an index.
func (c *Complaint) Stale() bool {
	if c.Revision != c.Logged.Revision {
		return c.Revision < c.Logged.Revision
	}
	sum := sha256.Sum256(c.Manifest)
	return !bytes.Equal(sum[:], c.Logged.Manifest)
}

// logged are the pointers for loggedColumns.
func (c *Complaint) logged() []any {
	return []any{&c.Logged.Revision, &c.Logged.Manifest, &c.Logged.Entry}
}

const (
	loggedColumns = ", coalesce(t.revision, 0), t.state, coalesce(t.state_id, 0)"
	// A probe for each row: without fresh statistics the planner would read the
	// trails as a whole.
	joinLogged = ` left join lateral (select h.revision, h.state, h.state_id from audit.trail h
		where h.institution = c.institution and h.subject = 'complaint:' || c.id offset 0) t on true `
)

// Loaded is what a decision and an opening of one complaint need, read in one
// round trip.
type Loaded struct {
	Complaint *Complaint // nil: no such complaint
	Key       *Wrapped   // nil: the key is gone (shredded) or was never there
	Subject   *Subject   // nil: the person is not in the register
}

// Load reads a complaint, its wrapped key, and the subject's facts at the time
// at: in one round trip, in which facts that are remembered and still true are
// only confirmed; see Subject.
func (s *Store) Load(ctx context.Context, institution, id, person string, at time.Time) (*Loaded, error) {
	loaded, k := &Loaded{}, subjectKey{institution, person}
	known := s.subjects.get(k)
	believed := known != nil && known.at(known.epoch, at)
	epoch, batch := int64(0), &pgx.Batch{}
	batch.Queue(selectWithKey, institution, id).QueryRow(func(row pgx.Row) error {
		found, err := scanFound(row)
		loaded.Complaint, loaded.Key = found.Complaint, found.Key
		return ignoreMissing(err)
	})
	// A statement of its own, so that an unknown id costs what a known one does.
	if believed {
		batch.Queue(selectEpoch, institution).QueryRow(func(row pgx.Row) error { return row.Scan(&epoch) })
	} else {
		s.queueSubject(batch, k, at, &loaded.Subject)
	}
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil || !believed {
		return loaded, Classify(err)
	}
	if known.at(epoch, at) {
		loaded.Subject = known.subject
		return loaded, nil
	}
	var err error
	loaded.Subject, err = s.readSubject(ctx, k, at)
	return loaded, err
}

// withKey selects whole complaints, c, with their wrapped keys.
var withKey = "select " + prefixed("c.", columnNames) + ", w.wrapped, w.commitment, w.key_version" + loggedColumns + ` from sealtrail.complaint c
	left join keys.wrapped w on w.institution = c.institution and w.complaint = c.id and w.generation = c.generation` + joinLogged

var selectWithKey = withKey + "where c.institution = $1 and c.id = $2"

// scanFound reads a row of withKey.
func scanFound(row pgx.Row) (Found, error) {
	c, key := &Complaint{}, struct {
		blob       *string
		commitment []byte
		version    *int
	}{}
	columns := append(c.pointers(), &key.blob, &key.commitment, &key.version)
	if err := row.Scan(append(columns, c.logged()...)...); err != nil {
		return Found{}, err
	}
	c.utc()
	if key.blob == nil {
		return Found{Complaint: c}, nil
	}
	return Found{Complaint: c, Key: &Wrapped{Blob: *key.blob, Commitment: key.commitment, Version: *key.version}}, nil
}

// Lock reads a complaint for change and holds its row until tx ends.
func (s *Store) Lock(ctx context.Context, tx pgx.Tx, institution, id string) (*Complaint, error) {
	c, err := scanComplaint(tx.QueryRow(ctx, selectLocked, institution, id))
	return c, Classify(err)
}

// Filter narrows a list to rows by clear columns. Zero fields do not narrow.
type Filter struct {
	State, Department, Assignee string
	DueBefore                   time.Time
	AfterDue                    time.Time // keyset: rows after (AfterDue, AfterID)
	AfterID                     string
	Limit                       int
}

// List returns clear columns of complaints, the earliest due first.
func (s *Store) List(ctx context.Context, institution string, f Filter) ([]*Complaint, error) {
	after := f.AfterID
	if after == "" {
		after = "00000000-0000-0000-0000-000000000000"
	}
	before := f.DueBefore
	if before.IsZero() {
		before = Never.Add(time.Hour)
	}
	rows, err := s.pool.Query(ctx, selectMeta+`where c.institution = $1 and `+notErased+`
		and ($2 = '' or c.state = $2) and ($3 = '' or c.department = $3) and ($4 = '' or c.assignee = $4)
		and c.due_at < $5 and (c.due_at, c.id) > ($6, $7::uuid)
		order by c.due_at, c.id limit $8`,
		institution, f.State, f.Department, f.Assignee, before, f.AfterDue, after, f.Limit)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, scanMeta)
	return list, Classify(err)
}

// Found is a search hit with what opening it needs.
type Found struct {
	*Complaint
	Key *Wrapped
}

func prefixed(prefix string, names []string) string {
	return prefix + strings.Join(names, ", "+prefix)
}

// selectMeta selects the clear columns of complaints, c.
var selectMeta = "select " + prefixed("c.", columnNames[:len(columnNames)-len(SealedFields)]) + loggedColumns + " from sealtrail.complaint c" + joinLogged

// BySource returns the ids of complaints that already have these source ids.
func (s *Store) BySource(ctx context.Context, institution, source string, ids []string) (map[string]string, error) {
	query, arg := selectBySources, any(ids)
	if len(ids) == 1 {
		query, arg = selectBySource, ids[0]
	}
	rows, err := s.pool.Query(ctx, query, institution, source, arg)
	if err != nil {
		return nil, Classify(err)
	}
	found := map[string]string{}
	var sourceID, id string
	_, err = pgx.ForEachRow(rows, []any{&sourceID, &id}, func() error { found[sourceID] = id; return nil })
	return found, Classify(err)
}

// A statement with an array is planned anew each time, because PostgreSQL takes
// the array at hand to be shorter than the one that a kept plan would assume;
// so a single value has a statement of its own. "offset 0" keeps each look-up a
// probe of its own, also while a table is so new that the planner takes a scan
// to cost as little.
const (
	selectBySource  = "select source_id, id from sealtrail.complaint where institution = $1 and source = $2 and source_id = $3"
	selectBySources = `select c.source_id, c.id from unnest($3::text[]) as t (source_id), lateral (
		select k.source_id, k.id from sealtrail.complaint k
		where k.institution = $1 and k.source = $2 and k.source_id = t.source_id offset 0) c`

	selectEarlier = `select b.token, c.received_at, c.business_code, c.product_code
		from (select i.token, i.complaint from sealtrail.blind_index i
			where i.institution = $1 and i.field = $2 and i.epoch = $3 and i.token = $4 offset 0) b` + joinEarlier
	selectEarliers = `select b.token, c.received_at, c.business_code, c.product_code
		from unnest($2::text[], $3::int[], $4::bytea[]) as t (field, epoch, token), lateral (
			select i.token, i.complaint from sealtrail.blind_index i
			where i.institution = $1 and i.field = t.field and i.epoch = t.epoch and i.token = t.token offset 0) b` + joinEarlier
	joinEarlier = `, lateral (
			select k.received_at, k.business_code, k.product_code from sealtrail.complaint k
			where k.institution = $1 and k.id = b.complaint and k.received_at >= $5 and k.state <> 'refused' offset 0) c`
)

// Earlier is a complaint of the same customer.
type Earlier struct {
	Token                     string // the token that it shares, as raw bytes
	ReceivedAt                time.Time
	BusinessCode, ProductCode string
}

// EarlierByToken returns complaints since a time that share one of the tokens,
// for the repeat figure (M14). Each token is one probe of the index.
func (s *Store) EarlierByToken(ctx context.Context, institution string, tokens []Token, since time.Time) ([]Earlier, error) {
	if len(tokens) == 0 {
		return nil, nil
	}
	query, args := selectEarlier, []any{institution, tokens[0].Field, tokens[0].Epoch, tokens[0].Token, since}
	if len(tokens) > 1 {
		fields, epochs, values := tokenColumns(tokens)
		query, args = selectEarliers, []any{institution, fields, epochs, values, since}
	}
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, Classify(err)
	}
	var list []Earlier
	var token []byte
	var e Earlier
	_, err = pgx.ForEachRow(rows, []any{&token, &e.ReceivedAt, &e.BusinessCode, &e.ProductCode}, func() error {
		list = append(list, Earlier{string(token), e.ReceivedAt, e.BusinessCode, e.ProductCode})
		return nil
	})
	return list, Classify(err)
}
