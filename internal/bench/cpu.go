package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// usage is the CPU seconds of the processes below this one, by their program.
type usage map[string]float64

// ticks is the kernel's unit of CPU time: USER_HZ, 100 on every Linux port that
// Go runs on.
const ticks = 100

// usage reads what every process below this one has used so far. On other
// systems than Linux it is empty.
func (in *installation) usage() usage {
	type process struct {
		parent  int
		name    string
		seconds float64
	}
	all := map[int]process{}
	names, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		open, end := strings.IndexByte(string(raw), '('), strings.LastIndexByte(string(raw), ')')
		pid, _ := strconv.Atoi(strings.TrimSpace(string(raw[:max(open, 0)])))
		fields := strings.Fields(string(raw[end+1:]))
		if open < 0 || len(fields) < 15 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		var sum float64 // user, system, and those of waited-for children
		for _, f := range fields[11:15] {
			n, _ := strconv.ParseFloat(f, 64)
			sum += n
		}
		all[pid] = process{parent, string(raw[open+1 : end]), sum / ticks}
	}
	u := usage{}
	for pid, p := range all {
		for up := pid; up > 1; up = all[up].parent {
			if up == os.Getpid() {
				u[roleOf(p.name, pid == os.Getpid(), in.floor != nil && pid == in.floor.Pid())] += p.seconds
				break
			}
		}
	}
	return u
}

func roleOf(name string, self, floor bool) string {
	switch {
	case self:
		return "clients"
	case floor:
		return "service"
	case name == "sealtraild":
		return "service"
	case name == "sealtrail":
		return "clients"
	case name == "postgres":
		return "PostgreSQL"
	case name == "vault" || name == "bao":
		return "Vault"
	}
	return "other"
}

func (u usage) minus(v usage) usage {
	d := usage{}
	for name := range u {
		d[name] = max(0, u[name]-v[name])
	}
	return d
}

func (u usage) plus(v usage) usage {
	s := usage{}
	for name := range v {
		s[name] = u[name] + v[name]
	}
	return s
}

func (u usage) total() float64 {
	var sum float64
	for _, v := range u {
		sum += v
	}
	return sum
}

// per says how the CPU time of n acts divides over the programs.
func (u usage) per(n int) string {
	var words []string
	for _, name := range []string{"service", "PostgreSQL", "Vault", "clients"} {
		if v := 1e6 * u[name] / float64(max(n, 1)); v >= 1 {
			words = append(words, fmt.Sprintf("%s %.0f us", name, v))
		}
	}
	return strings.Join(words, ", ")
}

// profile is one CPU profile of the service.
type profile struct {
	file string
	done chan error
	root string
}

// profile is kept in the folder that -profiles names, else in scratch.
func (b *bench) profile(name string) *profile {
	dir := b.profiles
	if dir == "" {
		dir = b.dir
	}
	return &profile{file: filepath.Join(dir, name+".pprof"), root: b.root}
}

// start profiles the service from now for so long, in the background.
func (p *profile) start(ctx context.Context, in *installation, long time.Duration) {
	p.done = make(chan error, 1)
	go func() {
		p.done <- p.fetch(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", in.Ops, int(long.Seconds())))
	}()
}

func (p *profile) fetch(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("profiling the service: %w", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("profiling the service: status %d", res.StatusCode)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.file), 0o755); err != nil {
		return fmt.Errorf("keeping a profile: %w", err)
	}
	return os.WriteFile(p.file, raw, 0o644)
}

// stage is a step of a request and the function that does it.
type stage struct{ name, function string }

// readStages and the others are found in profiles by the functions' names.
func stages() []stage {
	return []stage{
		{"decode and check", "httpapi.(*shape).check"},
		{"validate", "intake.Validate"},
		{"decide", "policy.(*Engine).Decide"},
		{"admit", "policy.(*Engine).Admit"},
		{"load", "store.(*Store).Load"},
		{"look up", "store.(*Store).BySource"},
		{"append", "custody.(*Door).record"},
		{"borrow the key", "keyring.(*Keyring).Lend"},
		{"wrap and unwrap calls", "transit.(*Transit).Wrap"},
		{"index calls", "transit.(*Indexer).call"},
		{"verify the manifest", "field.(*Opener).VerifyManifest"},
		{"open", "custody.(*opened).one"},
		{"seal", "custody.sealNew"},
		{"mask", "custody.(*asked).masked"},
		{"due dates", "custody.(*Door).dues"},
		{"write rows", "custody.(*Door).insert"},
		{"outcomes", "custody.(*Door).flush"},
		{"sequence", "pglog.(*Sequencer).Step"},
		{"publish", "publish.(*Publisher).Publish"},
		{"garbage collection", "runtime.gcBgMarkWorker"},
	}
}

// topLine is a line of `go tool pprof -top -cum`: flat, flat %, sum %, cum,
// cum %, function.
var topLine = regexp.MustCompile(`^\s*\S+\s+\S+%\s+\S+%\s+(\S+)\s+\S+%\s+(.+?)(?: \(inline\))?$`)

// shares returns the share of the service's CPU per stage, in percent.
func (p *profile) shares(ctx context.Context) (map[string]float64, error) {
	if p.done == nil {
		return nil, nil
	}
	if err := <-p.done; err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-unit=ms", "-nodefraction=0", "-edgefraction=0", "-nodecount=100000", p.file)
	cmd.Dir = p.root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("reading a profile: %w", err)
	}
	return parseTop(string(out)), nil
}

func parseTop(out string) map[string]float64 {
	var total float64
	shares := map[string]float64{}
	for line := range strings.Lines(out) {
		if _, rest, ok := strings.Cut(line, "Total samples = "); ok {
			total = milliseconds(strings.Fields(rest)[0])
		}
		m := topLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		function := m[2][strings.LastIndexByte(m[2], '/')+1:]
		i := slices.IndexFunc(stages(), func(s stage) bool { return s.function == function })
		if i >= 0 && total > 0 {
			shares[stages()[i].name] = 100 * milliseconds(m[1]) / total
		}
	}
	return shares
}

func milliseconds(s string) float64 {
	s, _, _ = strings.Cut(s, "(")
	if v, err := strconv.ParseFloat(strings.TrimSuffix(s, "ms"), 64); err == nil {
		return v
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return float64(d.Microseconds()) / 1000
}

// text is the profile in one line; empty if there is none.
func (p *profile) text() string {
	shares, err := p.shares(context.Background())
	if err != nil {
		return "no profile: " + err.Error()
	}
	var words []string
	for _, s := range stages() {
		if v := shares[s.name]; v >= 0.5 {
			words = append(words, fmt.Sprintf("%s %.0f %%", s.name, v))
		}
	}
	return strings.Join(words, ", ")
}
