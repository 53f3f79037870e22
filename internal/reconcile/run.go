package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// States of a reconciliation: the values of the fact "state" of
// reconciliation.made.
const (
	StateGood = "reconciled"     // everything was compared, and nothing is alone
	StateBad  = "findings"       // compared, with alarms
	StateNot  = "not_reconciled" // something could not be read: never taken for good
)

// Log is what a Runner asks of the audit log. *server.Reconciled has it.
type Log interface {
	// Append makes one entry of the reconciliation durable.
	Append(ctx context.Context, kind string, facts audit.Facts) error
	// Behind reports whether the published log, read up to size entries of this
	// year, lacks entries that were made a while ago.
	Behind(ctx context.Context, size uint64) (bool, error)
}

// RunConfig of a Runner. Zero durations mean the documented defaults.
type RunConfig struct {
	Match     Config
	File      string     // Vault's audit file
	Published *Published // the institution's logs
	Log       Log
	// State is a file in which a Runner remembers how far it is; empty: it begins
	// with the file's first line each time.
	State  string
	Every  time.Duration // pause between two looks; 0 means 2 s
	Report time.Duration // pause between two results; 0 means 1 h
	Logger *slog.Logger  // default slog.Default
	Now    func() time.Time
	// Alarmed, if set, is told of each alarm that was recorded.
	Alarmed func(Alarm)
}

const (
	defaultEvery  = 2 * time.Second
	defaultReport = time.Hour
	// probeEach is after how many looks Vault is asked for the hash of a constant:
	// the answer tells whether the device is the same, and must itself be written
	// down.
	probeEach = 5
	// silentAfter is how long the file may stay as it is while Vault answers
	// probes; with the grace of a look it is told within a minute.
	silentAfter = 40 * time.Second
	// stuckAfter is how long the published log may lag before the state says that
	// nothing is compared.
	stuckAfter = time.Minute
	// resumeBefore is how much of the file is read again at a start.
	resumeBefore = 3 * time.Minute
)

// probe is the text whose hash tells one device from another.
const probe = "sealtrail"

// place in the audit file at some time.
type mark struct {
	at     time.Time
	offset int64
}

// state is what a Runner remembers.
type state struct {
	Offset   int64     `json:"offset"`   // where reading goes on
	From     time.Time `json:"from"`     // of what was before nothing is judged
	Until    time.Time `json:"until"`    // end of the last result
	Previous string    `json:"previous"` // digest of the last segment
	Device   string    `json:"device"`   // hash of probe
	Head     string    `json:"head"`     // digest of how the file begins: which file it is
}

// Runner reconciles as Vault's file and the log grow. Build it with New, run it
// once with Run, or Step by Step.
type Runner struct {
	cfg   RunConfig
	m     *Matcher
	tail  *Tail
	state state
	marks []mark
	told  map[string]bool // alarms of the log, by what and line or entry
	over  map[string]bool // states that were told of and last

	upTo    time.Time // up to when both sides are complete
	caught  time.Time // when the log was complete last
	grown   time.Time // when the file grew last
	probed  time.Time
	bad     map[string]time.Time // why nothing can be compared, since when
	unread  int
	began   time.Time
	changed bool // something was found since the last result
	untold  []Alarm
	missed  bool // the file that was read last went while nobody looked
}

