package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// policyBundle is the blob that the bodies of audittest name.
const policyBundle = "policy bundle"

// newLog returns a log of n entries published in three steps, with the blob that they name.
func newLog(t *testing.T, n int, c audittest.Config) *audittest.Log {
	t.Helper()
	l := audittest.New(c)
	l.PutBlob([]byte(policyBundle))
	bodies := audittest.Bodies(n)
	l.Append(bodies[:n/3]...)
	l.Append(bodies[n/3 : n/2]...)
	l.Append(bodies[n/2:]...)
	return l
}

func check(t *testing.T, folder fs.FS, opts verify.Options) *verify.Report {
	t.Helper()
	rep, err := verify.Verify(context.Background(), folder, opts)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return rep
}

func statuses(rep *verify.Report) string {
	var out []string
	for _, s := range rep.Steps {
		out = append(out, fmt.Sprintf("%d:%s", s.Number, s.Status))
	}
	return strings.Join(out, " ")
}

func findings(rep *verify.Report) string {
	var out strings.Builder
	for _, s := range rep.Steps {
		for _, f := range s.Findings {
			j, err := json.Marshal(f)
			if err != nil {
				return err.Error()
			}
			fmt.Fprintf(&out, "%d %s\n", s.Number, j)
		}
	}
	return out.String()
}

func TestWholeLogPasses(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 4, 255, 256, 257, 700, 66000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			l := newLog(t, n, audittest.Config{Witness: true})
			rep := check(t, l.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Pinned: [][]byte{l.Checkpoint()}, Witnesses: []string{l.WitnessKey()}})
			if !rep.OK() {
				t.Fatalf("report not OK:\n%s", findings(rep))
			}
			want := "1:ok 2:ok 3:ok 4:ok 5:ok 6:ok 7:ok 8:ok 9:not_checked"
			if diff := cmp.Diff(want, statuses(rep)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if rep.Counts.Entries != uint64(n) || rep.Size != uint64(n) || rep.Counts.Cosigned != uint64(n) {
				t.Errorf("counts %+v, size %d; want %d entries", rep.Counts, rep.Size, n)
			}
		})
	}
}

func TestWithoutWitnessAndEarlierCheckpointItSaysSo(t *testing.T) {
	t.Parallel()
	l := newLog(t, 40, audittest.Config{})
	rep := check(t, l.Folder(), verify.Options{VerifierKey: l.VerifierKey()})
	if !rep.OK() {
		t.Fatalf("report not OK:\n%s", findings(rep))
	}
	var notes []string
	for _, s := range rep.Unchecked() {
		notes = append(notes, s.Notes[0].EN)
	}
	if diff := cmp.Diff([]string{"not checked: no witness", "not checked: no earlier checkpoint"}, notes); diff != "" {
		t.Errorf("unchecked (-want +got):\n%s", diff)
	}
}

// The claim of the whole design: a rewritten log, signed anew by its real key, is internally perfect; only what somebody
// outside kept convicts it.
func TestRewrittenLogIsConvictedOnlyFromOutside(t *testing.T) {
	t.Parallel()
	l := newLog(t, 300, audittest.Config{Witness: true})
	kept := l.Checkpoint()
	forged := l.Rewrite(func(i uint64, b *audit.Body) bool {
		if i == 77 {
			b.Actor.ID = "p-9999"
		}
		return true
	})
	for _, c := range []struct {
		name   string
		opts   verify.Options
		failed int
		code   string
	}{
		{name: "alone", opts: verify.Options{}},
		{name: "earlier checkpoint", opts: verify.Options{Pinned: [][]byte{kept}}, failed: verify.StepPinned, code: "history_changed"},
		{name: "witness key", opts: verify.Options{Witnesses: []string{l.WitnessKey()}}, failed: verify.StepWitnesses, code: "not_cosigned"},
		{name: "witness checkpoint", opts: verify.Options{Witnesses: []string{l.WitnessKey()}, WitnessCheckpoints: [][]byte{kept}}, failed: verify.StepWitnesses, code: "history_changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.opts.VerifierKey = l.VerifierKey()
			rep := check(t, forged.Folder(), c.opts)
			if c.failed == 0 {
				if !rep.OK() || len(rep.Unchecked()) != 2 {
					t.Fatalf("want OK with two steps unchecked, got %s\n%s", statuses(rep), findings(rep))
				}
				return
			}
			step := rep.Step(c.failed)
			if step.Status != verify.Failed || step.Findings[0].Code != c.code {
				t.Fatalf("step %d: want failed with %s, got %s\n%s", c.failed, c.code, step.Status, findings(rep))
			}
			if f := step.Findings[0]; c.code == "history_changed" && (len(f.Want) != 64 || len(f.Got) != 64 || f.Want == f.Got) {
				t.Errorf("want both hashes, got want=%q got=%q", f.Want, f.Got)
			}
		})
	}
}

