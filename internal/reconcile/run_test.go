package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

// bench is a Runner on a file, a log and a clock of the test's own.
type bench struct {
	t      *testing.T
	at     time.Time
	file   string
	state  string
	hash   string // of the probe
	err    error  // of Vault
	behind bool
	kinds  []string
	facts  []audit.Facts
	r      *Runner
	lines  int
}

func newBench(t *testing.T) *bench {
	dir := t.TempDir()
	b := &bench{t: t, at: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), file: filepath.Join(dir, "audit.log"), state: filepath.Join(dir, "state"), hash: "Hprobe"}
	b.write(b.device())
	b.start()
	return b
}

// start makes a new Runner, as a new process does.
func (b *bench) start() {
	b.t.Helper()
	var err error
	b.r, err = New(RunConfig{Match: Config{Institution: "bank", Role: "sealtrail-bank", Hash: b, Context: contextOf}, File: b.file,
		Published: NewPublished(fstest.MapFS{}), Log: b, State: b.state, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return b.at }})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = b.r.tail.Close() })
}

// Hash implements Hasher.
func (b *bench) Hash(_ context.Context, text string) (string, error) {
	if text == probe {
		return b.hash, b.err
	}
	return "H" + text, b.err
}

// Append implements Log.
func (b *bench) Append(_ context.Context, kind string, facts audit.Facts) error {
	if err := complaint.CheckFacts(kind, facts); err != nil {
		b.t.Errorf("an entry that the log refuses: %v", err)
	}
	b.kinds, b.facts = append(b.kinds, kind), append(b.facts, facts)
	return nil
}

// Behind implements Log.
func (b *bench) Behind(context.Context, uint64) (bool, error) { return b.behind, nil }

func (b *bench) write(lines ...string) {
	b.t.Helper()
	f, err := os.OpenFile(b.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(strings.Join(lines, ""))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// line is a line of the audit file.
func (b *bench) line(kind, operation, path, more string) string {
	b.lines++
	return fmt.Sprintf(`{"time":%q,"type":%q,"auth":{"display_name":"approle","metadata":{"role_name":"sealtrail-bank"}},"request":{"id":"req-%d","operation":%q,"path":%q,"mount_point":"transit/","mount_type":"transit"%s}}`+"\n",
		b.at.Format(time.RFC3339Nano), kind, b.lines, operation, path, more)
}

func (b *bench) device() string { return b.line("request", "update", "sys/audit/file", "") }

func (b *bench) decrypt() string {
	return b.line("response", "update", "transit/decrypt/bank-record", `,"data":{"batch_input":[{"context":"hmac-sha256:00"}]}`)
}

func (b *bench) noise() string { return b.line("response", "read", "auth/token/lookup-self", "") }

// steps looks every two seconds for so long, while other lines come.
func (b *bench) steps(long time.Duration, noise bool) {
	b.t.Helper()
	for end := b.at.Add(long); b.at.Before(end); {
		b.at = b.at.Add(2 * time.Second)
		if noise {
			b.write(b.noise())
		}
		_ = b.r.Step(b.t.Context()) // what cannot be read is in the state
	}
}

// alarms are what was alarmed about.
func (b *bench) alarms() (list []string) {
	for i, kind := range b.kinds {
		if kind == "reconciliation.alarm" {
			what, _ := b.facts[i].Text("what")
			list = append(list, what)
		}
	}
	return list
}

func (b *bench) want(what, state string, alarms ...string) {
	b.t.Helper()
	if got := b.alarms(); !slices.Equal(got, alarms) {
		b.t.Errorf("%s: alarms %v, want %v", what, got, alarms)
	}
	if got := b.r.State(); got != state {
		b.t.Errorf("%s: state %s, want %s", what, got, state)
	}
}

func TestFollowing(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(*bench)
		state  string
		alarms []string
	}{
		"nothing happens": {func(b *bench) { b.steps(5*time.Minute, true) }, StateGood, nil},
		"a stolen token":  {func(b *bench) { b.write(b.decrypt()); b.steps(50*time.Second, true) }, StateBad, []string{AlarmWithoutEntry}},
		"half a line at a time": {func(b *bench) {
			line := b.decrypt()
			b.write(line[:40])
			b.steps(30*time.Second, false)
			b.want("half a line", StateGood)
			b.write(line[40:])
			b.steps(40*time.Second, true)
		}, StateBad, []string{AlarmWithoutEntry}},
		"the log lags": {func(b *bench) {
			b.steps(4*time.Second, true)
			b.behind = true
			b.write(b.decrypt())
			b.steps(2*time.Minute, true)
		}, StateNot, nil},
		"rotation by renaming": {func(b *bench) {
			b.steps(4*time.Second, true)
			if err := os.Rename(b.file, b.file+".1"); err != nil {
				b.t.Fatal(err)
			}
			b.write(b.decrypt())
			b.steps(50*time.Second, true)
		}, StateBad, []string{AlarmWithoutEntry}},
		"cut short": {func(b *bench) {
			b.steps(10*time.Second, true)
			if err := os.Truncate(b.file, 10); err != nil {
				b.t.Fatal(err)
			}
			b.steps(2*time.Second, false)
		}, StateNot, []string{AlarmSegmentShrunk}},
		"removed, and there again": {func(b *bench) {
			b.steps(4*time.Second, true)
			if err := os.Remove(b.file); err != nil {
				b.t.Fatal(err)
			}
			b.steps(10*time.Second, false)
			b.want("removed", StateNot, AlarmSegmentGone)
			b.steps(10*time.Second, true)
		}, StateBad, []string{AlarmSegmentGone}},
		"silence": {func(b *bench) { b.steps(4*time.Second, true); b.steps(50*time.Second, false) }, StateNot, []string{AlarmSilence}},
		"the device is disabled": {func(b *bench) {
			b.steps(4*time.Second, true)
			b.at = b.at.Add(time.Second)
			b.write(b.line("request", "delete", "sys/audit/file", ""))
			b.err = errors.New("no such device")
			b.steps(30*time.Second, false)
		}, StateNot, []string{AlarmDevice}},
		"another device": {func(b *bench) {
			b.steps(4*time.Second, true)
			b.hash = "another salt"
			b.steps(30*time.Second, true)
		}, StateBad, []string{AlarmDevice}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c.do(b)
			b.want(name, c.state, c.alarms...)
		})
	}
}

