package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/intake"
)

// dataEnv names the CFPB file; without it the one beside the repository is
// taken, and without that one complaints are made up.
const (
	dataEnv     = "SEALTRAIL_BENCH_DATA"
	dataDefault = "../shared/data/cfpb_complaints.csv.gz"
	identities  = 7 // seed of the made-up persons in the XXXX slots
	importBatch = 200
	importConns = 4 // both are the importer's own defaults
)

// dataset is the complaints to import, cut into parts of whole rows.
type dataset struct {
	parts []string // file names
	rows  int
	note  string
}

// data cuts the file into so many parts; rows 0 takes all.
func (b *bench) data(parts int) (*dataset, error) {
	path := os.Getenv(dataEnv)
	if path == "" {
		path = filepath.Join(b.root, filepath.FromSlash(dataDefault))
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && os.Getenv(dataEnv) == "" {
		return b.madeUp(parts)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the complaints: %w", err)
	}
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("reading the complaints: %w", err)
		}
		if raw, err = io.ReadAll(z); err != nil {
			return nil, fmt.Errorf("reading the complaints: %w", err)
		}
	}
	var ends []int // last lines of the rows
	for row, err := range intake.CFPB(bytes.NewReader(raw), intake.Options{}) {
		if err != nil {
			return nil, fmt.Errorf("reading the complaints: %w", err)
		}
		ends = append(ends, row.LastLine)
	}
	if b.rows > 0 && b.rows < len(ends) {
		ends = ends[:b.rows]
	}
	d := &dataset{rows: len(ends), note: fmt.Sprintf("%d complaints of the CFPB file with made-up identities", len(ends))}
	return d, d.cut(b.dir, raw, ends, parts)
}

// cut writes the parts, each with the header.
func (d *dataset) cut(dir string, raw []byte, ends []int, parts int) error {
	lines := bytes.SplitAfter(raw, []byte("\n"))
	from := 1
	for i := range parts {
		to := ends[(i+1)*len(ends)/parts-1]
		name := filepath.Join(dir, fmt.Sprintf("part-%d.csv", i+1))
		if err := os.WriteFile(name, append(slices.Clone(lines[0]), bytes.Join(lines[from:to], nil)...), 0o600); err != nil {
			return fmt.Errorf("cutting the complaints: %w", err)
		}
		d.parts, from = append(d.parts, name), to
	}
	return nil
}

// madeUp makes parts of JSON lines.
func (b *bench) madeUp(parts int) (*dataset, error) {
	n := b.rows
	if n == 0 {
		n = 34_776 // as many as the CFPB file has
	}
	d := &dataset{rows: n, note: fmt.Sprintf("NOT the CFPB file, which is not there: %d generated complaints", n)}
	files := make([]bytes.Buffer, parts)
	i := 0
	for draft := range intake.Generate(intake.GeneratorConfig{Seed: identities, Count: n, End: time.Now()}) {
		if err := json.NewEncoder(&files[i*parts/n]).Encode(draft); err != nil {
			return nil, fmt.Errorf("making up complaints: %w", err)
		}
		i++
	}
	for i := range files {
		name := filepath.Join(b.dir, fmt.Sprintf("part-%d.jsonl", i+1))
		if err := os.WriteFile(name, files[i].Bytes(), 0o600); err != nil {
			return nil, fmt.Errorf("making up complaints: %w", err)
		}
		d.parts = append(d.parts, name)
	}
	return d, nil
}

// imported is the importer's own account.
type imported struct {
	Filed, Existing, Rejected int
	Seconds                   float64
}

// importPart runs the importer as an operator would.
func (b *bench) importPart(ctx context.Context, s side, file string) (*imported, error) {
	in := b.install
	name := filepath.Join(b.dir, filepath.Base(file)+"."+word(s))
	args := []string{"--server", in.base(s), "--token-file", in.TokenFile("app-core"), "--purpose", "handle", "-o", "json", "import", file,
		"--batch", strconv.Itoa(importBatch), "--connections", strconv.Itoa(importConns), "--state", name + ".state", "--rejects", name + ".rejects"}
	if strings.HasSuffix(file, ".csv") {
		args = append(args, "--identities", strconv.Itoa(identities))
	}
	cmd := exec.CommandContext(ctx, in.Program("sealtrail"), args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("importing into %s: %w: %s", word(s), err, lastLines(problems.String(), 3))
	}
	var done imported
	if err := json.Unmarshal(out.Bytes(), &done); err != nil {
		return nil, fmt.Errorf("importing into %s: reading the account: %w", word(s), err)
	}
	if done.Filed == 0 || done.Existing > 0 {
		return nil, fmt.Errorf("importing into %s: %d filed, %d already there", word(s), done.Filed, done.Existing)
	}
	return &done, nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}

// importing: the real file through the importer, ours against the floor.
func importing(ctx context.Context, b *bench) error {
	in, err := b.installed(ctx)
	if err != nil {
		return err
	}
	d, err := b.data(b.rounds)
	if err != nil {
		return err
	}
	const count = "select count(*) from audit.entry"
	before, err := in.count(ctx, ourSide, count)
	if err != nil {
		return err
	}
	var p pair
	var spent [sides]usage
	profile := b.profile("import")
	err = inTurns(len(d.parts), func(round int, s side) error {
		at := in.usage()
		if s == ourSide && round == 0 {
			profile.start(ctx, in, 10*time.Second)
		}
		done, err := b.importPart(ctx, s, d.parts[round])
		if err != nil {
			return err
		}
		spent[s] = spent[s].plus(in.usage().minus(at))
		b.say("import of %d into %s: %.0f/s, %d rejected", done.Filed, word(s), float64(done.Filed)/done.Seconds, done.Rejected)
		p[s] = append(p[s], load{rate: float64(done.Filed) / done.Seconds, acts: done.Filed})
		return in.settle(ctx)
	})
	if err != nil {
		return err
	}
	after, err := in.count(ctx, ourSide, count)
	if err != nil {
		return err
	}
	b.loaded = true
	return b.judgeImport(d, p, spent, importEntries{before, after, profile.text()})
}

type importEntries struct {
	before, after int64
	profile       string
}

func (b *bench) judgeImport(d *dataset, p pair, spent [sides]usage, e importEntries) error {
	var filed int
	for _, l := range p[ourSide] {
		filed += l.acts
	}
	note := fmt.Sprintf("%s in %d parts; %.0f against %.0f complaints per second, batches of %d over %d connections", d.note, len(d.parts),
		p.mid(ourSide, rateOf), p.mid(floorSide, rateOf), importBatch, importConns)
	b.judge(Line{Name: "import, rate to the floor's", Value: p.ratio(rateOf), Unit: "x", Note: note}, atLeast(0.25), p.mid(floorSide, rateOf))
	b.report("import, log entries per complaint", float64(e.after-e.before)/float64(filed), "entries", "entries of the service itself included")
	b.report("import, CPU per complaint", 1e6*spent[ourSide].total()/float64(filed), "us", spent[ourSide].per(filed)+"; floor: "+spent[floorSide].per(filed))
	if e.profile != "" {
		b.report("import, CPU profile of the service", 0, "", e.profile)
	}
	peak, err := peakMemory(b.install.ServicePid())
	if err != nil {
		return err
	}
	b.judge(Line{Name: "peak memory of the service", Value: peak, Unit: "MiB", Note: "VmHWM after the import"}, atMost(512), 0)
	return nil
}

// peakMemory is the largest resident set that a process ever had, in MiB.
func peakMemory(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the peak memory: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("reading the peak memory: the kernel does not tell")
}
