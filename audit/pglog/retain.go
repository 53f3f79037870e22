package pglog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

const (
	kindRetained    = "log.retained" // facts origin, from, entries
	retainedSubject = "charter:retention"
	retainEvery     = 100 * time.Millisecond // how often Retain looks whether its entry is signed
	notSignedYet    = "55000"                // SQLSTATE of audit.retain
)

// ErrNotStored is wrapped when the stored copy of a log does not reach as far as is to be let go.
var ErrNotStored = errors.New("stored copy does not hold these entries")

// ErrRetained is wrapped when a leaf's body is no longer in PostgreSQL, as the log itself says: it is in the published bundles.
var ErrRetained = errors.New("entry is below the hot window")

// Window is what Retain came to.
type Window struct {
	From     uint64   // smallest index of the log whose body is certainly in PostgreSQL
	Entry    uint64   // id of the log.retained entry that says so; 0 if an earlier one did
	Detached []string // tables that were detached now, with their rows and fences; see audit.drop_detached
}

// Retain moves the hot window of a log: bodies below upTo need no longer be in PostgreSQL. Leaves, trails and checkpoints stay for
// ever; so do the published tiles and bundles.
//
// verified is asked first: it verifies the stored copy, against the log's key, and returns up to which index it is whole. Then the
// bound is logged (log.retained{origin, from, entries}), and only when that entry and the log up to the bound are signed are the
// partitions of audit.entry detached that hold nothing above the bound of any log: mostly none, since a partition has 2^24 entries.
// Nothing is dropped. A sequencer and a publisher must be at work; the error wraps [ErrUnavailable] when ctx ends before they came
// to the entry, and [ErrNotStored] when the copy is shorter than upTo. Either way Retain can be called again.
func Retain(ctx context.Context, pool *pgxpool.Pool, s Shard, upTo uint64, verified func(ctx context.Context) (uint64, error)) (Window, error) {
	n, err := verified(ctx)
	if err != nil {
		return Window{}, fmt.Errorf("verifying the stored copy of log %s: %w", s.Folder(), err)
	}
	if n < upTo {
		return Window{}, fmt.Errorf("moving the window of log %s to %d: verified are %d: %w", s.Folder(), upTo, n, ErrNotStored)
	}
	w := Window{}
	if w.From, err = windowOf(ctx, pool, s); err != nil {
		return Window{}, err
	}
	if w.From < upTo {
		if w.Entry, err = announce(ctx, pool, s, leafRange{w.From, upTo}); err != nil {
			return w, err
		}
		if err := awaitRetained(ctx, pool, s, upTo, w.Entry); err != nil {
			return w, err
		}
		w.From = upTo
	}
	if err := pool.QueryRow(ctx, "select audit.detach_entries()").Scan(&w.Detached); err != nil {
		return w, unavailable("detaching partitions", err)
	}
	return w, nil
}

// windowOf is the smallest index of a log whose body is certainly here.
func windowOf(ctx context.Context, q querier, s Shard) (uint64, error) {
	var from int64
	err := q.QueryRow(ctx, "select coalesce(max(from_idx), 0) from audit.retained where institution = $1 and year = $2", s.Institution, s.Year).Scan(&from)
	if err != nil {
		return 0, unavailable("reading the hot window", err)
	}
	return uint64(from), nil
}

