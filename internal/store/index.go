package store

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/complaint"
)

// Every writer of tokens holds the generations of the index still until it has
// committed, and names those that it wrote. Whoever moves them waits for the
// writers under way (stopIndex). So from the commit that opens a generation on,
// every change writes it, and nobody writes one that is retired.
const (
	holdIndex = "select keys.hold_index($1, $2)"
	stopIndex = "select keys.stop_index($1)"
)

// epochsOf lists the generations of tokens in the order of their first
// appearance: the current one first.
func epochsOf(tokens []Token) []int32 {
	epochs := make([]int32, 0, 2)
	for _, t := range tokens {
		known := false
		for _, e := range epochs {
			known = known || e == int32(t.Epoch)
		}
		if !known {
			epochs = append(epochs, int32(t.Epoch))
		}
	}
	return epochs
}

// retoken replaces the tokens of fields, of every generation.
func (s *Store) retoken(ctx context.Context, tx pgx.Tx, c *Complaint, fields []string, tokens []Token) error {
	batch := &pgx.Batch{}
	if len(tokens) > 0 {
		batch.Queue(holdIndex, c.Institution, epochsOf(tokens))
	}
	batch.Queue(`delete from sealtrail.blind_index where institution = $1 and complaint = $2 and field = any($3)`, c.Institution, c.ID, fields)
	if len(tokens) > 0 {
		names, epochs, values := tokenColumns(tokens)
		batch.Queue(insertTokens, c.Institution, c.ID, names, epochs, values)
	}
	return Classify(tx.SendBatch(ctx, batch).Close())
}

const insertTokens = `insert into sealtrail.blind_index (institution, field, epoch, token, complaint)
	select $1, t.field, t.epoch, t.token, $2 from unnest($3::text[], $4::int[], $5::bytea[]) as t (field, epoch, token)`

// AddTokens writes the tokens of one generation beside those of others, over its
// own, for the fields of c that are still the ones that were opened. Others were
// changed meanwhile, and whoever changes a field writes every generation of its
// tokens; ErrStale if he did not (a record that was resealed). ErrIndexMoved if
// the generations of the index are not those named, the current one first.
func (s *Store) AddTokens(ctx context.Context, tx pgx.Tx, c *Complaint, tokens []Token, live []uint32) error {
	epochs := make([]int32, len(live))
	for i, e := range live {
		epochs[i] = int32(e)
	}
	if _, err := tx.Exec(ctx, holdIndex, c.Institution, epochs); err != nil {
		return Classify(err)
	}
	if len(tokens) == 0 {
		return nil
	}
	same, err := s.unchanged(ctx, tx, c, tokens)
	if err != nil {
		return err
	}
	names, which, values := tokenColumns(same)
	lacks, batch := false, &pgx.Batch{}
	batch.Queue(`delete from sealtrail.blind_index where institution = $1 and complaint = $2 and epoch = $3 and field = any($4)`,
		c.Institution, c.ID, tokens[0].Epoch, names)
	batch.Queue(insertTokens, c.Institution, c.ID, names, which, values)
	batch.Queue(`select `+lacksToken+` from sealtrail.complaint c where c.institution = $1 and c.id = $3`, c.Institution, tokens[0].Epoch, c.ID).
		QueryRow(func(row pgx.Row) error { return row.Scan(&lacks) })
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return Classify(err)
	}
	if lacks {
		return ErrStale
	}
	return nil
}

// unchanged locks the row against change and returns the tokens of fields whose
// envelopes are still those of c.
func (s *Store) unchanged(ctx context.Context, tx pgx.Tx, c *Complaint, tokens []Token) ([]Token, error) {
	columns, stored := make([]string, len(tokens)), make([][]byte, len(tokens))
	into := make([]any, len(tokens))
	for i, t := range tokens {
		if SealedIndex(t.Field) < 0 {
			return nil, fmt.Errorf("adding tokens: %q is no sealed field", t.Field)
		}
		columns[i], into[i] = t.Field+"_sealed", &stored[i]
	}
	err := tx.QueryRow(ctx, "select "+strings.Join(columns, ", ")+" from sealtrail.complaint where institution = $1 and id = $2 for share",
		c.Institution, c.ID).Scan(into...)
	if err != nil {
		return nil, Classify(err)
	}
	var same []Token
	for i, t := range tokens {
		if envelope, _ := c.Field(t.Field); bytes.Equal(envelope, stored[i]) {
			same = append(same, t)
		}
	}
	return same, nil
}

