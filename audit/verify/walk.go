package verify

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"io/fs"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// walker is one verification in progress.
type walker struct {
	ctx  context.Context //nolint:containedctx // lives for one call of Verify only
	fsys fs.FS
	opts Options
	keys *keys
	rep  *Report

	head    *signed
	stored  []uint64 // sizes in checkpoints/, ascending
	strange int      // files in checkpoints/ whose name is no size
	saved   []saved  // given by the caller, ascending by size

	// byEntry is the tree over the hashes of the entries' own bytes. byTile is the tree over the hashes that the level-0 tiles
	// hold; it parts from byEntry at the first disagreement and is nil before. Which of them was signed shows at the end.
	byEntry, byTile *line
	diffs           []diff
	moreDiffs       int
	damaged         map[[32]byte]bool // hashes of entries already named
	stopped         bool              // neither bundle nor tile: the tree cannot be continued

	trails       *Trails
	headsGood    uint64 // entries that commit to the ends of trails as they were
	headsSkipped uint64 // those that could not be recomputed
	carried      uint64 // trails that began in an earlier log that was not given
	follows      bool   // the log continues an earlier one
	firstPlace   []byte // institution of the first entry
	lastSeq      []byte
	closed       bool                // an entry has closed the log
	beforeLast   [32]byte            // root over all entries but the last
	requests     map[uint64]struct{} // requests with an intent and no outcome yet, hashed
	seed         maphash.Seed
	blobs        map[string]uint64 // hex digest -> first entry that names it
	lastBundle   []byte
	cosigned     uint64
	cosignedAt   time.Time // of the newest statement on that size
	anyCosigned  bool
	unknownLines int

	view           audit.LeafView
	bundle, tile   []byte
	upper, partial []byte
	ends           [audit.TileWidth]int
}

// saved is a checkpoint that the caller gave.
type saved struct {
	audit.Checkpoint
	step  int
	label string
}

// diff is an entry whose own hash is not the one in the level-0 tile.
type diff struct {
	index       uint64
	entry, tile [32]byte
}

// line is one version of the tree with the findings that hold if it is the signed one.
type line struct {
	audit.Tree
	found    []stepFinding
	more     int
	lastGood uint64 // size of the last stored checkpoint that agrees
	firstBad uint64 // size of the first that does not; 0 = none
}

type stepFinding struct {
	step int
	Finding
}

func (l *line) find(step int, f Finding) {
	if len(l.found) >= 4*maxFindings {
		l.more++
		return
	}
	l.found = append(l.found, stepFinding{step, f})
}

// walk reads every bundle once.
func (w *walker) walk() error {
	w.byEntry = &line{}
	w.trails.ends.opened(w.head.Origin)
	w.damaged, w.blobs, w.requests = map[[32]byte]bool{}, map[string]uint64{}, map[uint64]struct{}{}
	w.seed = maphash.MakeSeed()
	w.byEntry.Full = func(level int, index uint64, data []byte) error {
		return w.upperTile(w.byEntry, level, index, data, audit.TileWidth)
	}
	if err := w.reached(); err != nil {
		return err
	}
	full, rest := audit.TileCount(w.head.Size, 0)
	for index := uint64(0); index < full && !w.stopped; index++ {
		if err := w.ctx.Err(); err != nil {
			return fmt.Errorf("verifying %s: %w", w.head.Origin, err)
		}
		if err := w.readBundle(index, audit.TileWidth); err != nil {
			return err
		}
	}
	if rest > 0 && !w.stopped {
		return w.readBundle(full, rest)
	}
	return nil
}

// readBundle reads one bundle and its level-0 tile and takes their entries in.
func (w *walker) readBundle(index uint64, width int) error {
	first := index * audit.TileWidth
	bundle, path, err := w.readWidth(audit.EntriesPath(index, width), audit.EntriesPath(index, 0), &w.bundle, maxBundle)
	if err != nil {
		return err
	}
	tile, tilePath, err := w.readWidth(audit.TilePath(0, index, width), audit.TilePath(0, index, 0), &w.tile, maxTile)
	if err != nil {
		return err
	}
	if bundle == nil {
		w.rep.find(StepTree, Finding{Code: "bundle_missing", Path: path, From: at(first), To: at(first + uint64(width) - 1),
			Text: say("the bundle with entries %d to %d is missing", "第 %d 至 %d 条记录所在文件缺失", first, first+uint64(width)-1)})
	}
	if wrong := len(tile) < width*audit.HashSize || tilePath == audit.TilePath(0, index, width) && len(tile) > width*audit.HashSize; wrong {
		w.rep.find(StepTree, Finding{Code: "tile_length", Path: tilePath, From: at(first), To: at(first + uint64(width) - 1),
			Text: say("the tile is missing or has %d bytes instead of %d", "哈希文件缺失或长度为 %d 字节(应为 %d)", len(tile), width*audit.HashSize)})
	}
	taken, err := w.takeBundle(first, width, bundle, tile, path)
	if err != nil {
		return err
	}
	if taken < width || w.stopped {
		return nil
	}
	if rest := bundle[w.ends[width-1]:]; len(rest) > 0 && path == audit.EntriesPath(index, width) {
		w.rep.find(StepTree, Finding{Code: "bundle_trailing", Path: path, From: at(first), To: at(first + uint64(width) - 1),
			Text: say("%d bytes after the last entry", "末条记录之后多出 %d 字节", len(rest))})
	}
	return w.olderPartials(index, width, bundle, tile)
}

