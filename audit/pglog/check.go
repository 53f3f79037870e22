package pglog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// Finding is one place where PostgreSQL does not hold what was appended, sequenced or published. ID is an entry id and Index a
// leaf index of log Log; either is absent (HasID, HasIndex false) where the place has none.
type Finding struct {
	Table    string // e.g. "audit.entry", or "published" for the folder
	Log      string // origin; "" where no log is concerned
	Code     string // stable, see the Found constants
	Detail   string // a sentence without values
	ID       uint64
	Index    uint64
	HasID    bool
	HasIndex bool
}

// Codes of a Finding.
const (
	FoundMissing  = "missing"  // a row or file that must exist does not
	FoundChanged  = "changed"  // a row or file has other bytes than were sequenced
	FoundOrphan   = "orphan"   // an entry that is neither pending nor a leaf, or a row that belongs to none
	FoundTwice    = "twice"    // an entry that is pending and a leaf, or two leaves
	FoundTrail    = "trail"    // a trail's numbers or links do not fit
	FoundRoot     = "root"     // a root that is not the root of the leaves
	FoundBehind   = "behind"   // fewer leaves than were published
	FoundRejected = "rejected" // a pending entry that no leaf can be made of
)

// String is "table id n index i: code: detail".
func (f Finding) String() string {
	s := f.Table
	if f.Log != "" {
		s += " of " + f.Log
	}
	if f.HasID {
		s += fmt.Sprintf(" id %d", f.ID)
	}
	if f.HasIndex {
		s += fmt.Sprintf(" index %d", f.Index)
	}
	return s + ": " + f.Code + ": " + f.Detail
}

// maxFindings bounds the list: whoever replaces the whole log need not fill the memory of the one who looks.
const maxFindings = 1000

// Check compares entry, leaf, tree, pending, trail heads, openings, aliases and checkpoints of one institution in PostgreSQL with each
// other and with the published folder (its root: logs lie in <institution>/<year>; nil: database only), and names table, id and
// index of every difference, at most 1,000. It believes no stored hash: leaves are put together and hashed again. A nil slice
// means that everything agrees. It works in one read-only snapshot; what is published after the snapshot is not looked at. It
// verifies no signature: that is package verify's work, with a pinned key. Errors wrap [ErrUnavailable] and mean that the
// database could not be read; an unreadable folder is a finding.
func Check(ctx context.Context, pool *pgxpool.Pool, institution string, published fs.FS) ([]Finding, error) {
	c := newChecker(institution, published)
	return c.found, c.run(ctx, pool)
}

func newChecker(institution string, published fs.FS) *checker {
	return &checker{institution: institution, published: published, opened: map[int]*publishedLog{}, trails: map[string]trailAt{}, reached: map[int]*audit.Tree{}}
}

// run is one check, in one snapshot. What is published is looked up before it: the log may grow, and be published, meanwhile.
func (c *checker) run(ctx context.Context, pool *pgxpool.Pool) error {
	list, err := Shards(ctx, pool, c.institution)
	if err != nil {
		return err
	}
	for _, s := range list {
		c.opened[s.Year] = openPublished(c.published, s)
	}
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, pool, opts, func(tx pgx.Tx) error { return c.all(ctx, tx) })
	if err != nil && !errors.Is(err, errEnough) {
		return unavailable("checking the log", err)
	}
	return nil
}

var errEnough = errors.New("enough findings")

// checker is one check.
type checker struct {
	institution string
	published   fs.FS
	opened      map[int]*publishedLog // by year, as they were before the snapshot
	found       []Finding
	trails      map[string]trailAt // as the leaves give them, across years; of a check from somewhere on, those that it met

	window  map[int]uint64      // by year, below which bodies may be gone, as entries of the log say
	from    map[int]*audit.Tree // by year, where to go on; nil: a whole check
	fromID  uint64              // entries up to this id were looked at, if from is not nil
	reached map[int]*audit.Tree // by year, the tree at the last published leaf that was compared
	lastID  uint64              // largest entry id of a leaf at or before that
	looked  uint64              // leaves that were hashed
}