// announce appends the entry that says what r is: no longer needed here.
func announce(ctx context.Context, pool *pgxpool.Pool, s Shard, r leafRange) (uint64, error) {
	b := audit.Body{Institution: s.Institution, At: time.Now(), Stage: audit.StageEvent, Kind: kindRetained, Actor: audit.Actor{ID: logActor},
		Subject: retainedSubject, Nonce: audit.NewNonce(), Facts: audit.Facts{"origin": s.Origin, "from": int64(r.to), "entries": int64(r.to - r.from)}}
	raw, err := b.Canonical()
	if err != nil {
		return 0, fmt.Errorf("writing %s: %w", kindRetained, err)
	}
	ids, err := appendSQL(ctx, pool, s.Institution, []prepared{{raw: raw, subject: retainedSubject}})
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// awaitRetained records the bound as soon as its entry is signed.
func awaitRetained(ctx context.Context, pool *pgxpool.Pool, s Shard, upTo, entry uint64) error {
	for {
		_, err := pool.Exec(ctx, "select audit.retain($1, $2, $3, $4)", s.Institution, s.Year, int64(upTo), int64(entry))
		if sqlState(err) != notSignedYet {
			if err != nil {
				return unavailable("moving the hot window", err)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return unavailable("moving the hot window", errors.Join(err, ctx.Err()))
		case <-time.After(retainEvery):
		}
	}
}

// claim is a row of audit.retained with the leaf that bears it out.
type claim struct {
	year int
	from uint64
	leaf leafRow
	log  string // origin of the log that the leaf is in
}

// windows reads the bounds of the hot window that the log itself bears out: the row alone says nothing.
func (c *checker) windows(ctx context.Context, tx pgx.Tx, list []Shard) error {
	c.window = map[int]uint64{}
	origins := map[int]string{}
	for _, s := range list {
		origins[s.Year] = s.Origin
	}
	rows, err := tx.Query(ctx, `
		select r.year, r.from_idx, coalesce(g.origin, ''), coalesce(l.idx, 0), r.entry_id, coalesce(l.hash, ''), coalesce(l.seq_at, 'epoch'), coalesce(l.trail_n, 0), coalesce(l.prev, ''), e.body
		from audit.retained r left join audit.leaf l on l.institution = r.institution and l.entry_id = r.entry_id
		left join audit.log g on g.institution = l.institution and g.year = l.year
		left join audit.entry e on e.institution = r.institution and e.id = r.entry_id
		where r.institution = $1 order by r.year, r.from_idx`, c.institution)
	if err != nil {
		return err
	}
	var k claim
	var hash, prev []byte
	_, err = pgx.ForEachRow(rows, []any{&k.year, &k.from, &k.log, &k.leaf.p.Index, &k.leaf.p.ID, &hash, &k.leaf.p.SeqAt, &k.leaf.p.TrailN, &prev, &k.leaf.body}, func() error {
		k.leaf.hash, k.leaf.p.TrailPrev, k.leaf.p.Log = [32]byte{}, [32]byte{}, k.log
		copy(k.leaf.hash[:], hash)
		copy(k.leaf.p.TrailPrev[:], prev)
		if c.bornOut(&k, origins[k.year]) {
			c.window[k.year] = max(c.window[k.year], k.from)
			return nil
		}
		return c.add(Finding{Table: "audit.retained", Log: origins[k.year], Code: FoundOrphan, ID: k.leaf.p.ID, HasID: true,
			Detail: "no entry of the log moves the window to where this row says"})
	})
	return err
}

// bornOut reports whether the entry behind a claim says so. If its own body has left since, the published entry is asked.
func (c *checker) bornOut(k *claim, origin string) bool {
	body := k.leaf.body
	if body == nil {
		for _, p := range c.opened {
			if p.checkpoint.Origin != k.log {
				continue
			}
			if published, _ := p.entry(k.leaf.p.Index); published != nil && audit.LeafHash(published) == k.leaf.hash {
				if leaf, err := audit.ParseLeaf(published); err == nil {
					body = leaf.RawBody
				}
			}
		}
	}
	if body == nil || audit.LeafHash(audit.AssembleLeaf(body, k.leaf.p)) != k.leaf.hash {
		return false
	}
	b, err := audit.ParseBody(body)
	if err != nil {
		return false
	}
	said, _ := b.Facts.Text("origin")
	from, _ := b.Facts.Int("from")
	return b.Kind == kindRetained && said == origin && uint64(from) == k.from
}

// partly reports whether this check does not see every body of every trail.
func (c *checker) partly() bool { return c.from != nil || c.published == nil && len(c.window) > 0 }

// letGo takes the body of a leaf below the hot window from the published entry, if that is the one that was sequenced. known is
// false where the body is gone, as the log says, and cannot be compared.
func (w *walk) letGo(r *leafRow, published []byte) (known bool) {
	if r.body != nil || r.p.Index >= w.window[w.shard.Year] {
		return true
	}
	if published == nil || audit.LeafHash(published) != r.hash {
		return false
	}
	leaf, err := audit.ParseLeaf(published)
	if err != nil {
		return false
	}
	r.body, r.subject = leaf.RawBody, &leaf.Body.Subject
	return true
}

// fill gets the bodies of entries below the hot window from the stored copy.
func (l *Log) fill(ctx context.Context, list []EntryState) error {
	for i := range list {
		e := &list[i]
		if e.State != StateRetained || l.cfg.Stored == nil {
			continue
		}
		raw, err := l.cfg.Stored(ctx, e.Year, e.Index)
		if err != nil {
			return unavailable("reading a stored entry", err)
		}
		if audit.LeafHash(raw) != e.LeafHash {
			return fmt.Errorf("stored entry %d of year %d is not the one that was sequenced: %w", e.Index, e.Year, ErrTampered)
		}
		leaf, err := audit.ParseLeaf(raw)
		if err != nil {
			return fmt.Errorf("reading stored entry %d of year %d: %w", e.Index, e.Year, err)
		}
		e.Body, e.State = leaf.RawBody, StateSequenced
	}
	return nil
}
