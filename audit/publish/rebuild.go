package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// ErrUnverified is wrapped when the published logs do not verify: nothing is rebuilt from them.
var ErrUnverified = errors.New("the published log does not verify")

// Rebuild brings a database that is behind the published logs of an institution, or empty after its migrations, to their state.
// Every published entry is verified first, with opts, which hold the logs' keys and should hold an earlier checkpoint or a
// witness's: files that were put back to an older state are genuine too. What is verified is what is inserted, in one pass. The
// reports are those of verify.VerifyAll, also beside an error that wraps [ErrUnverified]; for the rest see pglog.Rebuild.
func Rebuild(ctx context.Context, cfg pglog.RebuildConfig, opts verify.Options) (*pglog.Rebuilt, []*verify.Report, error) {
	own, err := fs.Sub(cfg.Published, cfg.Institution)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the published logs: %w", err)
	}
	shards, err := publishedShards(own, cfg.Institution)
	if err != nil {
		return nil, nil, err
	}
	var reports []*verify.Report
	rebuilt, err := pglog.Rebuild(ctx, cfg, func(r *pglog.Rebuilder) (err error) {
		reports, err = feed(ctx, r, fed{own, shards, opts})
		return err
	})
	return rebuilt, reports, err
}

// publishedShards finds the logs of an institution by their folders, whose names are years.
func publishedShards(own fs.FS, institution string) (map[string]pglog.Shard, error) {
	dirs, err := verify.Logs(own)
	if err != nil {
		return nil, fmt.Errorf("finding the published logs: %w", err)
	}
	byOrigin := map[string]pglog.Shard{}
	for _, dir := range dirs {
		year, err := strconv.Atoi(dir)
		if err != nil {
			return nil, fmt.Errorf("finding the published logs: folder %q is no year", dir)
		}
		raw, err := fs.ReadFile(own, path.Join(dir, audit.CheckpointPath))
		if err != nil {
			return nil, fmt.Errorf("finding the published logs: %w", err)
		}
		origin := audit.CheckpointOrigin(raw)
		byOrigin[origin] = pglog.Shard{Institution: institution, Year: year, Origin: origin}
	}
	if len(byOrigin) != len(dirs) || byOrigin[""].Year != 0 {
		return nil, fmt.Errorf("finding the published logs: a checkpoint is none, or two are of one log: %w", ErrUnverified)
	}
	return byOrigin, nil
}

// fed is what a rebuild is fed from.
type fed struct {
	own    fs.FS
	shards map[string]pglog.Shard // by origin
	opts   verify.Options
}

// feed verifies the logs and gives their leaves and checkpoints to r on the way.
func feed(ctx context.Context, r *pglog.Rebuilder, f fed) ([]*verify.Report, error) {
	next, gap := map[string]uint64{}, false
	f.opts.Entries = func(v *audit.LeafView) error {
		shard, ok := f.shards[string(v.Log())]
		if !ok {
			return fmt.Errorf("an entry of log %q: %w", v.Log(), ErrUnverified)
		}
		if v.Index == 0 {
			if err := r.Log(shard); err != nil {
				return err
			}
		}
		if v.Index != next[shard.Origin] { // an entry before it is missing or damaged: the report names it
			gap = true
			return nil
		}
		next[shard.Origin]++
		return r.Leaf(v)
	}
	reports, err := verify.VerifyAll(ctx, f.own, f.opts)
	if err != nil {
		return reports, err
	}
	for _, rep := range reports {
		if !rep.OK() {
			_, finding := rep.FirstFinding()
			return reports, fmt.Errorf("log %s: %w: %s", rep.Origin, ErrUnverified, finding.Code)
		}
		if err := f.checkpoints(r, rep); err != nil {
			return reports, err
		}
	}
	if gap {
		return reports, ErrUnverified
	}
	return reports, nil
}

// checkpoints gives every signed checkpoint of a verified log to r. Verify has looked at each; its signature is verified again,
// since the file is read again, and its root is compared with the leaves before the rebuild is committed.
func (f fed) checkpoints(r *pglog.Rebuilder, rep *verify.Report) error {
	open, err := verifierOf(f.opts.VerifierKey, rep.Origin)
	if err != nil {
		return err
	}
	names, err := fs.Glob(f.own, path.Join(rep.Folder, audit.CheckpointsDir, "*"))
	if err != nil {
		return fmt.Errorf("listing checkpoints: %w", err)
	}
	for _, name := range append(names, path.Join(rep.Folder, audit.CheckpointPath)) {
		size, err := strconv.ParseUint(path.Base(name), 10, 64)
		last := path.Base(name) == audit.CheckpointPath
		if err != nil && !last || size > rep.Size {
			continue // a temporary file, or signed since
		}
		raw, err := fs.ReadFile(f.own, name)
		if err != nil {
			return fmt.Errorf("reading checkpoints: %w", err)
		}
		c, err := openCheckpoint(raw, open, rep.Origin)
		if err != nil {
			return err
		}
		if last && (c.Size > rep.Size || hasSize(names, c.Size)) {
			continue
		}
		if err := r.Checkpoint(f.shards[rep.Origin], c, ownLines(raw, rep.Origin)); err != nil {
			return err
		}
	}
	return nil
}

// ownLines is a signed note without the lines of witnesses, as the database keeps it.
func ownLines(signed []byte, origin string) []byte {
	text, lines, _ := strings.Cut(string(signed), "\n\n")
	own := text + "\n\n"
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, "— "+origin+" ") {
			own += line
		}
	}
	return []byte(own)
}

func hasSize(names []string, size uint64) bool {
	for _, name := range names {
		if path.Base(name) == strconv.FormatUint(size, 10) {
			return true
		}
	}
	return false
}

// verifierOf finds the key of a log among keys, one a line.
func verifierOf(keys, origin string) (note.Verifier, error) {
	for line := range strings.Lines(keys) {
		if v, err := note.NewVerifier(strings.TrimSpace(line)); err == nil && v.Name() == origin {
			return v, nil
		}
	}
	return nil, fmt.Errorf("no key of log %s: %w", origin, verify.ErrOptions)
}
