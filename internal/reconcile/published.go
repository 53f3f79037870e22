package reconcile

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"

	"github.com/sealtrail/sealtrail/audit"
)

// Published reads the entries of an institution's published logs, oldest first,
// each once. It is not safe for concurrent use. It checks no signature: what is
// compared here is what anybody reads, and trailcheck and the witnesses say
// whether it is genuine.
type Published struct {
	root fs.FS // has a folder per year
	next map[int]uint64
}

// NewPublished returns a reader of a folder that has one folder per year.
func NewPublished(root fs.FS) *Published { return &Published{root: root, next: map[int]uint64{}} }

// Size is the number of entries read so far of a year's log.
func (p *Published) Size(year int) uint64 { return p.next[year] }

// Read calls fn for each entry that is new.
func (p *Published) Read(fn func(*audit.Leaf)) error {
	dirs, err := fs.ReadDir(p.root, ".")
	if err != nil {
		return fmt.Errorf("reading the published log: %w", err)
	}
	var years []int
	for _, d := range dirs {
		if year, err := strconv.Atoi(d.Name()); err == nil && d.IsDir() {
			years = append(years, year)
		}
	}
	slices.Sort(years)
	for _, year := range years {
		if err := p.year(year, fn); err != nil {
			return fmt.Errorf("reading the published log of %d: %w", year, err)
		}
	}
	return nil
}

func (p *Published) year(year int, fn func(*audit.Leaf)) error {
	// A partial bundle may go between two reads, when the log has grown past it.
	for attempt := 0; ; attempt++ {
		err := p.upTo(year, fn)
		if err == nil || attempt == 3 || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

func (p *Published) upTo(year int, fn func(*audit.Leaf)) error {
	dir := strconv.Itoa(year)
	raw, err := fs.ReadFile(p.root, path.Join(dir, audit.CheckpointPath))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing is published yet
	}
	if err != nil {
		return err
	}
	signed, err := audit.SplitNote(raw)
	if err != nil {
		return err
	}
	head, err := audit.ParseCheckpoint(signed.Text)
	if err != nil {
		return err
	}
	for p.next[year] < head.Size {
		n := p.next[year] / bundleWidth
		width := int(min(bundleWidth, head.Size-n*bundleWidth))
		if err := p.bundle(year, path.Join(dir, audit.EntriesPath(n, width)), n*bundleWidth, fn); err != nil {
			return err
		}
	}
	return nil
}

// bundleWidth is how many entries a full bundle holds.
const bundleWidth = 256

func (p *Published) bundle(year int, name string, first uint64, fn func(*audit.Leaf)) error {
	raw, err := fs.ReadFile(p.root, name)
	if err != nil {
		return err
	}
	entries, err := audit.DecodeBundle(raw)
	if err != nil {
		return err
	}
	for i, entry := range entries {
		at := first + uint64(i)
		if at < p.next[year] {
			continue
		}
		leaf, err := audit.ParseLeaf(entry)
		if err != nil {
			return fmt.Errorf("entry %d: %w", at, err)
		}
		p.next[year] = at + 1
		fn(&leaf)
	}
	return nil
}
