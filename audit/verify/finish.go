package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

func partialPath(base string, width uint64) string {
	return base + ".p/" + strconv.FormatUint(width, 10)
}

// finish decides which of the two trees was signed, compares the right edge of the upper tiles, and closes every step.
func (w *walker) finish() error {
	if !w.stopped {
		for _, l := range w.lines() {
			if err := w.rightEdge(l); err != nil {
				return err
			}
		}
	}
	truth := w.judge()
	for _, f := range truth.found {
		w.rep.find(f.step, f.Finding)
	}
	w.rep.sort(StepTree)
	w.rep.ok(StepTree)
	w.closeHeads()
	w.closeSaved()
	if err := w.closeContents(); err != nil {
		return err
	}
	if err := w.closeCheckpoints(); err != nil {
		return err
	}
	w.limits()
	return nil
}

// rightEdge compares the partial tiles above level 0.
func (w *walker) rightEdge(l *line) error {
	for level := 1; level*audit.TileHeight < 64; level++ {
		index, data := l.Partial(level)
		if data == nil {
			continue
		}
		if err := w.upperTile(l, level, index, data, len(data)/audit.HashSize); err != nil {
			return err
		}
	}
	return nil
}

// judge compares both trees with the signed root, says of each disagreement who is wrong, and returns the tree to go by.
func (w *walker) judge() *line {
	if w.stopped {
		w.differences(nil)
		return w.byEntry
	}
	own := w.byEntry.Root()
	if own == w.head.Root {
		w.differences(func(d diff) Finding {
			return Finding{Code: "tile_altered", Path: audit.TilePath(0, d.index/audit.TileWidth, w.width(d.index)),
				Text: say("the stored hash of entry %d was changed; the entry itself is the signed one", "第 %d 条记录的存储哈希被改;记录本身与签名一致", d.index)}
		})
		return w.byEntry
	}
	if w.byTile != nil && w.byTile.Root() == w.head.Root {
		w.differences(func(d diff) Finding {
			return Finding{Code: "entry_altered", Path: audit.EntriesPath(d.index/audit.TileWidth, w.width(d.index)),
				Text: say("entry %d was changed after it was signed", "第 %d 条记录在签名之后被改动", d.index)}
		})
		return w.byTile
	}
	w.differences(nil)
	f := Finding{Code: "root", Path: audit.CheckpointPath, Want: hex.EncodeToString(w.head.Root[:]), Got: hex.EncodeToString(own[:]),
		Text: say("the root over all %d entries is not the signed one", "全部 %d 条记录的根哈希与签名不符", w.head.Size)}
	if bad := w.byEntry.firstBad; bad > 0 {
		f.From, f.To = at(w.byEntry.lastGood), at(bad-1)
	}
	w.rep.find(StepTree, f)
	return w.byEntry
}

// differences reports the entries whose hash is not the tile's. Without a verdict both are suspect.
func (w *walker) differences(verdict func(diff) Finding) {
	for _, d := range w.diffs {
		f := Finding{Code: "entry_or_tile", Text: say("entry %d and its stored hash disagree, and neither gives the signed root", "第 %d 条记录与其存储哈希不符,且二者均不能得出签名的根哈希", d.index)}
		if verdict != nil {
			f = verdict(d)
		}
		f.From, f.To = at(d.index), at(d.index)
		f.Want, f.Got = hex.EncodeToString(d.tile[:]), hex.EncodeToString(d.entry[:])
		w.rep.find(StepTree, f)
	}
	w.rep.Steps[StepTree-1].More += w.moreDiffs
}

// width returns the width of the tile in which an entry lies.
func (w *walker) width(index uint64) int {
	full, partial := audit.TileCount(w.head.Size, 0)
	if index/audit.TileWidth == full {
		return partial
	}
	return audit.TileWidth
}

