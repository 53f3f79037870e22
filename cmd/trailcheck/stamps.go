package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/timestamp"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// stepStamps is the number of the step of time stamps, behind that of the policy in force.
const stepStamps = stepInForce + 1

// stampClock is how far the service's clock may be from the authority's before it is a finding.
const stampClock = time.Minute

// stamps follows what the logs say about time stamps, and then compares them with the files.
type stamps struct {
	roots *x509.CertPool // nil: tokens are not verified
	said  map[string]map[uint64]saidStamp
}

// saidStamp is an entry time.stamped.
type saidStamp struct {
	index             uint64
	seqAt             time.Time
	token, root, time string
	own               bool // in the log that it stamps; else in a later year's
}

// newStamps reads the authority's certificate, if one is named.
func newStamps(caFile string) (*stamps, error) {
	s := &stamps{said: map[string]map[uint64]saidStamp{}}
	if caFile == "" {
		return s, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("%w: reading --tsa-ca: %w", errUsage, err)
	}
	if s.roots, err = timestamp.Roots(pem); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return s, nil
}

// take follows one entry; it fits verify.Options.Entries.
func (s *stamps) take(v *audit.LeafView) error {
	if string(v.Kind()) != "time.stamped" {
		return nil
	}
	leaf := v.Leaf()
	size, _ := leaf.Body.Facts.Int("size")
	one := saidStamp{index: leaf.Index, seqAt: leaf.SeqAt}
	one.token, _ = leaf.Body.Facts.Text("token_sha256")
	one.root, _ = leaf.Body.Facts.Text("root")
	one.time, _ = leaf.Body.Facts.Text("time")
	origin, ok := leaf.Body.Facts.Text("origin")
	if !ok {
		origin = leaf.Log
	}
	one.own = origin == leaf.Log
	if s.said[origin] == nil {
		s.said[origin] = map[uint64]saidStamp{}
	}
	if _, there := s.said[origin][uint64(size)]; !there {
		s.said[origin][uint64(size)] = one
	}
	return nil
}

// add appends the step to each report of the logs below dir.
func (s *stamps) add(dir string, reports []*verify.Report) error {
	for _, r := range reports {
		folder, err := fs.Sub(os.DirFS(dir), path.Clean(r.Folder))
		if err != nil {
			return fmt.Errorf("opening %s: %w", r.Folder, err)
		}
		step, err := s.compare(folder, r)
		if err != nil {
			return err
		}
		r.Steps = append(r.Steps, step)
	}
	return nil
}

// stamping is the step for one log.
type stamping struct {
	*stamps
	fsys fs.FS
	rep  *verify.Report
	step verify.Step
	good int
	last timestamp.Token // of the largest size
	size uint64
}

// compare compares the tokens in the folder with the tree and with what the log says about them.
func (s *stamps) compare(fsys fs.FS, r *verify.Report) (verify.Step, error) {
	w := &stamping{stamps: s, fsys: fsys, rep: r, step: verify.Step{Number: stepStamps, Name: "time_stamps", Status: verify.NotChecked,
		Text: verify.Text{EN: "time stamps of an outside authority", ZH: "外部时间戳机构的时间戳"}}}
	sizes, err := stampSizes(fsys)
	if err != nil {
		return w.step, err
	}
	for _, size := range sizes {
		if err := w.one(size); err != nil {
			return w.step, err
		}
	}
	for _, size := range slices.Sorted(maps.Keys(s.said[r.Origin])) {
		if !slices.Contains(sizes, size) {
			w.find("stamp_missing", size, "the time stamp that entry %d names is not there", "第 %d 条记录所载的时间戳不存在", s.said[r.Origin][size].index)
		}
	}
	w.close(len(sizes))
	return w.step, nil
}

func (w *stamping) find(code string, size uint64, en, zh string, args ...any) {
	w.step.Status = verify.Failed
	w.step.Findings = append(w.step.Findings, verify.Finding{Code: code, Path: audit.StampPath(size), Text: verify.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}})
}

func (w *stamping) note(en, zh string, args ...any) {
	w.step.Notes = append(w.step.Notes, verify.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)})
}

