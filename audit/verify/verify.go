package verify

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
)

// Verify checks the log folder fsys (the one that holds the file "checkpoint") and reports each step. An error means that the
// verification could not be carried out: unusable options (wraps [ErrOptions]), no log (wraps [ErrNoLog]), an unreadable file,
// the end of ctx, or what Options.Entries returned. Whatever is wrong with the log itself is a finding in the report.
//
// Memory is constant but for the trails (see [Trails]) and 8 bytes per stored checkpoint. Verify only reads, and may run while
// the log grows: what was published after its start is not looked at.
func Verify(ctx context.Context, fsys fs.FS, opts Options) (*Report, error) {
	k, err := opts.parse()
	if err != nil {
		return nil, err
	}
	w := &walker{ctx: ctx, fsys: fsys, opts: opts, keys: k, rep: newReport(), trails: opts.Trails}
	if w.trails == nil {
		w.trails = &Trails{}
	}
	if err := w.start(); err != nil {
		return nil, err
	}
	if w.head == nil {
		return w.rep, nil // the checkpoint cannot be read: nothing to compare with
	}
	if err := w.walk(); err != nil {
		return nil, err
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	w.trails.last = &final{origin: w.rep.Origin, size: w.rep.Size, root: w.rep.Root}
	return w.rep, nil
}

// start finds the checkpoint to verify against: of the head and the stored ones the largest that is genuine.
func (w *walker) start() error {
	var err error
	if w.stored, w.strange, err = numbers(w.fsys, audit.CheckpointsDir); err != nil {
		return err
	}
	slices.Sort(w.stored)
	raw, missing, err := readFile(w.fsys, audit.CheckpointPath, nil, maxNote)
	if err != nil {
		return err
	}
	if missing && len(w.stored) == 0 {
		return fmt.Errorf("%w: no file %q", ErrNoLog, audit.CheckpointPath)
	}
	w.openHead(raw, missing)
	if n := len(w.stored); n > 0 && (!w.head.genuine() || w.stored[n-1] > w.head.Size) {
		if err := w.preferStored(w.stored[n-1]); err != nil {
			return err
		}
	}
	if w.head == nil {
		return nil
	}
	w.closeSecond()
	w.rep.Origin, w.rep.Size, w.rep.Root = w.head.Origin, w.head.Size, hex.EncodeToString(w.head.Root[:])
	return w.openSaved()
}

// openHead judges the file "checkpoint": step 1.
func (w *walker) openHead(raw []byte, missing bool) {
	if missing {
		w.rep.find(StepSignature, Finding{Code: "checkpoint_missing", Path: audit.CheckpointPath,
			Text: say("the file is missing", "检查点文件缺失")})
		return
	}
	head, err := w.keys.open(raw)
	if err != nil {
		w.rep.find(StepSignature, Finding{Code: "checkpoint_malformed", Path: audit.CheckpointPath,
			Text: say("not a signed checkpoint: %v", "不是有效的已签名检查点:%v", err)})
		return
	}
	w.head = head
	if head.problem != "" {
		w.rep.find(StepSignature, Finding{Code: "checkpoint_signature", Path: audit.CheckpointPath, Got: hex.EncodeToString(head.Root[:]),
			Text: say("%s", "签名不成立:%s", head.problem)})
	}
	w.damagedSecond(head, StepSignature, audit.CheckpointPath)
	w.cosignatures(head, audit.CheckpointPath)
	w.rep.ok(StepSignature)
}

// preferStored takes the largest stored checkpoint as the one to verify if it is genuine and the head is not, or is older.
func (w *walker) preferStored(size uint64) error {
	path := audit.CheckpointSizePath(size)
	raw, missing, err := readFile(w.fsys, path, nil, maxNote)
	if err != nil || missing {
		return err
	}
	s, err := w.keys.open(raw)
	if err != nil || !s.genuine() || s.Size != size || w.head.genuine() && s.Origin != w.head.Origin {
		return nil // step 8 names it
	}
	if w.head.genuine() {
		w.rep.note(StepSignature, say("a later signed checkpoint is stored; the log is verified up to it: size %d",
			"另存有更新的已签名检查点,按其验证:规模 %d", size))
	}
	w.head = s
	return nil
}

// cosignatures takes up what a checkpoint's witnesses say: step 2.
func (w *walker) cosignatures(s *signed, path string) {
	w.unknownLines += s.unknown
	if s.witProblem != "" {
		w.rep.find(StepWitnesses, Finding{Code: "cosignature", Path: path, Text: say("%s", "联署不成立:%s", s.witProblem)})
	}
	seen, ok := s.seenAt(w.keys.policy)
	if !ok || !s.byLog {
		return
	}
	if !w.anyCosigned || s.Size > w.cosigned || s.Size == w.cosigned && seen.After(w.cosignedAt) {
		w.cosigned, w.cosignedAt, w.anyCosigned = s.Size, seen, true
	}
}

// openSaved reads the checkpoints that the caller kept or got from witnesses: steps 3 and 2.
func (w *walker) openSaved() error {
	for i, raw := range w.opts.Pinned {
		if err := w.openOne(raw, StepPinned, fmt.Sprintf("earlier checkpoint %d", i+1)); err != nil {
			return err
		}
	}
	for i, raw := range w.opts.WitnessCheckpoints {
		if err := w.openOne(raw, StepWitnesses, fmt.Sprintf("witness checkpoint %d", i+1)); err != nil {
			return err
		}
	}
	slices.SortFunc(w.saved, func(a, b saved) int { return cmp.Compare(a.Size, b.Size) })
	return nil
}

func (w *walker) openOne(raw []byte, step int, label string) error {
	s, err := w.keys.open(raw)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrOptions, label, err)
	}
	f := Finding{Path: label, Want: hex.EncodeToString(s.Root[:])}
	switch {
	case s.Origin != w.head.Origin:
		f.Code, f.Text = "other_log", say("is of log %q, this one is %q", "属于日志 %q,而非本日志 %q", s.Origin, w.head.Origin)
	case s.problem != "":
		f.Code, f.Text = "saved_signature", say("%s: it proves nothing", "%s:不能作为证明", s.problem)
	case s.second.damaged():
		f.Code, f.Text = "second_signature", say("the second signature (ML-DSA-44) does not verify", "第二签名(ML-DSA-44)不成立")
	case step == StepWitnesses && (s.witProblem != "" || s.cosigned == 0):
		f.Code, f.Text = "saved_cosignature", say("bears no cosignature of a given witness", "没有所列见证方的联署")
	case s.Size > w.head.Size:
		f.Code, f.Got = "log_shorter", hex.EncodeToString(w.head.Root[:])
		f.Text = say("saw %d entries, the log now shows %d: entries were removed", "曾见 %d 条记录,现日志仅有 %d 条:记录被移除", s.Size, w.head.Size)
	default:
		if step == StepWitnesses {
			w.cosignatures(s, label) // holds if the roots agree, which walk finds out
		}
		w.saved = append(w.saved, saved{Checkpoint: s.Checkpoint, step: step, label: label})
		return nil
	}
	w.rep.find(step, f)
	return nil
}