// readWidth reads a file of the wanted width or, where the log has grown past it, the full one. The data is nil if neither
// is there.
func (w *walker) readWidth(exact, full string, buf *[]byte, limit int) ([]byte, string, error) {
	for _, path := range []string{exact, full} {
		data, missing, err := readFile(w.fsys, path, *buf, limit)
		*buf = data
		if err != nil || !missing {
			return data, path, err
		}
	}
	return nil, exact, nil
}

// takeBundle hashes the entries and returns how many it could split off. Where an entry cannot be had, its place in the tree
// is taken by the tile's hash, so that the rest can still be judged; the finding stays.
func (w *walker) takeBundle(first uint64, width int, bundle, tile []byte, path string) (taken int, err error) {
	rest := bundle
	for i := range width {
		index := first + uint64(i)
		var entry []byte
		if taken == i && bundle != nil {
			if entry, rest, err = audit.NextEntry(rest); err != nil {
				w.rep.find(StepTree, Finding{Code: "bundle_malformed", Path: path, From: at(index), To: at(index),
					Text: say("entry %d: %v", "第 %d 条:%v", index, err)})
			} else {
				w.ends[i] = len(bundle) - len(rest)
				taken++
			}
		}
		have := taken == i+1
		var own, stored [32]byte
		if have {
			own = audit.LeafHash(entry)
			stored = own
		}
		if len(tile) >= (i+1)*audit.HashSize {
			stored = [32]byte(tile[i*audit.HashSize:])
		} else if !have {
			w.stopped = true
			return taken, nil
		}
		if !have {
			own = stored
			w.damage(stored)
		}
		if index+1 == w.head.Size {
			w.beforeLast = w.byEntry.Root()
		}
		if err := w.take(index, own, stored); err != nil {
			return taken, err
		}
		if have {
			if err := w.entry(index, entry, own, own != stored); err != nil {
				return taken, err
			}
		}
	}
	return taken, nil
}

// take adds one leaf to the tree or, where entry and tile disagree, to both trees.
func (w *walker) take(index uint64, own, stored [32]byte) error {
	if own != stored {
		if w.byTile == nil {
			w.fork()
		}
		w.damage(own)
		w.damage(stored)
		if len(w.diffs) < maxFindings {
			w.diffs = append(w.diffs, diff{index, own, stored})
		} else {
			w.moreDiffs++
		}
	}
	if err := w.byEntry.Append(own); err != nil {
		return err
	}
	if w.byTile != nil {
		if err := w.byTile.Append(stored); err != nil {
			return err
		}
	}
	if len(w.stored) > 0 && w.stored[0] == index+1 || len(w.saved) > 0 && w.saved[0].Size == index+1 {
		return w.reached()
	}
	return nil
}

// maxDamaged bounds the hashes that are remembered as damaged; a log with more is past saying which trail broke why.
const maxDamaged = 1 << 16

func (w *walker) damage(hash [32]byte) {
	if len(w.damaged) < maxDamaged {
		w.damaged[hash] = true
	}
}

// fork starts the second tree as a copy of the first.
func (w *walker) fork() {
	b := &line{Tree: w.byEntry.Clone(), found: append([]stepFinding(nil), w.byEntry.found...), lastGood: w.byEntry.lastGood, firstBad: w.byEntry.firstBad}
	b.Full = func(level int, index uint64, data []byte) error {
		return w.upperTile(b, level, index, data, audit.TileWidth)
	}
	w.byTile = b
}

// lines returns the trees that are still possible.
func (w *walker) lines() []*line {
	if w.byTile == nil {
		return []*line{w.byEntry}
	}
	return []*line{w.byEntry, w.byTile}
}