// one judges one file.
func (w *stamping) one(size uint64) error {
	raw, err := fs.ReadFile(w.fsys, audit.StampPath(size))
	if err != nil {
		return fmt.Errorf("reading a time stamp: %w", err)
	}
	note, err := fs.ReadFile(w.fsys, audit.CheckpointSizePath(size))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the checkpoint of a time stamp: %w", err)
	}
	n, noteErr := audit.SplitNote(note)
	c, textErr := audit.ParseCheckpoint(n.Text)
	if err != nil || noteErr != nil || textErr != nil || c.Size != size {
		w.find("stamp_checkpoint", size, "no checkpoint of size %d is stored beside it", "未存有规模 %d 的检查点", size)
		return nil
	}
	if said, ok := w.said[w.rep.Origin][size]; ok {
		w.compareSaid(said, c, raw)
	} else {
		w.note("size %d: no entry of the log names this time stamp: no lower bound for what follows", "规模 %d:日志中没有记录载明此时间戳,其后的记录无时间下界", size)
	}
	if w.roots == nil {
		return nil
	}
	token, err := timestamp.Verify(raw, c.Marshal(), w.roots)
	switch {
	case errors.Is(err, timestamp.ErrDigest):
		w.find("stamp_digest", size, "the token is not about the checkpoint of size %d", "令牌所指并非规模 %d 的检查点", size)
	case errors.Is(err, timestamp.ErrUntrusted):
		w.find("stamp_untrusted", size, "the token is not of the given authority, or its certificate was not valid then: %v", "令牌并非由所给机构签发,或其证书当时无效:%v", err)
	case err != nil:
		w.find("stamp_malformed", size, "not a time stamp: %v", "不是有效的时间戳:%v", err)
	default:
		w.good++
		w.last, w.size = token, size
		return w.compareTimes(size, token)
	}
	return nil
}

// compareSaid compares the entry with file and checkpoint.
func (w *stamping) compareSaid(said saidStamp, c audit.Checkpoint, raw []byte) {
	sum := sha256.Sum256(raw)
	if said.token != hex.EncodeToString(sum[:]) || said.root != hex.EncodeToString(c.Root[:]) {
		w.find("stamp_altered", c.Size, "it is not the one that entry %d names", "与第 %d 条记录所载不符", said.index)
	}
	if said.own && said.index < c.Size {
		w.find("stamp_order", c.Size, "entry %d names a checkpoint that holds it", "第 %d 条记录载明了包含其自身的检查点", said.index)
	}
}

// compareTimes holds the service's clock against the authority's: what lies below the size was there by then, and what lies behind
// the entry that names the token came later.
func (w *stamping) compareTimes(size uint64, token timestamp.Token) error {
	leaf, err := leafAt(w.fsys, size-1, w.rep.Size)
	if err != nil {
		return nil //nolint:nilerr // an entry that cannot be read is a finding of the tree's step
	}
	var v audit.LeafView
	if err := audit.ScanLeaf(leaf, &v); err != nil {
		return nil //nolint:nilerr // as above
	}
	if at := v.SeqAt(); at.After(token.Time.Add(stampClock)) {
		w.find("clock_ahead", size, "entry %d says %s, and was there by %s", "第 %d 条记录自称 %s,实则 %s 之前已存在", size-1, at.Format(time.RFC3339), token.Time.Format(time.RFC3339))
	}
	said, ok := w.said[w.rep.Origin][size]
	if !ok {
		return nil
	}
	if t, err := time.Parse(time.RFC3339, said.time); err != nil || !t.Truncate(time.Second).Equal(token.Time.Truncate(time.Second)) {
		w.find("stamp_time", size, "entry %d names another time than the token", "第 %d 条记录所载时间与令牌不符", said.index)
	}
	if said.seqAt.Before(token.Time.Add(-stampClock)) {
		w.find("clock_behind", size, "entry %d says %s, and was written after %s", "第 %d 条记录自称 %s,实则写于 %s 之后", said.index, said.seqAt.Format(time.RFC3339), token.Time.Format(time.RFC3339))
	}
	return nil
}

func (w *stamping) close(files int) {
	switch {
	case files == 0 && w.step.Status != verify.Failed:
		w.note("not checked: no time stamp", "未检查:没有时间戳")
	case w.roots == nil:
		w.note("not checked: %d time stamps, and no --tsa-ca", "未检查:有 %d 个时间戳,未给 --tsa-ca", files)
	case w.good > 0:
		w.note("the first %d entries were there by %s, says %s", "前 %d 条记录在 %s 之前已存在(%s)", w.size, w.last.Time.Format(time.RFC3339), w.last.Authority)
		if w.step.Status != verify.Failed {
			w.step.Status = verify.OK
		}
	}
}

// stampSizes lists the sizes of the files below stamp/, in order.
func stampSizes(fsys fs.FS) (sizes []uint64, err error) {
	entries, err := fs.ReadDir(fsys, audit.StampDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing %s: %w", audit.StampDir, err)
	}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".tsr")
		size, err := strconv.ParseUint(digits, 10, 64)
		if ok && err == nil && size > 0 && audit.StampPath(size) == audit.StampDir+"/"+e.Name() {
			sizes = append(sizes, size)
		}
	}
	slices.Sort(sizes)
	return sizes, nil
}
