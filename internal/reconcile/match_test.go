package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit"
)

// plain hashes by putting a letter in front.
type plain struct{ err error }

func (p plain) Hash(_ context.Context, text string) (string, error) { return "H" + text, p.err }

func contextOf(kind byte, record string, generation uint32) string {
	return fmt.Sprintf("%d/%s/%d", kind, record, generation)
}

// desk is a Matcher with a clock.
type desk struct {
	t  testing.TB
	m  *Matcher
	at time.Time
	id uint64
}

func newDesk(t testing.TB) *desk {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	return &desk{t: t, at: at, m: NewMatcher(Config{Institution: "bank", Role: "sealtrail-bank", Hash: plain{}, Context: contextOf, Constants: []string{"known"}, From: at.Add(-time.Hour)})}
}

func (d *desk) later(by time.Duration) { d.at = d.at.Add(by) }

func (d *desk) entry(stage audit.Stage, kind, subject string, facts audit.Facts) uint64 {
	d.id++
	d.m.AddEntry(d.id, &audit.Body{At: d.at, Stage: stage, Kind: kind, Subject: subject, Facts: facts})
	return d.id
}

func (d *desk) intend(record string) uint64 {
	return d.entry(audit.StageIntent, "access.read", "complaint:"+record, nil)
}

func (d *desk) outcome(result string, intents []uint64, keys ...string) {
	var ids []string
	for _, e := range intents {
		ids = append(ids, fmt.Sprintf("e%d", e))
	}
	facts := audit.Facts{"outcome": result, "intents": ids}
	if len(keys) > 0 {
		facts["keys"] = keys
	}
	d.entry(audit.StageOutcome, "access.result", "request:r", facts)
}

func (d *desk) call(op, batch string, contexts ...string) []Alarm {
	c := Call{Time: d.at, ID: "req", Op: op, Key: "bank-record", Role: "sealtrail-bank", Batch: batch, Line: fmt.Sprint(d.at.UnixNano())}
	if op == "hmac" {
		c.Key = "bank-index"
	}
	for _, s := range contexts {
		if op == "hmac" {
			c.Items = append(c.Items, Item{Input: "H" + s})
		} else {
			c.Items = append(c.Items, Item{Context: "H" + s})
		}
	}
	return d.m.AddCall(c)
}

// judged waits until everything is due and returns what is alarmed about.
func (d *desk) judged(wait time.Duration) (what []string) {
	d.t.Helper()
	d.later(wait)
	alarms, err := d.m.Judge(d.t.Context(), d.at)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, a := range alarms {
		what = append(what, a.What)
	}
	return what
}

func (d *desk) want(what string, got []string, want ...string) {
	d.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("%s: %s", what, diff)
	}
}

const due = time.Minute