// closeSaved closes steps 2 and 3.
func (w *walker) closeSaved() {
	if len(w.opts.Pinned) > 0 && !w.stopped {
		w.rep.ok(StepPinned)
	} else if len(w.opts.Pinned) == 0 {
		w.rep.note(StepPinned, say("not checked: no earlier checkpoint", "未检查:没有先前保存的检查点"))
	}
	switch {
	case len(w.keys.witnesses) == 0:
		w.rep.note(StepWitnesses, say("not checked: no witness", "未检查:没有见证方"))
	case !w.keys.policy.NeedsWitnesses():
		w.rep.note(StepWitnesses, say("not checked: the policy asks for no witness", "未检查:策略未要求见证方"))
	case !w.anyCosigned:
		f := Finding{Code: "not_cosigned", Path: audit.CheckpointPath,
			Text: say("no checkpoint is cosigned by a quorum of the policy's %d witnesses", "没有任何检查点获得策略所列 %d 个见证方的法定联署", len(w.keys.witnesses))}
		if q := w.keys.quorum; q > 0 {
			f.Text = say("fewer than %d of the %d witnesses cosigned any checkpoint", "没有任何检查点获得 %d/%d 个见证方联署", q, len(w.keys.witnesses))
		}
		w.rep.find(StepWitnesses, f)
	default:
		w.closeCosigned()
	}
}

// stamp is how times are written in sentences.
const stamp = "2006-01-02 15:04:05 UTC"

// closeCosigned says up to where and when witnesses vouch. What lies beyond is not checked: only the log's keeper says so.
func (w *walker) closeCosigned() {
	w.rep.Counts.Cosigned, w.rep.Counts.CosignedAt = w.cosigned, w.cosignedAt
	size, seen := w.head.Size, w.cosignedAt.Format(stamp)
	switch {
	case w.rep.Steps[StepWitnesses-1].Status == Failed: // a cosignature of another history must not read as one of this
		w.rep.note(StepWitnesses, say("newest cosignature: of size %d, at %s", "最近的联署:规模 %d,时间 %s", w.cosigned, seen))
	case w.cosigned >= size:
		w.rep.ok(StepWitnesses)
		w.rep.note(StepWitnesses, say("all %d entries are cosigned, last at %s", "全部 %d 条均已联署,最近联署时间 %s", size, seen))
	default:
		w.rep.note(StepWitnesses, say("cosigned up to size %d, at %s", "已联署至规模 %d,时间 %s", w.cosigned, seen))
		w.rep.note(StepWitnesses, say("not checked: the %d entries after it, up to size %d, the last of %s, are not cosigned", "未检查:其后 %d 条(至规模 %d,末条定序时间 %s)尚未联署",
			size-w.cosigned, size, w.lastSeq))
	}
	now := w.opts.Now
	if now.IsZero() {
		now = time.Now()
	}
	if limit := w.opts.MaxAge; limit > 0 && now.Sub(w.cosignedAt) > limit {
		w.rep.find(StepWitnesses, Finding{Code: "cosignature_old", Text: say("the newest cosignature, of size %d, is of %s: more than %s ago. Ask the witness itself",
			"最近的联署(规模 %d)时间为 %s,距今超过 %s。请直接向见证方核实", w.cosigned, seen, limit)})
	}
}

// closeContents closes steps 5, 6 and 7.
func (w *walker) closeContents() error {
	if w.opts.TreeOnly {
		for _, step := range []int{StepEntries, StepTrails, StepBlobs} {
			w.rep.note(step, say("not checked: only the tree was asked for", "未检查:仅要求检查默克尔树"))
		}
		return nil
	}
	w.rep.ok(StepEntries)
	w.rep.ok(StepTrails)
	return w.checkBlobs()
}