// trailAt is the head of one trail as the leaves give it.
type trailAt struct {
	n    uint64
	id   uint64
	hash [32]byte
	subjectState
}

// says compares with what a row of audit.trail claims; nil stands for no state.
func (h *subjectState) says(revision, id uint64, state []byte) bool {
	if h.state.Revision == 0 {
		return revision == 0 && id == 0 && state == nil
	}
	return revision == h.state.Revision && id == h.stateID && bytes.Equal(state, h.state.SHA256[:])
}

func (c *checker) add(f Finding) error {
	if c.found = append(c.found, f); len(c.found) >= maxFindings {
		return errEnough
	}
	return nil
}

func (c *checker) all(ctx context.Context, tx pgx.Tx) error {
	if c.from != nil { // the newest few of perhaps millions: by key, whatever old statistics say
		if _, err := tx.Exec(ctx, byKey); err != nil {
			return err
		}
	}
	list, err := shards(ctx, tx, c.institution)
	if err != nil {
		return err
	}
	if err := c.windows(ctx, tx, list); err != nil {
		return err
	}
	for _, s := range list {
		if err := c.log(ctx, tx, s); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context, pgx.Tx) error{c.trailHeads, c.queue, c.rows, c.aliases} {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// log walks one log: every leaf in order, beside the published entry of the same index.
func (c *checker) log(ctx context.Context, tx pgx.Tx, s Shard) error {
	w := &walk{checker: c, shard: s, tree: &audit.Tree{}, published: c.publishedLog(s)}
	w.resume()
	if err := w.readRoots(ctx, tx); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, w.query(), s.Institution, s.Year, int64(w.next))
	if err != nil {
		return err
	}
	var r leafRow
	var hash, prev, beforeHash []byte
	var beforeN, beforeID *uint64
	r.p.Log = s.Origin
	to := []any{&r.p.Index, &r.p.ID, &hash, &r.p.SeqAt, &r.p.TrailN, &prev, &r.prevID, &r.body, &r.subject, &beforeN, &beforeID, &beforeHash}
	_, err = pgx.ForEachRow(rows, to, func() error {
		copy(r.hash[:], hash)
		copy(r.p.TrailPrev[:], prev)
		if r.before = nil; beforeN != nil {
			r.before = &trailAt{n: *beforeN, id: *beforeID}
			copy(r.before.hash[:], beforeHash)
		}
		return w.leaf(r)
	})
	if err != nil {
		return err
	}
	return w.end()
}

// publishedLog is the published log as it was before the snapshot.
func (c *checker) publishedLog(s Shard) *publishedLog {
	if p, ok := c.opened[s.Year]; ok {
		return p
	}
	return openPublished(c.published, s)
}

// trailHeads compares audit.trail with the trails that the leaves give.
func (c *checker) trailHeads(ctx context.Context, tx pgx.Tx) error {
	query, args := "select subject, n, last_id, last_hash, revision, state, state_id from audit.trail where institution = $1", []any{c.institution}
	if c.partly() {
		query, args = query+" and subject = any ($2)", append(args, c.met())
	}
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	var subject string
	var n, id, revision, stateID uint64
	var hash, state []byte
	_, err = pgx.ForEachRow(rows, []any{&subject, &n, &id, &hash, &revision, &state, &stateID}, func() error {
		t, ok := c.trails[subject]
		delete(c.trails, subject)
		if ok && t.n == n && t.id == id && string(t.hash[:]) == string(hash) {
			older := c.partly() && t.state.Revision <= revision && t.stateID != stateID // the state is of an entry before this check
			if older || t.says(revision, stateID, state) {
				return nil
			}
			return c.add(Finding{Table: "audit.trail", Code: FoundTrail, ID: stateID, HasID: stateID > 0, Detail: "the head says another state of its subject than its leaves"})
		}
		return c.add(Finding{Table: "audit.trail", Code: FoundTrail, ID: id, HasID: true, Detail: "the head is not the trail's last leaf"})
	})
	if err != nil {
		return err
	}
	for _, t := range c.trails {
		if err := c.add(Finding{Table: "audit.trail", Code: FoundMissing, ID: t.id, HasID: true, Detail: "no head for this leaf's trail"}); err != nil {
			return err
		}
	}
	return nil
}

// queue looks at entries that have no leaf.
func (c *checker) queue(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		select e.id, e.subject, e.body, p.id is not null
		from audit.entry e left join audit.pending p using (institution, id)
		where e.institution = $1 and e.id > $2 and not exists (select from audit.leaf l where l.institution = e.institution and l.entry_id = e.id)
		order by e.id`, c.institution, int64(c.fromID))
	if err != nil {
		return err
	}
	var id uint64
	var subject string
	var body []byte
	var pending bool
	var view audit.BodyView
	_, err = pgx.ForEachRow(rows, []any{&id, &subject, &body, &pending}, func() error {
		if !pending {
			return c.add(Finding{Table: "audit.pending", Code: FoundOrphan, ID: id, HasID: true, Detail: "the entry has neither an index nor a place in the queue"})
		}
		if !sequenceable(body, subject, c.institution, &view) || reserved(view.Kind()) {
			return c.add(Finding{Table: "audit.entry", Code: FoundRejected, ID: id, HasID: true, Detail: "the body is not canonical, is of another subject or institution, or would end the log"})
		}
		return nil
	})
	return err
}

// rows looks for rows that belong to nothing.
func (c *checker) rows(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		select 'audit.pending', 'missing', p.id, null::bigint, 'the queued entry does not exist'
		from audit.pending p where p.institution = $1
		  and not exists (select from audit.entry e where e.institution = p.institution and e.id = p.id)
		union all
		select 'audit.pending', 'twice', p.id, l.idx, 'the entry is queued although it has an index'
		from audit.pending p join audit.leaf l on l.institution = p.institution and l.entry_id = p.id where p.institution = $1
		union all
		select 'audit.leaf', 'twice', l.entry_id, max(l.idx), 'the entry has more than one leaf'
		from audit.leaf l where $2 and l.institution = $1 group by l.entry_id having count(*) > 1
		union all
		select 'audit.opening', 'orphan', o.entry_id, null, 'the opened entry does not exist'
		from audit.opening o where $2 and o.institution = $1
		  and not exists (select from audit.entry e where e.institution = o.institution and e.id = o.entry_id)
		  and not exists (select from audit.leaf l join audit.retained r on r.institution = l.institution and r.year = l.year and r.from_idx > l.idx
		                  where l.institution = o.institution and l.entry_id = o.entry_id)
		order by 1, 3`, c.institution, c.from == nil)
	if err != nil {
		return err
	}
	var f Finding
	var index *int64
	_, err = pgx.ForEachRow(rows, []any{&f.Table, &f.Code, &f.ID, &index, &f.Detail}, func() error {
		f.HasID, f.HasIndex, f.Index = true, index != nil, 0
		if index != nil {
			f.Index = uint64(*index)
		}
		return c.add(f)
	})
	return err
}

// aliases looks for aliases that were given to another actor. One that was erased leaves nothing to compare.
func (c *checker) aliases(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, "select year, alias, actor, salt from audit.alias where institution = $1 order by year, alias", c.institution)
	if err != nil {
		return err
	}
	var key aliasKey
	var alias string
	var salt []byte
	_, err = pgx.ForEachRow(rows, []any{&key.year, &alias, &key.actor, &salt}, func() error {
		if aliasFits(alias, salt, c.institution, key) {
			return nil
		}
		return c.add(Finding{Table: "audit.alias", Code: FoundChanged, Detail: fmt.Sprintf("the actor of %s is not the one that it was made for", alias)})
	})
	return err
}

// sequenceable reports whether a leaf may be made of body.
func sequenceable(body []byte, subject, institution string, view *audit.BodyView) bool {
	return audit.ScanBody(body, view) == nil && string(view.Subject()) == subject && string(view.Institution()) == institution
}