// TestWhatIsAlarmedAbout goes through the cases one by one.
func TestWhatIsAlarmedAbout(t *testing.T) {
	r1, r2 := contextOf(ofRecord, "r1", 1), contextOf(ofRecord, "r2", 1)
	for name, c := range map[string]struct {
		do   func(*desk)
		want []string
	}{
		"a read": {func(d *desk) {
			i := d.intend("r1")
			d.call("decrypt", "b", r1)
			d.outcome("answered", []uint64{i}, "0:d:b:0:1")
		}, nil},
		"a lease": {func(d *desk) {
			i := d.intend("r1")
			d.call("decrypt", "b", r1)
			d.outcome("answered", []uint64{i}, "0:d:b:0:1")
			d.later(50 * time.Second)
			j := d.intend("r1")
			d.outcome("answered", []uint64{j}, "0:d:b:0:2")
		}, nil},
		"a lease that is too old": {func(d *desk) {
			i := d.intend("r1")
			d.call("decrypt", "b", r1)
			d.outcome("answered", []uint64{i}, "0:d:b:0:1")
			d.later(3 * time.Minute)
			j := d.intend("r1")
			d.outcome("answered", []uint64{j}, "0:d:b:0:2")
		}, []string{AlarmBatchUnseen}},
		"no entry":                 {func(d *desk) { d.call("decrypt", "b", r1) }, []string{AlarmWithoutEntry}},
		"no entry and no id":       {func(d *desk) { d.call("decrypt", "", r1) }, []string{AlarmWithoutEntry}},
		"an intent for another":    {func(d *desk) { d.intend("r2"); d.call("decrypt", "b", r1) }, []string{AlarmWithoutEntry}},
		"an intent long before":    {func(d *desk) { d.intend("r1"); d.later(time.Minute); d.call("decrypt", "b", r1) }, []string{AlarmWithoutEntry}},
		"an intent not answered":   {func(d *desk) { d.intend("r1"); d.call("decrypt", "b", r1) }, nil},
		"one intent for two opens": {func(d *desk) { d.intend("r1"); d.call("decrypt", "b", r1); d.call("decrypt", "c", r1) }, []string{AlarmWithoutEntry}},
		"an intent that used none": {func(d *desk) { d.outcome("answered", []uint64{d.intend("r1")}); d.call("decrypt", "b", r1) }, []string{AlarmWithoutEntry}},
		"an intent that failed":    {func(d *desk) { i := d.intend("r1"); d.call("decrypt", "b", r1); d.outcome("unavailable", []uint64{i}) }, nil},
		"a genuine id again": {func(d *desk) {
			i := d.intend("r1")
			d.call("decrypt", "b", r1)
			d.outcome("answered", []uint64{i}, "0:d:b:0:1")
			d.call("decrypt", "b", r1)
		}, []string{AlarmSurplus}},
		"a genuine id, another record": {func(d *desk) {
			i := d.intend("r1")
			d.call("decrypt", "b", r1)
			d.outcome("answered", []uint64{i}, "0:d:b:0:1")
			d.call("decrypt", "b", r2)
		}, []string{AlarmSurplus}},
		"one item too many": {func(d *desk) {
			i := d.intend("r1")
			d.call("decrypt", "b", r1, r2)
			d.outcome("answered", []uint64{i}, "0:d:b:0:1")
		}, []string{AlarmSurplus}},
		"an outcome without a call": {func(d *desk) { d.outcome("answered", []uint64{d.intend("r1")}, "0:d:b:0:1") }, []string{AlarmBatchUnseen}},
		"an outcome of another's call": {func(d *desk) {
			i := d.intend("r1")
			d.call("decrypt", "b", r2)
			d.outcome("answered", []uint64{i}, "0:d:b:0:1")
		}, []string{AlarmBatchUnseen, AlarmWithoutEntry}},
		"one opening that two claim": {func(d *desk) {
			i, j := d.intend("r1"), d.intend("r1")
			d.call("decrypt", "b", r1)
			d.outcome("answered", []uint64{i}, "0:d:b:0:1")
			d.outcome("answered", []uint64{j}, "0:d:b:0:1")
		}, []string{AlarmBatchUnseen}},
		"a page": {func(d *desk) {
			i, j := d.intend("r1"), d.intend("r2")
			d.call("decrypt", "b", r2, r1)
			d.outcome("answered", []uint64{i, j}, "0:d:b:1:1", "1:d:b:0:1")
		}, nil},
		"a create": {func(d *desk) {
			d.call("encrypt", "w", r1)
			d.call("hmac", "h", "x", "y")
			d.created("r1", "0:w:w:0:1", "0:h:h:2")
		}, nil},
		"a wrap for nothing":       {func(d *desk) { d.call("encrypt", "w", r1) }, nil},
		"tokens for nothing":       {func(d *desk) { d.call("hmac", "h", "x") }, []string{AlarmIndex}},
		"one token too many":       {func(d *desk) { d.call("hmac", "h", "x", "y", "z"); d.created("r1", "0:h:h:2") }, []string{AlarmIndex}},
		"tokens under an id again": {func(d *desk) { d.call("hmac", "h", "x"); d.call("hmac", "h", "y"); d.created("r1", "0:h:h:1") }, []string{AlarmSurplus}},
		"a constant":               {func(d *desk) { d.call("hmac", "h", "known") }, nil},
		"tokens, then a crash": {func(d *desk) {
			d.call("hmac", "h", "x")
			d.entry(audit.StageEvent, "service.started", "charter:service", nil)
		}, nil},
		"a rewrap": {func(d *desk) {
			d.call("rewrap", "rewrap-1", r1)
			d.entry(audit.StageEvent, "key.rewrapped", "run:1", audit.Facts{"run": "1"})
		}, nil},
		"a rewrap of nobody": {func(d *desk) { d.call("rewrap", "rewrap-1", r1) }, []string{AlarmRewrap}},
		"a new generation": {func(d *desk) {
			d.entry(audit.StageEvent, "record.resealed", "complaint:r1", audit.Facts{"generation_to": 2})
			i := d.intend("r1")
			d.call("decrypt", "b", contextOf(ofRecord, "r1", 2))
			d.outcome("answered", []uint64{i}, "0:d:b:0:1")
		}, nil},
		"a rotation": {func(d *desk) {
			d.m.AddCall(Call{Time: d.at, Op: "key", Key: "bank-record", Verb: "rotate"})
			d.entry(audit.StageEvent, "key.rotated", "key:bank-record", audit.Facts{"key": "bank-record"})
		}, nil},
		"a rotation of nobody":      {func(d *desk) { d.m.AddCall(Call{Time: d.at, Op: "key", Key: "bank-record", Verb: "rotate"}) }, []string{AlarmKeyCall}},
		"an export":                 {func(d *desk) { d.m.AddCall(Call{Time: d.at, Op: "key", Key: "bank-record", Verb: "export"}) }, []string{AlarmKeyCall}},
		"another institution's key": {func(d *desk) { d.m.AddCall(Call{Time: d.at, Op: "decrypt", Key: "bank-b-record", Items: []Item{{}}}) }, nil},
		"a refused call": {func(d *desk) {
			d.m.AddCall(Call{Time: d.at, Op: "decrypt", Key: "bank-record", Failed: true, Items: []Item{{}}})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			c.do(d)
			got := d.judged(due)
			got = append(got, d.judged(due)...)
			d.want(name, got, c.want...)
		})
	}
}