// checkBlobs hashes every stored blob and looks up every named one: step 7.
func (w *walker) checkBlobs() error {
	entries, err := fs.ReadDir(w.fsys, audit.BlobDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listing %s: %w", audit.BlobDir, err)
	}
	present := map[string]bool{}
	for _, e := range entries {
		if !isDigest(e.Name()) {
			continue // a publisher's temporary file
		}
		path := audit.BlobPath(e.Name())
		data, err := fs.ReadFile(w.fsys, path)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		present[e.Name()] = true
		w.rep.Counts.Blobs++
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != e.Name() {
			f := Finding{Code: "blob_altered", Path: path, Got: hex.EncodeToString(sum[:]), Want: e.Name(),
				Text: say("its content is not the one its name says", "内容与其名称(哈希)不符")}
			if index, named := w.blobs[e.Name()]; named {
				f.From, f.To = at(index), at(index)
			}
			w.rep.find(StepBlobs, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.blobs)) {
		if !present[name] {
			w.rep.find(StepBlobs, Finding{Code: "blob_missing", Path: audit.BlobPath(name), From: at(w.blobs[name]), To: at(w.blobs[name]), Want: name,
				Text: say("named by entry %d and not there", "第 %d 条记录所引用,但不存在", w.blobs[name])})
		}
	}
	if len(w.blobs)+len(present) > 0 {
		w.rep.ok(StepBlobs)
	} else {
		w.rep.note(StepBlobs, say("no entry names a file", "没有记录引用文件"))
	}
	return nil
}

// isDigest reports whether a name is 64 lower-case hex digits.
func isDigest(name string) bool {
	return len(name) == 2*audit.HashSize && strings.Trim(name, "0123456789abcdef") == ""
}

// evidenceDir is where a publisher that finds its own log forked leaves what it found (docs/formats/published-folder.md).
const evidenceDir = "evidence"

// closeCheckpoints closes step 8.
func (w *walker) closeCheckpoints() error {
	evidence, err := fs.ReadDir(w.fsys, evidenceDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listing %s: %w", evidenceDir, err)
	}
	for _, e := range evidence {
		w.rep.note(StepCheckpoints, say("the publisher left evidence of a fork: %s/%s", "发布方留有分叉证据:%s/%s", evidenceDir, e.Name()))
	}
	for _, size := range w.stored { // those the tree did not reach
		w.rep.find(StepCheckpoints, Finding{Code: "checkpoint_unreached", Path: audit.CheckpointSizePath(size),
			Text: say("signed for %d entries, more than could be verified", "曾签署 %d 条记录,超出可验证的范围", size)})
	}
	if w.strange > 0 {
		w.rep.note(StepCheckpoints, say("%d files are not named by a size and were left alone", "%d 个文件名不是规模,未予检查", w.strange))
	}
	if w.rep.Counts.Checkpoints > 0 {
		w.rep.ok(StepCheckpoints)
	} else if len(w.stored) == 0 {
		w.rep.note(StepCheckpoints, say("no checkpoint is stored", "没有已存的检查点"))
	}
	return nil
}

// limits says what no check of these files can show: step 9.
func (w *walker) limits() {
	w.rep.Counts.Trails = uint64(w.trails.Len())
	w.rep.Counts.OpenRequests = uint64(len(w.requests))
	if w.rep.Simulated {
		w.rep.note(StepLimits, say("the log says of itself that it is simulated", "日志自述为模拟数据"))
	}
	if n := len(w.requests); n > 0 {
		w.rep.note(StepLimits, say("%d requests have an intent and no outcome", "%d 个请求有意图记录而无结果记录", n))
	}
	if w.carried > 0 {
		w.rep.note(StepLimits, say("%d trails began in an earlier log that was not given", "%d 条轨迹始于未提供的更早日志", w.carried))
	}
	if w.unknownLines > 0 {
		w.rep.note(StepLimits, say("%d signature lines are by keys that were not given", "%d 行签名所用密钥未提供", w.unknownLines))
	}
	if w.opts.Schema == nil {
		w.rep.note(StepLimits, say("the facts of the entries were not compared with a schema", "未按事实模式核对记录"))
	}
	w.rep.note(StepLimits, say("whether something happened that has no entry, and whether what entries claim is true, no log can show", "是否有未入账之事、记录所述是否属实,任何日志都无法证明"))
}
