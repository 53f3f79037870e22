package pglog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
)

// leafRow is a row of audit.leaf with what audit.entry has for it; body is nil if the entry is gone.
type leafRow struct {
	p       audit.Position
	hash    [32]byte
	prevID  uint64
	body    []byte
	subject *string
	before  *trailAt // the trail's former leaf as stored, where a check does not begin at the first leaf
}

// walk goes through one log in order of index.
type walk struct {
	*checker
	shard     Shard
	tree      *audit.Tree // over what the rows give when they are hashed again
	published *publishedLog
	roots     map[uint64][][32]byte // that audit.checkpoint and the published checkpoint claim, by size
	size      uint64                // audit.tree
	root      [32]byte
	compact   []byte
	next      uint64
	keepAt    uint64 // the size at which a later check goes on
}

// resume goes on where an earlier check was, if the published log is at least as far.
func (w *walk) resume() {
	w.keepAt = w.published.checkpoint.Size
	if t := w.from[w.shard.Year]; t != nil && t.Size() <= w.keepAt {
		tree := t.Clone()
		w.tree, w.next = &tree, t.Size()
		w.keep()
	}
}

// keep remembers the tree if it is the published one.
func (w *walk) keep() {
	if w.tree.Size() == w.keepAt {
		tree := w.tree.Clone()
		w.reached[w.shard.Year] = &tree
	}
}

// query reads the leaves from w.next on; those of a check that does not begin at the first leaf with what is stored of the trail
// before each.
func (w *walk) query() string {
	before, join := "null::bigint, null::bigint, null::bytea", ""
	if w.partly() {
		before, join = "q.trail_n, q.entry_id, q.hash", "left join audit.leaf q on q.institution = l.institution and q.entry_id = l.prev_id and l.prev_id > 0"
	}
	return `
		select l.idx, l.entry_id, l.hash, l.seq_at, l.trail_n, l.prev, l.prev_id, e.body, e.subject, ` + before + `
		from audit.leaf l left join audit.entry e on e.institution = l.institution and e.id = l.entry_id ` + join + `
		where l.institution = $1 and l.year = $2 and l.idx >= $3 order by l.idx`
}

// readRoots reads what the database and the folder say of the log's sizes.
func (w *walk) readRoots(ctx context.Context, tx pgx.Tx) error {
	w.roots = map[uint64][][32]byte{}
	var root []byte
	err := tx.QueryRow(ctx, "select size, root, compact from audit.tree where institution = $1 and year = $2", w.shard.Institution, w.shard.Year).Scan(&w.size, &root, &w.compact)
	if errors.Is(err, pgx.ErrNoRows) {
		err = w.add(Finding{Table: "audit.tree", Log: w.shard.Origin, Code: FoundMissing, Detail: "the log has no tree"})
	}
	if err != nil {
		return err
	}
	copy(w.root[:], root)
	list, err := checkpoints(ctx, tx, w.shard, w.next)
	if err != nil {
		return err
	}
	for _, c := range list {
		w.roots[c.Size] = append(w.roots[c.Size], c.Root)
		if c.Note == nil || states(c.Note, audit.Checkpoint{Origin: w.shard.Origin, Size: c.Size, Root: c.Root}) {
			continue
		}
		if err := w.add(Finding{Table: "audit.checkpoint", Log: w.shard.Origin, Code: FoundChanged, Index: max(c.Size, 1) - 1, HasIndex: true,
			Detail: "the signed note is not of this size and root"}); err != nil {
			return err
		}
	}
	if problem := w.published.problem; problem != "" {
		return w.add(Finding{Table: "published", Log: w.shard.Origin, Code: FoundChanged, Detail: problem})
	}
	if c := w.published.checkpoint; c.Size > 0 {
		w.roots[c.Size] = append(w.roots[c.Size], c.Root)
	}
	if w.next > 0 {
		return w.compareRoots() // at the size where this check begins
	}
	return nil
}

// states reports whether a note's text is that checkpoint. Its signatures are package verify's work.
func states(note []byte, want audit.Checkpoint) bool {
	split, err := audit.SplitNote(note)
	return err == nil && bytes.Equal(split.Text, want.Marshal())
}

// leaf checks one row; rows of indexes that are missing before it are named first.
func (w *walk) leaf(r leafRow) error {
	for ; w.next < r.p.Index; w.next++ {
		if err := w.missingLeaf(); err != nil {
			return err
		}
	}
	published, inFolder := w.published.entry(r.p.Index)
	rehashed := r.hash
	if w.letGo(&r, published) {
		var err error
		if rehashed, err = w.entry(r, published); err != nil {
			return err
		}
	}
	if published != nil && audit.LeafHash(published) != r.hash && rehashed == r.hash {
		if err := w.differs(r, published); err != nil {
			return err
		}
	}
	if inFolder && published == nil {
		if err := w.at(r, "published", FoundMissing, "the published bundle cannot be read: "+w.published.lastProblem); err != nil {
			return err
		}
	}
	if err := w.trail(r, published); err != nil {
		return err
	}
	w.next++
	if w.next <= w.keepAt {
		w.lastID = max(w.lastID, r.p.ID)
	}
	return w.grow(r.hash)
}