// reached compares what was signed at the present size with the trees.
func (w *walker) reached() error {
	size := w.byEntry.Size()
	for len(w.saved) > 0 && w.saved[0].Size == size {
		s := w.saved[0]
		w.saved = w.saved[1:]
		for _, l := range w.lines() {
			if root := l.Root(); root != s.Root {
				l.find(s.step, Finding{Code: "history_changed", Path: s.label, Want: hex.EncodeToString(s.Root[:]), Got: hex.EncodeToString(root[:]),
					Text: say("the first %d entries are not those that it saw: the log was rewritten", "前 %d 条记录与其当时所见不同:日志已被改写", size)})
			}
		}
	}
	for len(w.stored) > 0 && w.stored[0] <= size {
		stored := w.stored[0]
		w.stored = w.stored[1:]
		if err := w.storedCheckpoint(stored); err != nil {
			return err
		}
	}
	return nil
}

// storedCheckpoint judges checkpoints/<size>: step 8.
func (w *walker) storedCheckpoint(size uint64) error {
	path := audit.CheckpointSizePath(size)
	raw, _, err := readFile(w.fsys, path, w.partial, maxNote)
	w.partial = raw
	if err != nil {
		return err
	}
	s, err := w.keys.open(raw)
	w.rep.Counts.Checkpoints++
	if err != nil {
		w.rep.find(StepCheckpoints, Finding{Code: "checkpoint_malformed", Path: path, Text: say("not a signed checkpoint: %v", "不是有效的已签名检查点:%v", err)})
		return nil
	}
	w.damagedSecond(s, StepCheckpoints, path)
	w.cosignatures(s, path)
	if s.problem != "" || s.Origin != w.head.Origin || s.Size != size {
		w.rep.find(StepCheckpoints, Finding{Code: "checkpoint_signature", Path: path,
			Text: say("not signed by the key, or of another log or size (%d): %s", "未经该密钥签名,或属于其他日志或规模(%d):%s", s.Size, s.problem)})
		return nil
	}
	for _, l := range w.lines() {
		root := l.Root()
		if root == s.Root {
			l.lastGood = size
			continue
		}
		if l.firstBad == 0 {
			l.firstBad = size
		}
		l.find(StepCheckpoints, Finding{Code: "history_changed", Path: path, Want: hex.EncodeToString(s.Root[:]), Got: hex.EncodeToString(root[:]),
			Text: say("signed another root for the first %d entries", "曾对前 %d 条记录签署另一根哈希", size)})
	}
	return nil
}

// upperTile compares a tile that the tree completed with the stored one. Level 0 was compared entry by entry.
func (w *walker) upperTile(l *line, level int, index uint64, data []byte, width int) error {
	if level == 0 {
		return nil
	}
	stored, path, err := w.readWidth(audit.TilePath(level, index, width), audit.TilePath(level, index, 0), &w.upper, maxTile)
	if err != nil {
		return err
	}
	exact := path == audit.TilePath(level, index, width)
	if len(stored) < len(data) || exact && len(stored) != len(data) {
		from, to := covered(level, index, 0, width)
		l.find(StepTree, Finding{Code: "tile_length", Path: path, From: at(from), To: at(to),
			Text: say("the tile is missing or has %d bytes instead of %d", "哈希文件缺失或长度为 %d 字节(应为 %d)", len(stored), len(data))})
		return nil
	}
	if !bytes.Equal(stored[:len(data)], data) {
		w.tileDiffers(l, path, level, index, data, stored)
	}
	return w.olderTiles(l, level, index, width, data)
}

// tileDiffers names the first hash in which a tile differs, and the entries under it.
func (w *walker) tileDiffers(l *line, path string, level int, index uint64, want, got []byte) {
	for i := 0; i*audit.HashSize < len(want); i++ {
		a, b := want[i*audit.HashSize:(i+1)*audit.HashSize], got[i*audit.HashSize:(i+1)*audit.HashSize]
		if bytes.Equal(a, b) {
			continue
		}
		from, to := covered(level, index, i, 1)
		l.find(StepTree, Finding{Code: "tile_altered", Path: path, From: at(from), To: at(to), Want: hex.EncodeToString(b), Got: hex.EncodeToString(a),
			Text: say("its hash %d, over entries %d to %d, is not the recomputed one", "其中第 %d 个哈希(第 %d 至 %d 条记录)与重算结果不符", i, from, to)})
		return
	}
}

// covered returns the first and last entry under count hashes of a tile.
func covered(level int, index uint64, hash, count int) (from, to uint64) {
	span := uint64(1) << (audit.TileHeight * level)
	from = (index*audit.TileWidth + uint64(hash)) * span
	return from, from + uint64(count)*span - 1
}
