package publish_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// clock is a clock that a test moves: ahead of the witnesses', which have the real one.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time        { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) move(by time.Duration) { c.ahead.Add(int64(by)) }
func (a *alarms) count(kind string) (n int) {
	for _, k := range a.kinds() {
		if k == kind {
			n++
		}
	}
	return n
}

func (a *alarms) last(kind string) (last publish.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.list {
		if x.Kind == kind {
			last = x
		}
	}
	return last
}

// Two witnesses and a quorum of one: while one of them hangs the log goes on and only that one is reported, once; when both hang the
// quorum is reported too; the end of both is reported.
func TestSilentWitnessesAlarmOnceAndRecover(t *testing.T) {
	t.Parallel()
	e, at := newEnv(t), &clock{}
	a, b := newWitness(t, t.TempDir(), e.signer.vkey), newNamedWitness(t, "witness.example/risk", e.signer.vkey)
	p := e.publisherWith(publish.Config{Witnesses: []publish.Witness{a.client(t), b.client(t)}, WitnessDeadline: 300 * time.Millisecond,
		Watch: publish.Watch{Stale: time.Minute, Now: at.now}})
	publishOne := func() {
		t.Helper()
		e.grow(1)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	publishOne()
	if w := p.Witnessed(); len(w.Witnesses) != 2 || w.Witnesses[0].Size != 1 || w.Witnesses[1].Size != 1 || w.Stale || w.QuorumAt.IsZero() {
		t.Fatalf("witnessed %+v", w)
	}
	b.hang.Store(true)
	publishOne()
	at.move(2 * time.Minute)
	publishOne() // the first witness cosigns, with the real time: two minutes old by our clock
	if w := p.Witnessed(); w.Witnesses[0].Stale || !w.Witnesses[1].Stale || w.Witnesses[0].Size != 3 || w.Witnesses[1].Size != 1 {
		t.Errorf("witnessed %+v", w)
	}
	if last := e.alarms.last(publish.AlarmWitnessStale); e.alarms.count(publish.AlarmWitnessStale) < 1 || last.Err == nil || !errors.Is(last.Err, publish.ErrWitnesses) {
		t.Errorf("alarms %v", e.alarms.kinds())
	}
	if !p.Witnessed().Stale { // the quorum is judged by what the witness signed, as every reader does
		t.Error("a cosignature that is two minutes old counts as fresh")
	}
	before := e.alarms.count(publish.AlarmWitnessStale)
	publishOne()
	if n := e.alarms.count(publish.AlarmWitnessStale); n != before {
		t.Errorf("%d alarms of one silence", n-before+1)
	}
	at.move(-2 * time.Minute)
	b.hang.Store(false)
	waitFor(t, "both witnesses cosigning", func() bool {
		publishOne()
		w := p.Witnessed()
		return !w.Stale && !w.Witnesses[1].Stale && w.Witnesses[1].Size == w.Witnesses[0].Size
	})
	if n := e.alarms.count(publish.AlarmWitnessBack); n != 2 {
		t.Errorf("%d ends of an alarm, want one of the witness and one of the quorum", n)
	}
}

func newNamedWitness(t testing.TB, name string, logs ...string) *witness {
	t.Helper()
	dir := t.TempDir()
	if _, err := publish.LoadWitnessKey(filepath.Join(dir, "witness.key"), name); err != nil {
		t.Fatal(err)
	}
	return newWitness(t, dir, logs...)
}

// A witness whose clock is ahead does not vouch for the future.
func TestWitnessClockAheadIsNotBelieved(t *testing.T) {
	t.Parallel()
	e, at := newEnv(t), &clock{}
	at.move(-time.Hour)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	p := e.publisherWith(publish.Config{Witnesses: []publish.Witness{w.client(t)}, Watch: publish.Watch{Now: at.now}})
	e.grow(1)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.Witnessed().QuorumAt; got.IsZero() || got.After(at.now()) {
		t.Errorf("quorum at %v, which is after %v", got, at.now())
	}
}

// A log that does not grow is cosigned again, with one line per witness, and a witness that was away gets what it missed.
func TestIdleLogIsCosignedAgain(t *testing.T) {
	t.Parallel()
	e, at := newEnv(t), &clock{}
	a, b := newWitness(t, t.TempDir(), e.signer.vkey), newNamedWitness(t, "witness.example/risk", e.signer.vkey)
	p := e.publisherWith(publish.Config{Witnesses: []publish.Witness{a.client(t), b.client(t)}, WitnessDeadline: 300 * time.Millisecond,
		Watch: publish.Watch{Stale: 30 * time.Minute, Now: at.now}})
	b.hang.Store(true)
	e.grow(3)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := p.Status().Cosignatures; n != 1 {
		t.Fatalf("%d cosignatures", n)
	}
	b.hang.Store(false)
	waitFor(t, "the witness that was away", func() bool {
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		return p.Witnessed().Witnesses[1].Size == 3
	})
	quorum := func() *verify.Report {
		t.Helper()
		rep, err := verify.Verify(t.Context(), e.store.FS(), verify.Options{VerifierKey: e.signer.vkey, Witnesses: []string{a.VerifierKey(), b.VerifierKey()}})
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	if rep := quorum(); rep.Step(verify.StepWitnesses).Status != verify.OK {
		t.Errorf("both witnesses: %+v", rep.Step(verify.StepWitnesses))
	}
	calls := a.asked.Load()
	for range 3 {
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.asked.Load() - calls; n != 0 {
		t.Errorf("asked %d times although the cosignature is fresh", n)
	}
	at.move(11 * time.Minute)
	for range 3 {
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.asked.Load() - calls; n != 1 {
		t.Errorf("asked %d times after a third of the limit, want once", n)
	}
	raw, err := e.store.Get(t.Context(), audit.CheckpointPath)
	if err != nil || bytes.Count(raw, []byte("\n\u2014 ")) != 3 {
		t.Errorf("want one line of the log and of each witness: %v\n%s", err, raw)
	}
	if rep := quorum(); !rep.OK() || rep.Step(verify.StepWitnesses).Status != verify.OK {
		t.Errorf("after the refresh: %+v", rep.Step(verify.StepWitnesses))
	}
}

// With a greatest age, and only then, silence of the witnesses stops publishing; their return starts it again. A restart does not
// forget how old the newest quorum is.
func TestGreatestAgeStopsPublishing(t *testing.T) {
	t.Parallel()
	e, at := newEnv(t), &clock{}
	a := newWitness(t, t.TempDir(), e.signer.vkey)
	config := publish.Config{Witnesses: []publish.Witness{a.client(t)}, WitnessDeadline: 300 * time.Millisecond,
		Watch: publish.Watch{Stale: time.Minute, MaxAge: time.Hour, Now: at.now}}
	p := e.publisherWith(config)
	e.grow(2)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.hang.Store(true)
	e.grow(1)
	p = e.publisherWith(config) // a restart knows the time from the published checkpoint
	if err := p.Publish(t.Context()); err != nil {
		t.Fatalf("a witness that is away for a moment: %v", err)
	}
	at.move(2 * time.Hour)
	e.grow(1)
	if err := p.Publish(t.Context()); !errors.Is(err, publish.ErrWitnesses) || e.checkpoint().Size != 3 || !errors.Is(p.Status().Err, publish.ErrWitnesses) {
		t.Errorf("two hours later: %v at size %d, want ErrWitnesses at 3", err, e.checkpoint().Size)
	}
	again := e.publisherWith(config) // finds no cosignature in the published checkpoint
	if err := again.Publish(t.Context()); !errors.Is(err, publish.ErrWitnesses) {
		t.Errorf("after a restart: %v, want ErrWitnesses", err)
	}
	a.hang.Store(false)
	if err := p.Publish(t.Context()); err != nil || e.checkpoint().Size != 4 {
		t.Errorf("the witness is back: %v at size %d", err, e.checkpoint().Size)
	}
}

// A witness that was shown another history, signed by the log's own key: first it is ahead of us, which only accuses, then our log has
// grown past it and the two notes convict. The log goes on.
func TestSplitViewBecomesAMisbehaviourFile(t *testing.T) {
	t.Parallel()
	e, other := newEnv(t), newEnv(t)
	other.signer = e.signer
	a := newWitness(t, t.TempDir(), e.signer.vkey)
	p := e.publisherWith(publish.Config{Witnesses: []publish.Witness{a.client(t)}, WitnessDeadline: 500 * time.Millisecond})
	a.hang.Store(true)
	e.grow(3)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.hang.Store(false)
	other.grow(9)
	if err := other.publisher(a.client(t)).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the witness's other history", func() bool {
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		return e.alarms.count(publish.AlarmSplit) == 1
	})
	if v := splitFile(t, e, audit.WentBehind); v.Convicts {
		t.Errorf("a larger size alone convicts: %+v", v)
	}
	e.grow(20)
	waitFor(t, "the conviction", func() bool {
		e.grow(1)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(e.root, "*", "*", "evidence", "split-9-*.txt"))
		return err == nil && len(found) == 2
	})
	if v := splitFile(t, e, audit.NotConsistent); !v.Convicts || v.Reason != audit.ReasonOtherPrefix {
		t.Errorf("verdict %+v", v)
	}
	if alarm := e.alarms.last(publish.AlarmSplit); alarm.Witness != a.client(t).Name() || alarm.Size != 9 || len(alarm.SHA256) != 64 {
		t.Errorf("alarm %+v", alarm)
	}
}

// splitFile judges the split file of that kind.
func splitFile(t *testing.T, e *env, kind audit.MisbehaviourKind) audit.Verdict {
	t.Helper()
	open, err := audit.LogVerifier(e.signer.vkey)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(e.root, "*", "*", "evidence", "split-*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m, err := audit.ParseMisbehaviour(raw)
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind != kind {
			continue
		}
		v, err := m.Judge(open)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Fatalf("no file of kind %s among %v", kind, files)
	return audit.Verdict{}
}

// A witness cannot frame the log: whatever it answers, without the log's signature nothing is kept and nobody accused.
func TestLyingWitnessFramesNobody(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	stranger := newSigner(t)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	var answer atomic.Int64
	liar := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			_, _ = out.Write(stranger.signed(t, 9, [32]byte{9}))
		case answer.Load() == 0:
			out.WriteHeader(http.StatusUnprocessableEntity)
		case answer.Load() == 1:
			out.Header().Set("Content-Type", "text/x.tlog.size")
			out.WriteHeader(http.StatusConflict)
			_, _ = out.Write([]byte("18446744073709551615\n"))
		default:
			_, _ = out.Write([]byte("\u2014 witness.example/audit AAAAAAAA\n"))
		}
	}))
	t.Cleanup(liar.Close)
	c, err := publish.NewWitnessClient(t.Context(), publish.WitnessClientConfig{URL: liar.URL, VerifierKey: w.VerifierKey()})
	if err != nil {
		t.Fatal(err)
	}
	good := newNamedWitness(t, "witness.example/risk", e.signer.vkey)
	for i := range 3 {
		answer.Store(int64(i))
		p := e.publisherWith(publish.Config{Witnesses: []publish.Witness{c, good.client(t)}, WitnessDeadline: 2 * time.Second})
		e.grow(4)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := p.Status().Cosignatures; n != 1 {
			t.Errorf("answer %d: %d cosignatures, want the one of the other witness", i, n)
		}
	}
	if slices.Contains(e.alarms.kinds(), publish.AlarmSplit) || !slices.Contains(e.alarms.kinds(), publish.AlarmWitness) {
		t.Errorf("alarms %v", e.alarms.kinds())
	}
	if found, _ := filepath.Glob(filepath.Join(e.root, "*", "*", "evidence", "*")); len(found) != 0 {
		t.Errorf("evidence %v", found)
	}
}