// differs names a leaf that agrees with itself in the database and is another than the published one. The published tile of
// hashes says who changed: it is under the signed checkpoint as the bundle is.
func (w *walk) differs(r leafRow, published []byte) error {
	if w.published.tileHash(r.p.Index) == audit.LeafHash(published) {
		return w.at(r, "audit.entry", FoundChanged, "entry and leaf agree with each other but not with what was published")
	}
	return w.at(r, "published", FoundChanged, "the published entry is not the sequenced one")
}

// entry hashes the leaf again and says which table is to blame if it has another hash than when it was sequenced.
func (w *walk) entry(r leafRow, published []byte) (rehashed [32]byte, err error) {
	if r.body == nil {
		return rehashed, w.at(r, "audit.entry", FoundMissing, "the entry of this leaf is gone")
	}
	bytes := audit.AssembleLeaf(r.body, r.p)
	rehashed = audit.LeafHash(bytes)
	if rehashed == r.hash {
		var view audit.BodyView
		if !sequenceable(r.body, *r.subject, w.shard.Institution, &view) {
			return rehashed, w.at(r, "audit.entry", FoundChanged, "the row's subject is not the body's, or the body is not canonical")
		}
		return rehashed, nil
	}
	blame, detail := "audit.entry", "the body is not the one that was sequenced"
	if leafChanged(r, published) {
		blame, detail = "audit.leaf", "the row is not what was published"
	}
	return rehashed, w.at(r, blame, FoundChanged, detail)
}

// leafChanged reports whether the published entry, where there is one, shows that the leaf's row was changed and the entry's was
// not.
func leafChanged(r leafRow, published []byte) bool {
	if published == nil {
		return false
	}
	leaf, err := audit.ParseLeaf(published)
	return err == nil && bytes.Equal(leaf.RawBody, r.body)
}

// trail checks number and link within the subject's trail. A leaf whose entry is gone keeps its place in the trail if the
// published entry says whose trail it is.
func (w *walk) trail(r leafRow, published []byte) error {
	if r.subject == nil {
		if leaf, err := audit.ParseLeaf(published); err == nil {
			w.advance(leaf.Body.Subject, trailAt{n: r.p.TrailN, id: r.p.ID, hash: r.hash}, leaf.RawBody)
		}
		return nil
	}
	t, met := w.trails[*r.subject]
	if !met && r.before != nil {
		t = *r.before
	}
	w.advance(*r.subject, trailAt{n: r.p.TrailN, id: r.p.ID, hash: r.hash}, r.body)
	if r.p.TrailN == t.n+1 && r.p.TrailPrev == t.hash {
		if r.prevID == t.id {
			return nil
		}
		return w.at(r, "audit.leaf", FoundTrail, "the way back along its trail leads to another entry")
	}
	return w.at(r, "audit.leaf", FoundTrail, fmt.Sprintf("number %d of its trail does not follow number %d", r.p.TrailN, t.n))
}

// advance moves a trail's head to an entry. A body that cannot be read says nothing of a state; it is named elsewhere.
func (w *walk) advance(subject string, to trailAt, body []byte) {
	to.subjectState = w.trails[subject].subjectState
	var view audit.BodyView
	if audit.ScanBody(body, &view) == nil {
		to.alter(to.id, view.State())
	}
	w.trails[subject] = to
}

// grow appends a hash and compares the roots claimed at the new size.
func (w *walk) grow(hash [32]byte) error {
	if err := w.tree.Append(hash); err != nil {
		return err
	}
	w.looked++
	w.keep()
	return w.compareRoots()
}

// compareRoots compares the roots claimed at the tree's size.
func (w *walk) compareRoots() error {
	claimed, ok := w.roots[w.tree.Size()]
	delete(w.roots, w.tree.Size())
	if !ok {
		return nil
	}
	root := w.tree.Root()
	for _, c := range claimed {
		if c != root {
			return w.add(Finding{Table: "audit.checkpoint", Log: w.shard.Origin, Code: FoundRoot, Index: w.tree.Size() - 1, HasIndex: true,
				Detail: "the checkpoint that ends here has another root than the leaves"})
		}
	}
	return nil
}

// missingLeaf names the index w.next, with the entry id if the published bundle knows it.
func (w *walk) missingLeaf() error {
	f := Finding{Table: "audit.leaf", Log: w.shard.Origin, Code: FoundMissing, Index: w.next, HasIndex: true, Detail: "no leaf at this index"}
	hash := [32]byte{}
	if published, _ := w.published.entry(w.next); published != nil {
		hash = audit.LeafHash(published)
		if leaf, err := audit.ParseLeaf(published); err == nil {
			f.ID, f.HasID = leaf.ID, true
			w.advance(leaf.Body.Subject, trailAt{n: leaf.TrailN, id: leaf.ID, hash: hash}, leaf.RawBody)
		}
	}
	if err := w.add(f); err != nil {
		return err
	}
	return w.grow(hash)
}