func TestDroppedTailIsConvictedByPinnedCheckpoint(t *testing.T) {
	t.Parallel()
	l := newLog(t, 90, audittest.Config{})
	short := l.Rewrite(func(i uint64, _ *audit.Body) bool { return i < 80 })
	rep := check(t, short.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Pinned: [][]byte{l.Checkpoint()}})
	if step := rep.Step(verify.StepPinned); step.Status != verify.Failed || step.Findings[0].Code != "log_shorter" {
		t.Fatalf("want log_shorter, got %s", findings(rep))
	}
}

// TestEveryFlippedBitIsFound flips a bit in every byte of every file of a small log, the bit being another one from byte to byte.
// An altered entry must be named by its index.
func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	l := newLog(t, 4, audittest.Config{Witness: true})
	l.PutBlob([]byte("blob"))
	folder := l.Folder()
	for _, name := range audittest.Files(folder) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := verify.Options{VerifierKey: l.VerifierKey()}
			if strings.HasPrefix(name, audit.CheckpointPath) {
				opts.Witnesses = []string{l.WitnessKey()} // else its lines are not checked, and the report says so
			}
			for offset := range folder[name].Data {
				bit := 8*offset + offset*5%8
				rep := check(t, audittest.Flip(folder, name, bit), opts)
				if rep.OK() {
					t.Fatalf("bit %d of %s: not found", bit, name)
				}
				if want, ok := entryOf(folder, name, offset); ok {
					_, f := rep.FirstFinding()
					if f.From == nil || *f.From != want || f.To == nil || *f.To != want {
						t.Fatalf("bit %d of %s: want entry %d named, got\n%s", bit, name, want, findings(rep))
					}
				}
			}
		})
	}
}

// entryOf returns the entry to which a byte of a bundle or level-0 tile belongs.
func entryOf(folder fstest.MapFS, name string, offset int) (uint64, bool) {
	if strings.HasPrefix(name, "tile/0/") {
		return uint64(offset / audit.HashSize), true
	}
	if !strings.HasPrefix(name, "tile/entries/") {
		return 0, false
	}
	entries, err := audit.DecodeBundle(folder[name].Data)
	if err != nil {
		return 0, false
	}
	for i, e := range entries {
		if offset -= 2 + len(e); offset < 0 {
			return uint64(i), true
		}
	}
	return 0, false
}

// TestFlippedBitOfALargerLog flips one bit of every file of a log with two tile levels, at a place that moves from file to file.
func TestFlippedBitOfALargerLog(t *testing.T) {
	t.Parallel()
	l := newLog(t, 700, audittest.Config{Witness: true})
	folder := l.Folder()
	opts := verify.Options{VerifierKey: l.VerifierKey(), Witnesses: []string{l.WitnessKey()}}
	for i, name := range audittest.Files(folder) {
		size := len(folder[name].Data)
		for k := range 16 {
			bit := (i*7919 + k*104729) % (8 * size)
			if rep := check(t, audittest.Flip(folder, name, bit), opts); rep.OK() {
				t.Errorf("bit %d of %s: not found", bit, name)
			}
		}
	}
}

func TestAlteredEntryAndAlteredTileAreToldApart(t *testing.T) {
	t.Parallel()
	l := newLog(t, 600, audittest.Config{})
	opts := verify.Options{VerifierKey: l.VerifierKey()}
	bundle := audit.EntriesPath(1, 0)
	rep := check(t, audittest.Flip(l.Folder(), bundle, 8*5000), opts)
	if _, f := rep.FirstFinding(); f.Code != "entry_altered" || f.Path != bundle || f.Want == f.Got {
		t.Errorf("bundle flipped: got\n%s", findings(rep))
	}
	rep = check(t, audittest.Flip(l.Folder(), audit.TilePath(0, 1, 0), 8*32*9), opts)
	if _, f := rep.FirstFinding(); f.Code != "tile_altered" || *f.From != 256+9 {
		t.Errorf("tile flipped: got\n%s", findings(rep))
	}
	rep = check(t, audittest.Flip(l.Folder(), audit.TilePath(1, 0, 2), 8*32), opts)
	if _, f := rep.FirstFinding(); f.Code != "tile_altered" || *f.From != 256 || *f.To != 511 {
		t.Errorf("upper tile flipped: got\n%s", findings(rep))
	}
}