// TokensOf lists every token of a complaint; ErrStale if it is at another
// revision than c by now. Both are of one snapshot.
func (s *Store) TokensOf(ctx context.Context, c *Complaint) ([]Token, error) {
	rows, err := s.pool.Query(ctx, `select c.revision, coalesce(b.field, ''), coalesce(b.epoch, 0), b.token from sealtrail.complaint c
		left join sealtrail.blind_index b on b.institution = c.institution and b.complaint = c.id
		where c.institution = $1 and c.id = $2 order by b.epoch, b.field, b.token`, c.Institution, c.ID)
	if err != nil {
		return nil, Classify(err)
	}
	var list []Token
	var revision uint64
	var t Token
	moved := true // also if the row is gone
	_, err = pgx.ForEachRow(rows, []any{&revision, &t.Field, &t.Epoch, &t.Token}, func() error {
		moved = revision != c.Revision
		if t.Field != "" {
			list = append(list, Token{t.Field, t.Epoch, bytes.Clone(t.Token)})
		}
		return nil
	})
	if err == nil && moved {
		return nil, ErrStale
	}
	return list, Classify(err)
}

const selectCurrentIndex = `select coalesce((select e.epoch from keys.index_epoch e where e.institution = $1 and e.state = 'current'), 1)`

// FindByToken returns whole complaints that carry a blind-index token, newest
// first, with their wrapped keys. ErrIndexMoved if the token is not of the
// current generation any more: what is written since would not be found.
func (s *Store) FindByToken(ctx context.Context, institution string, t Token, limit int) ([]Found, error) {
	var found []Found
	current, batch := uint32(0), &pgx.Batch{}
	batch.Queue(withKey+`join sealtrail.blind_index b on b.institution = c.institution and b.complaint = c.id
		where b.institution = $1 and b.field = $2 and b.epoch = $3 and b.token = $4 and `+notErased+`
		order by c.received_at desc, c.id limit $5`, institution, t.Field, t.Epoch, t.Token, limit).Query(func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Found, error) { return scanFound(row) })
		return err
	})
	// Asked after the search: a generation that is current now was so then.
	batch.Queue(selectCurrentIndex, institution).QueryRow(func(row pgx.Row) error { return row.Scan(&current) })
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, Classify(err)
	}
	if current != t.Epoch {
		return nil, ErrIndexMoved
	}
	return found, nil
}

// lacksToken is a condition on complaint c: a stored value that the catalogue
// wants indexed has no token of generation $2.
var lacksToken = lackCondition()

func lackCondition() string {
	var either []string
	for _, f := range complaint.Fields() {
		if f.Index != "" {
			either = append(either, "c."+f.Name+"_sealed is not null and not exists (select from sealtrail.blind_index b where b.institution = c.institution"+
				" and b.complaint = c.id and b.epoch = $2 and b.field = '"+f.Name+"')")
		}
	}
	return "(" + strings.Join(either, " or ") + ")"
}

// Unindexed returns up to limit ids after an id of complaints that lack a token
// of a generation. It locks nothing.
func (s *Store) Unindexed(ctx context.Context, institution string, epoch uint32, after string, limit int) ([]string, error) {
	return s.ids(ctx, `select c.id::text from sealtrail.complaint c where c.institution = $1 and c.id > $3::uuid and c.state <> 'erased' and `+lacksToken+
		` order by c.id limit $4`, institution, epoch, orNoUUID(after), limit)
}

// CountUnindexed is how many complaints lack a token of a generation: 0 proves
// that a search in it finds all. It reads every complaint's row.
func (s *Store) CountUnindexed(ctx context.Context, institution string, epoch uint32) (n int64, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) from sealtrail.complaint c where c.institution = $1 and c.state <> 'erased' and `+lacksToken, institution, epoch).Scan(&n)
	return n, Classify(err)
}

func (s *Store) ids(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return list, Classify(err)
}
