package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// suite is a package's own benchmarks, compiled once.
type suite struct {
	program, dir string
	env          []string
}

func (b *bench) compile(ctx context.Context, pkg string) (*suite, error) {
	return b.compileIn(ctx, ".", pkg)
}

// compileIn compiles the benchmarks of a package of the module in a folder of
// the tree.
func (b *bench) compileIn(ctx context.Context, module, pkg string) (*suite, error) {
	s := &suite{program: filepath.Join(b.dir, strings.ReplaceAll(pkg, "/", "-")+".test"), dir: filepath.Join(b.root, module, pkg)}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", s.program, "./"+pkg)
	cmd.Dir = filepath.Join(b.root, module)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the benchmarks of %s: %w: %s", pkg, err, bytes.TrimSpace(out))
	}
	return s, nil
}

// figures are the metrics of one benchmark by unit.
type figures map[string]float64

// once runs one benchmark once.
func (s *suite) once(ctx context.Context, name, benchtime string) (figures, error) {
	pattern := "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
	cmd := exec.CommandContext(ctx, s.program, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", benchtime, "-test.benchmem")
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("running %s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	f := parseFigures(string(out), name)
	if f == nil {
		return nil, fmt.Errorf("running %s: it reported nothing", name)
	}
	return f, nil
}

// parseFigures reads the line of one benchmark: its name (perhaps with -N for
// the number of processors), how often it ran, and pairs of value and unit.
func parseFigures(out, name string) figures {
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != name && !strings.HasPrefix(words[0], name+"-") {
			continue
		}
		f := figures{}
		for i := 2; i+1 < len(words); i += 2 {
			v, err := strconv.ParseFloat(words[i], 64)
			if err != nil {
				return nil
			}
			f[words[i+1]] = v
		}
		return f
	}
	return nil
}

// turns runs each benchmark rounds times, and in each round tries times, in
// random order, and returns the figures of each round's fastest try: what is
// slower than that is other programs' work on the same core.
func (s *suite) turns(ctx context.Context, t tries, names ...string) (map[string][]figures, error) {
	all := map[string][]figures{}
	for range t.rounds {
		best := map[string]figures{}
		for range t.each {
			for _, i := range rand.Perm(len(names)) {
				f, err := s.once(ctx, names[i], t.long)
				if err != nil {
					return nil, err
				}
				if was := best[names[i]]; was == nil || f["ns/op"] < was["ns/op"] {
					best[names[i]] = f
				}
			}
		}
		for name, f := range best {
			all[name] = append(all[name], f)
		}
	}
	return all, nil
}

// tries says how often and how long benchmarks run.
type tries struct {
	rounds, each int
	long         string // -test.benchtime of one try
}

// of is the median of one unit.
func of(list []figures, unit string) float64 {
	var values []float64
	for _, f := range list {
		values = append(values, f[unit])
	}
	return median(values)
}

// sealing: a 12-field record of 2.4 KB with a leased key, over one AES-GCM per
// field with a prepared cipher.
func sealing(ctx context.Context, b *bench) error {
	s, err := b.compile(ctx, "crypto/field")
	if err != nil {
		return err
	}
	const seal, open, sealFloor, openFloor = "BenchmarkSealRecord", "BenchmarkOpenRecord", "BenchmarkGCMFloor", "BenchmarkGCMFloorOpen"
	all, err := s.turns(ctx, tries{b.rounds, 6, "50ms"}, seal, open, sealFloor, openFloor)
	if err != nil {
		return err
	}
	const fields = 12
	for _, x := range []struct{ name, ours, floor string }{{"seal", seal, sealFloor}, {"open", open, openFloor}} {
		floor := of(all[x.floor], "ns/field") / 1000
		b.judge(Line{Name: x.name + " a field of a 12-field record, over AES-GCM", Value: of(all[x.ours], "ns/field")/1000 - floor, Unit: "us",
			Note: "manifest included; the floor is us per field"}, atMost(2), floor)
		b.judge(Line{Name: x.name + " a field, allocations", Value: of(all[x.ours], "allocs/op") / fields, Unit: "allocs"}, atMost(3), 0)
	}
	return nil
}

// deciding: warm from relations to the effects of all fields, the look-up
// alone, and cold through OPA.
func deciding(ctx context.Context, b *bench) error {
	s, err := b.compile(ctx, "policy")
	if err != nil {
		return err
	}
	const warm, lookup, cold, refused = "BenchmarkDecideWarm", "BenchmarkLookupAndSpread", "BenchmarkCold/reveal", "BenchmarkCold/refused"
	all, err := s.turns(ctx, tries{b.rounds, 2, "100ms"}, warm, lookup, cold, refused)
	if err != nil {
		return err
	}
	b.judge(Line{Name: "decide, warm, relations to field effects", Value: of(all[warm], "ns/op") / 1000, Unit: "us"}, atMost(2), 0)
	b.judge(Line{Name: "decide, warm, allocations", Value: of(all[warm], "allocs/op"), Unit: "allocs"}, atMost(4), 0)
	b.judge(Line{Name: "decide, look-up and spread alone", Value: of(all[lookup], "ns/op"), Unit: "ns"}, atMost(200), 0)
	b.judge(Line{Name: "decide, look-up and spread alone, allocations", Value: of(all[lookup], "allocs/op"), Unit: "allocs"}, atMost(0), 0)
	b.report("decide, cold through OPA, allowed", of(all[cold], "ns/op")/1000, "us", fmt.Sprintf("%.0f allocations", of(all[cold], "allocs/op")))
	b.report("decide, cold through OPA, refused", of(all[refused], "ns/op")/1000, "us", fmt.Sprintf("%.0f allocations", of(all[refused], "allocs/op")))
	return nil
}

// verifying: what trailcheck does with a folder, on one core.
func verifying(ctx context.Context, b *bench) error {
	s, err := b.compile(ctx, "cmd/trailcheck")
	if err != nil {
		return err
	}
	s.env = []string{"GOMAXPROCS=1"}
	const full = "BenchmarkFullCheck"
	all, err := s.turns(ctx, tries{b.rounds, 1, "1s"}, full)
	if err != nil {
		return err
	}
	b.judge(Line{Name: "trailcheck, full check on one core", Value: of(all[full], "entries/cpu-s"), Unit: "entries/CPU-s",
		Note: fmt.Sprintf("%.0f bytes an entry, from local files, GOMAXPROCS=1; %.0f entries/s by the clock, what other programs took of the core included",
			of(all[full], "bytes/entry"), of(all[full], "entries/s"))},
		atLeast(250_000), 0)
	return b.againstFsck(ctx, s)
}

// againstFsck compares the check of the tree alone with Tessera's fsck on one goroutine over the same files, both by CPU time.
func (b *bench) againstFsck(ctx context.Context, s *suite) error {
	program, log := filepath.Join(b.dir, "tessera"), filepath.Join(b.dir, "verified")
	if _, err := output(ctx, filepath.Join(b.root, "tools"), "go", "build", "-o", program, "./tessera"); err != nil {
		return err
	}
	s.env = append(s.env, "SEALTRAIL_BENCH_LOG="+log)
	const treeOnly, entries = "BenchmarkTreeOnly", 200_000
	var ours, theirs []float64
	for range b.rounds {
		f, err := s.once(ctx, treeOnly, "1s")
		if err != nil {
			return err
		}
		key, err := os.ReadFile(log + ".vkey")
		if err != nil {
			return fmt.Errorf("reading the log's key: %w", err)
		}
		said, err := output(ctx, b.dir, "env", "GOMAXPROCS=1", program, "-fsck", "-dir", log, "-vkey", string(key))
		if err != nil {
			return err
		}
		seconds, err := strconv.ParseFloat(strings.TrimSpace(said), 64)
		if err != nil {
			return fmt.Errorf("reading what fsck took: %w", err)
		}
		ours, theirs = append(ours, f["entries/cpu-s"]), append(theirs, entries/seconds)
	}
	b.judge(Line{Name: "trailcheck --tree-only, rate to Tessera's fsck", Value: median(ours) / median(theirs), Unit: "x",
		Note: fmt.Sprintf("%.0f against %.0f entries per CPU-second, the same files, one core each", median(ours), median(theirs))}, atLeast(2), median(theirs))
	return nil
}