// An insider without the signing key changes an entry and makes all tiles fit: only the signed roots contradict, and the stored
// checkpoints narrow the place down.
func TestRewrittenTilesWithoutKeyAreNarrowedByStoredCheckpoints(t *testing.T) {
	t.Parallel()
	l := newLog(t, 60, audittest.Config{}) // checkpoints at 20, 30 and 60
	forged := l.Rewrite(func(i uint64, b *audit.Body) bool {
		b.Sim = i == 25
		return true
	}).Folder()
	for _, name := range audittest.Files(l.Folder()) {
		if strings.HasPrefix(name, audit.CheckpointPath) {
			forged[name] = l.Folder()[name]
		}
	}
	rep := check(t, forged, verify.Options{VerifierKey: l.VerifierKey()})
	var root *verify.Finding
	for i, f := range rep.Step(verify.StepTree).Findings {
		if f.Code == "root" {
			root = &rep.Step(verify.StepTree).Findings[i]
		}
	}
	if root == nil || root.From == nil || *root.From != 20 || *root.To != 29 {
		t.Fatalf("want the root contradicted and entries 20 to 29 named, got\n%s", findings(rep))
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	t.Parallel()
	l := newLog(t, 600, audittest.Config{})
	for name, want := range map[string]struct {
		step int
		code string
	}{
		audit.EntriesPath(1, 0):                           {verify.StepTree, "bundle_missing"},
		audit.TilePath(0, 1, 0):                           {verify.StepTree, "tile_length"},
		audit.TilePath(1, 0, 2):                           {verify.StepTree, "tile_length"},
		audit.CheckpointPath:                              {verify.StepSignature, "checkpoint_missing"},
		audit.BlobPath(audittest.Body(1).Decision.Bundle): {verify.StepBlobs, "blob_missing"},
	} {
		folder := l.Folder()
		delete(folder, name)
		rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey()})
		step := rep.Step(want.step)
		if step.Status != verify.Failed || step.Findings[0].Code != want.code {
			t.Errorf("without %s: want %s in step %d, got %s\n%s", name, want.code, want.step, statuses(rep), findings(rep))
		}
	}
}

func TestUnusableOptionsAndEmptyFolders(t *testing.T) {
	t.Parallel()
	l := newLog(t, 4, audittest.Config{})
	ok := l.VerifierKey()
	for name, c := range map[string]struct {
		folder fstest.MapFS
		opts   verify.Options
		want   error
	}{
		"no key":          {l.Folder(), verify.Options{}, verify.ErrOptions},
		"bad key":         {l.Folder(), verify.Options{VerifierKey: "nonsense"}, verify.ErrOptions},
		"bad witness":     {l.Folder(), verify.Options{VerifierKey: ok, Witnesses: []string{"nonsense"}}, verify.ErrOptions},
		"quorum too high": {l.Folder(), verify.Options{VerifierKey: ok, Witnesses: []string{l.WitnessKey()}, Quorum: 2}, verify.ErrOptions},
		"bad pinned":      {l.Folder(), verify.Options{VerifierKey: ok, Pinned: [][]byte{[]byte("nonsense")}}, verify.ErrOptions},
		"no log":          {fstest.MapFS{}, verify.Options{VerifierKey: ok}, verify.ErrNoLog},
	} {
		if _, err := verify.Verify(context.Background(), c.folder, c.opts); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestEmptyLog(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	l.Publish()
	empty := l.Checkpoint()
	rep := check(t, l.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Pinned: [][]byte{empty}})
	if !rep.OK() || rep.Size != 0 || rep.Counts.Checkpoints != 1 {
		t.Errorf("empty log: %s\n%s", statuses(rep), findings(rep))
	}
	l.PutBlob([]byte(policyBundle))
	l.Append(audittest.Bodies(5)...)
	rep = check(t, l.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Pinned: [][]byte{empty}})
	if !rep.OK() || rep.Step(verify.StepPinned).Status != verify.OK {
		t.Errorf("log that was once empty: %s\n%s", statuses(rep), findings(rep))
	}
}

// A witness's own copy vouches for the log even where the publisher left the cosignatures out.
func TestWitnessCheckpointAloneVouches(t *testing.T) {
	t.Parallel()
	l := newLog(t, 40, audittest.Config{Witness: true})
	saved := l.Folder()[audit.CheckpointSizePath(20)].Data
	plain := newLog(t, 40, audittest.Config{})
	rep := check(t, plain.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Witnesses: []string{l.WitnessKey()}, WitnessCheckpoints: [][]byte{saved}})
	if !rep.OK() || rep.Counts.Cosigned != 20 {
		t.Errorf("%s, cosigned %d\n%s", statuses(rep), rep.Counts.Cosigned, findings(rep))
	}
}

// An endless size that nobody signed must not keep the reader busy.
func TestUnsignedHugeSizeEndsAtOnce(t *testing.T) {
	t.Parallel()
	l := newLog(t, 40, audittest.Config{})
	folder := l.Folder()
	for _, name := range audittest.Files(folder) {
		if strings.HasPrefix(name, audit.CheckpointPath) {
			folder[name].Data = []byte(strings.Replace(string(folder[name].Data), "\n40\n", "\n18446744073709551615\n", 1))
		}
	}
	rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey()})
	if rep.OK() || rep.Step(verify.StepSignature).Status != verify.Failed {
		t.Errorf("%s", statuses(rep))
	}
}

func TestForeignKeyFails(t *testing.T) {
	t.Parallel()
	l, other := newLog(t, 4, audittest.Config{}), newLog(t, 4, audittest.Config{Seed: 1})
	rep := check(t, l.Folder(), verify.Options{VerifierKey: other.VerifierKey()})
	if rep.Step(verify.StepSignature).Status != verify.Failed {
		t.Fatalf("another key accepted: %s", statuses(rep))
	}
}
