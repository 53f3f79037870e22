// Command bench measures the figures that Sealtrail promises and writes them
// down: a table on the screen and bench.json, a list of {name, value, unit,
// goal, met, floor, note}. `make bench` runs it.
//
// The one idea: a figure is a ratio to a floor that was measured in the same
// run, in turns and in random order, so that whatever else the machine does
// hits both alike. docs/bench.md says what each floor is.
//
// It stands on a whole installation (internal/sandbox) and on the packages' own
// benchmarks; it must never know a key or open a field itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sealtrail/sealtrail/internal/scratch"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options is the command line.
type options struct {
	long     bool
	only     string
	out      string
	profiles string
	rows     int
	floor    string
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.long, "long", false, "measure longer: five runs instead of three, more clients, the whole file at once")
	f.StringVar(&o.only, "only", "", "comma-separated parts to run: "+strings.Join(partNames(), ", ")+"; empty: all")
	f.StringVar(&o.out, "out", "bench.json", "file for the figures")
	f.StringVar(&o.profiles, "profiles", "", "folder for the CPU profiles of the service; empty: not kept")
	f.IntVar(&o.rows, "rows", 0, "complaints to import; 0: all of the file")
	f.StringVar(&o.floor, "floor", "", "serve the floor from this configuration file; used by bench itself")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	for part := range strings.SplitSeq(o.only, ",") {
		if part != "" && !slices.Contains(partNames(), part) {
			return o, fmt.Errorf("no part is called %q", part)
		}
	}
	return o, nil
}

// bench is one run of the command.
type bench struct {
	options
	out     io.Writer
	dir     string // scratch folder
	root    string // module root
	rounds  int
	each    time.Duration // of one measurement
	lines   []Line
	install *installation // nil until needed
	loaded  bool          // the installation holds imported complaints
}

// part is a group of figures.
type part struct {
	name string
	run  func(context.Context, *bench) error
}

func parts() []part {
	return []part{
		{"seal", sealing}, {"suites", chinese}, {"peers", peers}, {"page", lending}, {"files", streaming}, {"rewrap", rewrapping},
		{"policy", deciding}, {"verify", verifying}, {"trail", appending}, {"logs", comparing},
		{"import", importing}, {"http", serving}, {"search", searching},
		{"soak", soaking}, {"millions", growing},
	}
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.floor != "" {
		return serveFloor(ctx, o.floor)
	}
	b := &bench{options: o, out: out, rounds: 3, each: 2 * time.Second}
	if o.long {
		b.rounds, b.each = 5, 10*time.Second
	}
	if b.root, err = moduleRoot(); err != nil {
		return err
	}
	dir, err := scratch.New("bench")
	if err != nil {
		return err
	}
	b.dir = dir.Path
	defer func() { err = errors.Join(err, dir.Remove()) }()
	began := time.Now()
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.measureAll(ctx); err != nil {
		return err
	}
	b.say("measured in %s", time.Since(began).Round(time.Second))
	b.table()
	return writeJSON(o.out, b.lines)
}

func (b *bench) measureAll(ctx context.Context) error {
	for _, p := range parts() {
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), p.name) {
			continue
		}
		began := time.Now()
		if err := p.run(ctx, b); err != nil {
			return fmt.Errorf("measuring %s: %w", p.name, err)
		}
		b.say("%s: %s", p.name, time.Since(began).Round(time.Second))
	}
	return nil
}

// say tells how far the run is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}

// moduleRoot is the folder of the go.mod above the working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("finding the module: no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