// New returns a Runner and reads its state. It asks nobody anything.
func New(cfg RunConfig) (*Runner, error) {
	if cfg.File == "" || cfg.Published == nil || cfg.Log == nil || cfg.Match.Hash == nil || cfg.Match.Context == nil {
		return nil, errors.New("reconciling: File, Published, Log, Hash and Context are required")
	}
	if cfg.Every <= 0 {
		cfg.Every = defaultEvery
	}
	if cfg.Report <= 0 {
		cfg.Report = defaultReport
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Runner{cfg: cfg, told: map[string]bool{}, over: map[string]bool{}, bad: map[string]time.Time{}}
	if cfg.State != "" {
		raw, err := os.ReadFile(cfg.State)
		if err == nil {
			err = json.Unmarshal(raw, &r.state)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading the state of the reconciliation: %w", err)
		}
	}
	if info, err := os.Stat(cfg.File); err == nil && r.state.Offset > 0 && (info.Size() < r.state.Offset || headOf(cfg.File) != r.state.Head) {
		r.state.Offset, r.missed = 0, true // another file since, or a shorter one
	}
	now := cfg.Now()
	r.began, r.grown, r.caught = now, now, now
	cfg.Match.From = r.state.From
	r.m, r.tail = NewMatcher(cfg.Match), NewTail(cfg.File, r.state.Offset)
	return r, nil
}

// Run looks again and again until ctx ends, reports once more, and returns nil.
func (r *Runner) Run(ctx context.Context) error {
	last := r.cfg.Now()
	for {
		if err := r.Step(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, "not reconciled", slog.String("cause", err.Error()))
		}
		if now := r.cfg.Now(); now.Sub(last) >= r.cfg.Report || r.changed && now.Sub(last) >= time.Minute {
			if err := r.Report(ctx); err == nil {
				last = now
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(r.Report(context.WithoutCancel(ctx)), r.tail.Close())
		case <-time.After(r.cfg.Every):
		}
	}
}

// Step takes one look at both sides and tells of what it found.
func (r *Runner) Step(ctx context.Context) error {
	now := r.cfg.Now()
	logErr := r.readLog(ctx, now)
	devErr := r.probe(ctx, now)
	alarms, fileErr := r.readFile(now)
	r.state2("file", fileErr != nil)
	r.state2("device", devErr != nil)
	r.state2("log", r.cfg.Now().Sub(r.caught) > stuckAfter)
	alarms = append(alarms, r.silence(now)...)
	if r.missed {
		alarms, r.missed = append(alarms, Alarm{What: AlarmSegmentGone, At: now}), false
	}
	var judgeErr error
	if devErr == nil && !r.upTo.IsZero() {
		var found []Alarm
		found, judgeErr = r.m.Judge(ctx, r.upTo)
		alarms = append(alarms, found...)
	}
	return errors.Join(logErr, devErr, fileErr, judgeErr, r.tell(ctx, alarms), r.save(now))
}

// state2 keeps since when a side cannot be read.
func (r *Runner) state2(side string, bad bool) {
	if !bad {
		delete(r.bad, side)
		return
	}
	if _, known := r.bad[side]; !known {
		r.bad[side] = r.cfg.Now()
		r.changed = true
	}
	r.unread++
}

// readLog takes up what was published. Only a log that lacks nothing may let a
// call look alone.
func (r *Runner) readLog(ctx context.Context, now time.Time) error {
	err := r.cfg.Published.Read(func(l *audit.Leaf) {
		switch l.Body.Kind {
		case "reconciliation.alarm":
			what, _ := l.Body.Facts.Text("what")
			line, _ := l.Body.Facts.Text("line_sha256")
			entry, _ := l.Body.Facts.Int("entry")
			r.told[key(what, line, uint64(entry))] = true
		default:
			r.m.AddEntry(l.ID, &l.Body)
		}
	})
	if err != nil {
		return err
	}
	behind, err := r.cfg.Log.Behind(ctx, r.cfg.Published.Size(now.UTC().Year()))
	if err == nil && !behind {
		r.caught, r.upTo = now, now
	}
	return err
}

// key names an alarm that is told once; empty: one that is told each time.
func key(what, line string, entry uint64) string {
	if line == "" && entry == 0 {
		return ""
	}
	return fmt.Sprintf("%s/%s/%d", what, line, entry)
}

// readFile takes up what Vault wrote down.
func (r *Runner) readFile(now time.Time) (alarms []Alarm, err error) {
	r.marks = append(r.marks, mark{now, r.tail.Offset()})
	n, err := r.tail.Read(func(raw []byte) {
		c, ok, err := ParseLine(raw)
		if err != nil {
			r.unread++
			return
		}
		if r.state.From.IsZero() {
			r.state.From = c.Time // the very first line: what was before, nobody can say
			r.m.cfg.From = c.Time
			if c.Op == "device" {
				return // how the file began
			}
		}
		if ok && !(c.Op == "device" && c.Time.Sub(r.state.From) < time.Second) {
			alarms = append(alarms, r.m.AddCall(c)...)
		}
	})
	if n > 0 {
		r.grown = now
	}
	switch {
	case errors.Is(err, ErrGone):
		alarms = append(alarms, r.once(AlarmSegmentGone, now)...)
	case errors.Is(err, ErrShrunk):
		alarms = append(alarms, Alarm{What: AlarmSegmentShrunk, At: now})
	case err == nil:
		delete(r.over, AlarmSegmentGone)
	}
	return alarms, err
}

// once is an alarm about a state, told when it begins.
func (r *Runner) once(what string, now time.Time) []Alarm {
	if r.over[what] {
		return nil
	}
	r.over[what] = true
	return []Alarm{{What: what, At: now}}
}

// probe asks Vault for the hash of a constant. Another one than before means
// another device; none means that there is no such device.
func (r *Runner) probe(ctx context.Context, now time.Time) error {
	if now.Sub(r.probed) < probeEach*r.cfg.Every {
		if _, bad := r.bad["device"]; bad {
			return errDevice
		}
		return nil
	}
	r.probed = now
	hash, err := r.cfg.Match.Hash.Hash(ctx, probe)
	if err != nil {
		return fmt.Errorf("%w: %w", errDevice, err)
	}
	if r.state.Device != "" && r.state.Device != hash {
		r.m.Forget()
		err = r.tell(ctx, []Alarm{{What: AlarmDevice, At: now}})
	}
	r.state.Device = hash
	return err
}

var errDevice = errors.New("the audit device cannot be asked")

// silence tells of a file that does not grow although Vault answers.
func (r *Runner) silence(now time.Time) []Alarm {
	quiet := now.Sub(r.grown)
	if _, bad := r.bad["device"]; bad || quiet < silentAfter {
		delete(r.over, AlarmSilence)
		return nil
	}
	r.unread++
	list := r.once(AlarmSilence, now)
	for i := range list {
		list[i].Seconds = int(quiet.Seconds())
	}
	return list
}

// tell makes each new alarm an entry and a line. One that could not be recorded
// is tried again at the next look.
func (r *Runner) tell(ctx context.Context, alarms []Alarm) (err error) {
	alarms, r.untold = append(r.untold, alarms...), nil
	for _, a := range alarms {
		k := key(a.What, a.Line, a.Entry)
		if k != "" && r.told[k] {
			continue
		}
		r.changed = true
		r.cfg.Logger.ErrorContext(ctx, "reconciliation alarm", slog.String("finding", a.What), slog.String("batch", a.Batch),
			slog.Uint64("entry", a.Entry), slog.String("digest", a.Line), slog.Int("count", a.Surplus))
		if failed := r.cfg.Log.Append(ctx, "reconciliation.alarm", a.facts()); failed != nil {
			err, r.untold = errors.Join(err, failed), append(r.untold, a)
			continue
		}
		if k != "" {
			r.told[k] = true
		}
		if r.cfg.Alarmed != nil {
			r.cfg.Alarmed(a)
		}
	}
	return err
}

func (a Alarm) facts() audit.Facts {
	f := audit.Facts{"what": a.What}
	for name, s := range map[string]string{"batch": a.Batch, "call": a.Call, "line_sha256": a.Line} {
		if s != "" && len(s) <= 64 {
			f[name] = s
		}
	}
	for name, n := range map[string]int{"entry": int(a.Entry), "items": a.Items, "surplus": a.Surplus, "seconds": a.Seconds} {
		if n != 0 {
			f[name] = n
		}
	}
	return f
}

// State is the state of the reconciliation now.
func (r *Runner) State() string {
	switch {
	case len(r.bad) > 0 || r.over[AlarmSilence] || r.upTo.IsZero():
		return StateNot
	case r.m.count.Findings > 0 || r.changed:
		return StateBad
	}
	return StateGood
}

// Report makes the result since the last one an entry, with the digest of the
// segment of Vault's file that it rests on.
func (r *Runner) Report(ctx context.Context) error {
	now, verdict := r.cfg.Now().UTC(), r.State()
	counts := r.m.Counts()
	digest, n := r.tail.Segment()
	from := r.state.Until
	if from.IsZero() {
		from = r.began.UTC()
	}
	facts := audit.Facts{"from": stamp(from), "until": stamp(now), "state": verdict, "segment_sha256": digest, "bytes": int(n),
		"calls": counts.Calls, "items": counts.Items, "matched": counts.Matched, "findings": counts.Findings, "unread": r.unread + counts.Excused}
	if r.state.Previous != "" {
		facts["previous_sha256"] = r.state.Previous
	}
	if err := r.cfg.Log.Append(ctx, "reconciliation.made", facts); err != nil {
		return err
	}
	r.state.Until, r.state.Previous, r.unread, r.changed = now, digest, 0, false
	return r.save(now)
}

// headOf is the digest of a file's first bytes; empty if it cannot be read, or
// is too short to be known by them.
func headOf(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, headSize)
	if _, err := io.ReadFull(f, head); err != nil {
		return ""
	}
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:])
}

// headSize holds the time and the id of the first line.
const headSize = 256

// stamp is a time as entries spell it.
func stamp(t time.Time) string { return t.UTC().Format(audit.TimeLayout) }

// save remembers how far this Runner is, a few minutes back: what was waiting for
// its other side is read again.
func (r *Runner) save(now time.Time) error {
	for len(r.marks) > 1 && r.marks[1].at.Before(now.Add(-resumeBefore)) {
		r.marks = r.marks[1:]
	}
	if r.cfg.State == "" {
		return nil
	}
	s := r.state
	if first := r.marks; len(first) > 0 && first[0].at.Before(now.Add(-resumeBefore)) {
		s.Offset, s.From = first[0].offset, first[0].at.UTC()
	}
	if s.Offset > r.tail.Offset() {
		s.Offset = 0 // another file since
	}
	s.Head = headOf(r.cfg.File)
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("keeping the state of the reconciliation: %w", err)
	}
	tmp := filepath.Join(filepath.Dir(r.cfg.State), "."+filepath.Base(r.cfg.State)+".new")
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return fmt.Errorf("keeping the state of the reconciliation: %w", err)
	}
	return os.Rename(tmp, r.cfg.State)
}