// TestARestartMissesNothing: what happened while the reconciler was away is
// judged when it is back, and what it told of before is not told again.
func TestARestartMissesNothing(t *testing.T) {
	b := newBench(t)
	b.steps(10*time.Minute, true)
	b.write(b.decrypt())
	b.steps(4*time.Second, true) // too young to be judged
	b.want("at the end", StateGood)
	b.at = b.at.Add(time.Hour)
	b.write(b.decrypt())
	b.start()
	b.steps(time.Minute, true)
	b.want("after the restart", StateBad, AlarmWithoutEntry, AlarmWithoutEntry)
}

// TestAFileThatWasExchangedMeanwhile is told of: what stood in the one before
// was not read to its end.
func TestAFileThatWasExchangedMeanwhile(t *testing.T) {
	b := newBench(t)
	b.steps(10*time.Minute, true)
	if err := os.Remove(b.file); err != nil {
		t.Fatal(err)
	}
	b.at = b.at.Add(time.Hour)
	for range 1000 {
		b.write(b.noise())
	}
	b.start()
	b.steps(10*time.Second, true)
	b.want("after the restart", StateBad, AlarmSegmentGone)
}

// TestSegmentsAreAChain: each result names the digest of the bytes that it rests
// on and that of the one before, also across a restart.
func TestSegmentsAreAChain(t *testing.T) {
	b := newBench(t)
	var last string
	for i := range 3 {
		b.steps(6*time.Second, true)
		if err := b.r.Report(t.Context()); err != nil {
			t.Fatal(err)
		}
		facts := b.facts[len(b.facts)-1]
		previous, _ := facts.Text("previous_sha256")
		if previous != last {
			t.Errorf("result %d names %q as the one before, want %q", i, previous, last)
		}
		if last, _ = facts.Text("segment_sha256"); len(last) != 64 {
			t.Errorf("result %d has the digest %q", i, last)
		}
		b.start()
	}
}

// FuzzParseLine: no line of a file makes it fail, and what is no audit line is
// refused.
func FuzzParseLine(f *testing.F) {
	b := &bench{at: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	for _, line := range []string{b.device(), b.decrypt(), b.noise(), `{"type":"response"}`, `[]`, ``} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, ok, err := ParseLine(raw)
		if err != nil && ok {
			t.Error("a line that is none is a call")
		}
		if ok && (c.Time.IsZero() || c.Op == "" || len(c.Line) != 64) {
			t.Errorf("a call without time, operation or evidence: %+v", c)
		}
	})
}
