package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
)

// Logs returns the log folders below fsys, at most two levels deep (<institution>/<year>), in order of their paths; "." if
// fsys is one itself. It is empty if there is none.
func Logs(fsys fs.FS) ([]string, error) {
	if isLog(fsys, ".") {
		return []string{"."}, nil
	}
	var found []string
	for depth, dirs := 0, []string{"."}; depth < 2; depth++ {
		var next []string
		for _, dir := range dirs {
			entries, err := fs.ReadDir(fsys, dir)
			if err != nil {
				return nil, fmt.Errorf("listing %s: %w", dir, err)
			}
			for _, e := range entries {
				if !e.IsDir() {
					continue
				}
				child := path.Join(dir, e.Name())
				if isLog(fsys, child) {
					found = append(found, child)
				} else {
					next = append(next, child)
				}
			}
		}
		dirs = next
	}
	slices.Sort(found)
	return found, nil
}

func isLog(fsys fs.FS, dir string) bool {
	for _, name := range []string{audit.CheckpointPath, audit.CheckpointsDir} {
		if _, err := fs.Stat(fsys, path.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// VerifyAll verifies every log below fsys (see [Logs]), the logs of one institution in order of their years so that trails run
// on. Pinned and witness checkpoints are given to the log whose origin they bear; one that fits none is a finding of the first
// log. Options.Trails is ignored. The error is as of [Verify]; reports made before it are returned with it.
func VerifyAll(ctx context.Context, fsys fs.FS, opts Options) ([]*Report, error) {
	dirs, err := Logs(fsys)
	if err != nil {
		return nil, err
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("%w: no folder with a file %q, at most two levels deep", ErrNoLog, audit.CheckpointPath)
	}
	share, err := shareSaved(fsys, dirs, &opts)
	if err != nil {
		return nil, err
	}
	var reports []*Report
	trails := map[string]*Trails{}
	for i, dir := range dirs {
		sub, err := fs.Sub(fsys, dir)
		if err != nil {
			return reports, fmt.Errorf("opening %s: %w", dir, err)
		}
		one := opts
		one.Pinned, one.WitnessCheckpoints = share[i].pinned, share[i].witness
		institution := path.Dir(dir)
		if trails[institution] == nil {
			trails[institution] = &Trails{}
		}
		one.Trails = trails[institution]
		if i+1 < len(dirs) && path.Dir(dirs[i+1]) == institution {
			one.MaxAge = 0 // a year that is over gets no new cosignature
		}
		rep, err := Verify(ctx, sub, one)
		if err != nil {
			return reports, fmt.Errorf("verifying %s: %w", dir, err)
		}
		rep.Folder = dir
		reports = append(reports, rep)
	}
	return reports, nil
}

type share struct{ pinned, witness [][]byte }

// shareSaved gives each saved checkpoint to the log whose origin it bears, or to the first log.
func shareSaved(fsys fs.FS, dirs []string, opts *Options) ([]share, error) {
	shares := make([]share, len(dirs))
	byOrigin := map[string]int{}
	for i, dir := range dirs {
		if origin, ok := originOf(fsys, dir); ok {
			byOrigin[origin] = i
		}
	}
	for _, raw := range opts.Pinned {
		i := byOrigin[audit.CheckpointOrigin(raw)]
		shares[i].pinned = append(shares[i].pinned, raw)
	}
	for _, raw := range opts.WitnessCheckpoints {
		i := byOrigin[audit.CheckpointOrigin(raw)]
		shares[i].witness = append(shares[i].witness, raw)
	}
	return shares, nil
}

// originOf reads the origin of a log from its checkpoint, believed for sorting only.
func originOf(fsys fs.FS, dir string) (string, bool) {
	raw, err := fs.ReadFile(fsys, path.Join(dir, audit.CheckpointPath))
	if err != nil {
		return "", false
	}
	origin := audit.CheckpointOrigin(raw)
	return origin, origin != ""
}

// errEnough stops a verification whose entries nobody reads on.
var errEnough = errors.New("no more entries wanted")

// Entries verifies the log and yields its entries on the way, for a fold. After the sequence has ended, the function returned
// beside it gives the report; what was folded counts only if that is not nil and OK. An error of the verification is yielded
// last, with a zero Leaf. The sequence can be used once.
func Entries(ctx context.Context, fsys fs.FS, opts Options) (iter.Seq2[audit.Leaf, error], func() *Report) {
	var report *Report
	seq := func(yield func(audit.Leaf, error) bool) {
		opts.Entries = func(v *audit.LeafView) error {
			if !yield(v.Leaf(), nil) {
				return errEnough
			}
			return nil
		}
		rep, err := Verify(ctx, fsys, opts)
		if err != nil {
			if !errors.Is(err, errEnough) {
				yield(audit.Leaf{}, err)
			}
			return
		}
		report = rep
	}
	return seq, func() *Report { return report }
}