func (d *desk) created(record string, keys ...string) {
	d.entry(audit.StageEvent, "complaint.recorded", "complaint:"+record, audit.Facts{"keys": keys})
}

// TestAlarmsAtOnce: what needs no other side does not wait for one.
func TestAlarmsAtOnce(t *testing.T) {
	d := newDesk(t)
	for want, c := range map[string]Call{
		AlarmRole:   {Time: d.at, Op: "decrypt", Key: "bank-record", Role: "other", Items: []Item{{}}},
		AlarmDevice: {Time: d.at, Op: "device", Key: "file"},
	} {
		if got := d.m.AddCall(c); len(got) != 1 || got[0].What != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

// TestVaultAwayLosesNothing: what could not be judged is judged later.
func TestVaultAwayLosesNothing(t *testing.T) {
	d := newDesk(t)
	d.intend("r2")
	d.call("decrypt", "b", contextOf(ofRecord, "r1", 1))
	d.m.cfg.Hash = plain{errors.New("away")}
	d.later(due)
	if _, err := d.m.Judge(t.Context(), d.at); err == nil {
		t.Fatal("no error")
	}
	d.m.cfg.Hash = plain{}
	d.want("later", d.judged(0), AlarmWithoutEntry)
}

// TestTheCountIsExact: of any honest traffic nothing is alarmed about, and each
// opened key that is put into it is.
func TestTheCountIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDesk(t)
		thefts, batches := 0, 0
		lent := map[string]string{} // record -> the last call that opened it
		uses := map[string]int{}
		for range rapid.IntRange(1, 40).Draw(rt, "acts") {
			record := rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(rt, "record")
			place := contextOf(ofRecord, record, 1)
			switch rapid.IntRange(0, 4).Draw(rt, "act") {
			case 0: // a page of some, in any order
				var ids []uint64
				var contexts, keys []string
				batches++
				for i, r := range rapid.Permutation([]string{"r1", "r2", "r3"}).Draw(rt, "order") {
					ids, contexts = append(ids, d.intend(r)), append(contexts, contextOf(ofRecord, r, 1))
					keys = append(keys, fmt.Sprintf("%d:d:b%d:%d:1", i, batches, i))
					lent[r], uses[r] = fmt.Sprintf("b%d:%d", batches, i), 1
				}
				d.call("decrypt", fmt.Sprintf("b%d", batches), contexts...)
				d.outcome("answered", ids, keys...)
			case 1: // a lease, if there is one
				if lent[record] == "" {
					continue
				}
				uses[record]++
				d.outcome("answered", []uint64{d.intend(record)}, fmt.Sprintf("0:d:%s:%d", lent[record], uses[record]))
			case 2: // it failed after Vault had answered
				i := d.intend(record)
				batches++
				d.call("decrypt", fmt.Sprintf("b%d", batches), place)
				d.outcome("unavailable", []uint64{i})
			case 3: // nothing was opened
				d.outcome("answered", []uint64{d.intend(record)})
			case 4: // stolen, under a genuine id or none
				if at, ok := lent[record]; ok && rapid.Bool().Draw(rt, "hint") {
					d.call("decrypt", strings.Split(at, ":")[0], place)
				} else {
					d.call("decrypt", "", place)
				}
				thefts++
			}
			d.later(time.Duration(rapid.IntRange(0, 900).Draw(rt, "ms")) * time.Millisecond)
		}
		got := d.judged(due)
		bad := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s == AlarmSurplus || s == AlarmWithoutEntry })
		if len(bad) > 0 || len(got) != thefts {
			rt.Fatalf("%d thefts, alarms %v", thefts, got)
		}
	})
}

// TestALentKeyStandsForNoCall: a long answer that was made with a lent key made no call of its own, so that a call during it is
// somebody else's, although its intent accounted for one until it had its outcome.
func TestALentKeyStandsForNoCall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call, key string
		want      []string
	}{
		"its own call": {"b", "0:d:b:0:1", nil},
		"a lent key":   {"stolen", "0:d:a:0:2", []string{AlarmSurplus}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			i, r1 := d.intend("r1"), contextOf(ofRecord, "r1", 1)
			d.call("decrypt", "a", r1)
			d.outcome("answered", []uint64{i}, "0:d:a:0:1")
			file := d.entry(audit.StageIntent, "access.file", "complaint:r1", nil)
			d.call("decrypt", c.call, r1)
			d.want("while it streams", d.judged(due))
			d.outcome("answered", []uint64{file}, c.key)
			got := d.judged(due)
			d.want("behind its outcome", append(got, d.judged(due)...), c.want...)
		})
	}
}