// end compares sizes and the last root.
func (w *walk) end() error {
	last := max(w.size, w.published.checkpoint.Size)
	for ; w.next < last; w.next++ {
		if err := w.missingLeaf(); err != nil {
			return err
		}
	}
	if w.size < w.published.checkpoint.Size {
		if err := w.add(Finding{Table: "audit.tree", Log: w.shard.Origin, Code: FoundBehind, Index: w.size, HasIndex: true,
			Detail: fmt.Sprintf("%d leaves, published are %d", w.size, w.published.checkpoint.Size)}); err != nil {
			return err
		}
	}
	if t := (treeRow{size: w.size, compact: w.compact}); w.size > 0 && t.root() != w.root {
		if err := w.add(Finding{Table: "audit.tree", Log: w.shard.Origin, Code: FoundChanged, Detail: "the compact range does not have the root"}); err != nil {
			return err
		}
	}
	if w.tree.Size() != w.size || w.tree.Root() != w.root {
		if err := w.add(Finding{Table: "audit.tree", Log: w.shard.Origin, Code: FoundRoot, Detail: "size and root are not those of the leaves"}); err != nil {
			return err
		}
	}
	for _, size := range slices.Sorted(maps.Keys(w.roots)) {
		if size == 0 || size <= w.next {
			continue
		}
		if err := w.add(Finding{Table: "audit.checkpoint", Log: w.shard.Origin, Code: FoundBehind, Index: size - 1, HasIndex: true,
			Detail: "signed at a size that the log does not have"}); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) at(r leafRow, table, code, detail string) error {
	return w.add(Finding{Table: table, Log: w.shard.Origin, Code: code, Detail: detail, ID: r.p.ID, HasID: true, Index: r.p.Index, HasIndex: true})
}

// publishedLog reads the bundles of one published log, one at a time.
type publishedLog struct {
	fsys        fs.FS
	checkpoint  audit.Checkpoint // zero Size: nothing published
	problem     string           // why the checkpoint cannot be read
	bundle      [][]byte
	tile        []byte // hashes of the same entries
	loaded      uint64 // which bundle, plus 1
	lastProblem string
}

func openPublished(root fs.FS, s Shard) *publishedLog {
	p := &publishedLog{}
	if root == nil {
		return p
	}
	fsys, err := fs.Sub(root, s.Folder())
	if err != nil {
		p.problem = "the log's folder cannot be opened"
		return p
	}
	p.fsys = fsys
	raw, err := fs.ReadFile(fsys, audit.CheckpointPath)
	if errors.Is(err, fs.ErrNotExist) {
		return p
	}
	if err != nil {
		p.problem = "the checkpoint cannot be read"
		return p
	}
	note, err := audit.SplitNote(raw)
	if err == nil {
		p.checkpoint, err = audit.ParseCheckpoint(note.Text)
	}
	if err != nil || p.checkpoint.Origin != s.Origin {
		p.checkpoint, p.problem = audit.Checkpoint{}, "the checkpoint is malformed or of another log"
	}
	return p
}

// entry returns the published entry of an index. inFolder says whether it must be there; the entry is nil if it then is not, or
// cannot be read.
func (p *publishedLog) entry(index uint64) (entry []byte, inFolder bool) {
	if index >= p.checkpoint.Size {
		return nil, false
	}
	n := index / audit.TileWidth
	if p.loaded != n+1 {
		p.loaded, p.bundle, p.tile, p.lastProblem = n+1, nil, nil, ""
		if err := p.load(n); err != nil {
			p.lastProblem = err.Error()
		}
	}
	if at := int(index % audit.TileWidth); at < len(p.bundle) {
		return p.bundle[at], true
	}
	return nil, true
}

// tileHash is the published hash of an index whose entry was read before; zero if it cannot be read.
func (p *publishedLog) tileHash(index uint64) [32]byte {
	if p.tile == nil {
		p.tile, _ = p.read(index/audit.TileWidth, func(n uint64, width int) string { return audit.TilePath(0, n, width) })
	}
	if at := int(index%audit.TileWidth) * audit.HashSize; at+audit.HashSize <= len(p.tile) {
		return [32]byte(p.tile[at:])
	}
	return [32]byte{}
}

func (p *publishedLog) load(n uint64) error {
	raw, err := p.read(n, audit.EntriesPath)
	if err != nil {
		return errors.New("no such file")
	}
	p.bundle, err = audit.DecodeBundle(raw)
	return err
}

// read reads bundle or tile n as the checkpoint's size names it, or the full one if the log grew past that checkpoint meanwhile.
func (p *publishedLog) read(n uint64, path func(n uint64, width int) string) ([]byte, error) {
	full, width := audit.TileCount(p.checkpoint.Size, 0)
	if n < full {
		width = 0
	}
	raw, err := fs.ReadFile(p.fsys, path(n, width))
	if errors.Is(err, fs.ErrNotExist) && width > 0 {
		raw, err = fs.ReadFile(p.fsys, path(n, 0))
	}
	return raw, err
}
