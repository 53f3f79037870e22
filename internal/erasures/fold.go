// Package erasures follows legal holds, erasures and closed key epochs through a
// published log and says what they break.
//
// The one idea: what the service promises about an erasure is an order of
// entries, so whoever has the log can check it without the service: two persons
// before, no hold and no retention against it, nothing opened or changed after,
// and "irrecoverable" only behind a closed epoch. The package must never know a
// database, Vault or the network; it believes entries, so its findings count
// only for a log that verifies.
package erasures

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// overlap is how long a request that began before an erasure may still run: the
// longest deadline of a request at the door (10 s) and the difference of two
// clocks from which on it is an entry (5 s, contracts.md 2).
const overlap = 15 * time.Second

// maxFindings bounds the findings kept per log, as package verify does per step.
const maxFindings = 20

// Fold takes the entries of one or more institutions' logs, each institution's
// logs oldest first. Memory grows with what was held or erased, and by some 50
// bytes for each complaint that was closed. The zero value is ready to use; not
// safe for concurrent use.
type Fold struct {
	institutions map[string]*institution
	logs         map[string]*result // by origin

	// Of the entry before, so that a log's entries need no look-up.
	of, from string
	in       *institution
	res      *result
}

// result is what one log came to.
type result struct {
	findings []verify.Finding
	more     int
	unknown  int // references to entries of earlier logs that were not given
	counts   Counts
}

// Counts says how much of each there was in a log.
type Counts struct {
	Shredded, Reduced, Kept, Irrecoverable, Holds, Releases, Epochs int
}

func (c *Counts) total() int {
	return c.Shredded + c.Reduced + c.Kept + c.Irrecoverable + c.Holds + c.Releases + c.Epochs
}

// institution is what is known of one institution so far.
type institution struct {
	records  map[string]*record // by subject: held, or asked to be erased
	closed   map[[16]byte]int64 // when a complaint was closed, seconds since 1970
	erasures map[string]*request
	epochs   map[uint64]*epoch   // closed ones, by entry id
	closings map[string]*closing // by key and version
	opening  map[uint64]reading  // by entry id: readings of erased records without outcome yet
	log      string              // whose entries are being taken
	partial  bool                // it continues a log that was not given
}

// record is what is known of one record.
type record struct {
	holds map[string]*hold
	kept  time.Time // retention ends then, as an entry said
	shred *shred
	parts []*shred // reduced
}

// hold is an open legal hold.
type hold struct{ asked actor }

// actor is who did something. Aliases belong to one log: those of two cannot be
// compared.
type actor struct{ alias, log string }

// same reports whether two acts are certainly one person's.
func (a actor) same(b actor) bool { return a.alias != "" && a == b }

// request is one erasure.
type request struct {
	scope, basis, subject string
	by                    actor
	approved, refused     bool
}

// shred is a destroyed key.
type shred struct {
	erasure    string
	id, index  uint64
	at         time.Time
	keyVersion int64
	final      bool
}

// reading is an access to an erased record that began after the erasure.
type reading struct {
	index            uint64
	subject, request string
}

// closing is an epoch that custodians propose to close.
type closing struct {
	by        actor
	confirmed bool
	notBefore time.Time
}

// epoch is a closed one.
type epoch struct {
	key          string
	minAvailable int64
	destroyed    string
}

// Take is verify.Options.Entries. It never fails: what is wrong is a finding.
func (f *Fold) Take(v *audit.LeafView) error {
	if f.in == nil || string(v.Institution()) != f.of || string(v.Log()) != f.from {
		f.in, f.res = f.place(v)
		f.of, f.from = string(v.Institution()), string(v.Log())
	}
	t := taken{LeafView: v, in: f.in, res: f.res}
	switch string(v.Kind()) {
	case "complaint.closed", "complaint.refused", "complaint.withdrawn":
		t.closed()
	case "hold.placed", "hold.release_asked", "hold.released":
		t.hold()
	case "erasure.requested", "erasure.approved", "erasure.refused":
		t.request()
	case "erasure.shredded", "erasure.reduced", "erasure.kept":
		t.erasure()
	case "erasure.irrecoverable":
		t.irrecoverable()
	case "key.epoch_proposed", "key.epoch_confirmed", "key.epoch_withdrawn", "key.epoch_closed":
		t.epoch()
	case "access.result":
		t.outcome()
	}
	t.afterwards()
	return nil
}

// place finds where an entry belongs.
func (f *Fold) place(v *audit.LeafView) (*institution, *result) {
	if f.institutions == nil {
		f.institutions, f.logs = map[string]*institution{}, map[string]*result{}
	}
	in := f.institutions[string(v.Institution())]
	if in == nil {
		in = &institution{records: map[string]*record{}, closed: map[[16]byte]int64{}, erasures: map[string]*request{},
			epochs: map[uint64]*epoch{}, closings: map[string]*closing{}, opening: map[uint64]reading{}}
		in.partial = string(v.Kind()) == "log.opened"
		f.institutions[string(v.Institution())] = in
	}
	res := f.logs[string(v.Log())]
	if res == nil {
		res = &result{}
		f.logs[string(v.Log())] = res
		in.log = string(v.Log())
	}
	return in, res
}

// Counts of one log.
func (f *Fold) Counts(origin string) Counts {
	if res := f.logs[origin]; res != nil {
		return res.counts
	}
	return Counts{}
}

// Step is the outcome for one log as a step of its verification: not checked if
// the log has nothing of the kind.
func (f *Fold) Step(number int, origin string) verify.Step {
	s := verify.Step{Number: number, Name: "erasures", Status: verify.NotChecked,
		Text: say("erasures by two persons, none against a hold or retention, nothing opened or changed after", "删除均经两人,不违反法律保全与保存期限,删除后未再打开或更改")}
	res := f.logs[origin]
	switch {
	case res == nil || res.counts.total() == 0 && len(res.findings) == 0:
		s.Notes = append(s.Notes, say("no hold, erasure or closed key epoch in this log", "本日志没有法律保全、删除或密钥周期关闭"))
		return s
	case len(res.findings) > 0:
		s.Status, s.Findings, s.More = verify.Failed, res.findings, res.more
	default:
		s.Status = verify.OK
	}
	c := res.counts
	s.Notes = append(s.Notes, say("%d shredded, %d reduced, %d kept, %d irrecoverable; %d holds placed, %d released; %d key epochs closed",
		"销毁 %d 件,部分删除 %d 件,保留 %d 件,不可恢复 %d 件;设置保全 %d 项,解除 %d 项;关闭密钥周期 %d 个",
		c.Shredded, c.Reduced, c.Kept, c.Irrecoverable, c.Holds, c.Releases, c.Epochs))
	if res.unknown > 0 {
		s.Notes = append(s.Notes, say("%d references to earlier logs that were not given", "有 %d 处引用了未提供的更早日志", res.unknown))
	}
	return s
}

// Closed returns what a closed key epoch's entry says; ok is false if no entry
// of that id closes one.
func (f *Fold) Closed(institution string, entry uint64) (key string, minAvailable int64, ok bool) {
	in := f.institutions[institution]
	if in == nil || in.epochs[entry] == nil {
		return "", 0, false
	}
	return in.epochs[entry].key, in.epochs[entry].minAvailable, true
}

func say(en, zh string, args ...any) verify.Text {
	if len(args) == 0 {
		return verify.Text{EN: en, ZH: zh}
	}
	return verify.Text{EN: fmt.Sprintf(en, args...), ZH: fmt.Sprintf(zh, args...)}
}

// taken is one entry being taken.
type taken struct {
	*audit.LeafView
	in  *institution
	res *result
}

// find reports something about the entry at index of the present log.
func (t *taken) find(index uint64, code string, text verify.Text) {
	if len(t.res.findings) == maxFindings {
		t.res.more++
		return
	}
	t.res.findings = append(t.res.findings, verify.Finding{Code: code, From: &index, To: &index, Text: text})
}

// missing reports a reference to something that no entry so far has: a finding,
// unless it may stand in an earlier log that was not given.
func (t *taken) missing(code string, text verify.Text) {
	if t.in.partial {
		t.res.unknown++
		return
	}
	t.find(t.Index, code, text)
}

func (t *taken) event() bool { return t.Stage() == audit.StageEvent }

func (t *taken) text(name string) string {
	f, _ := t.Fact(name)
	s, _ := f.Value().(string)
	return s
}

func (t *taken) number(name string) int64 {
	f, _ := t.Fact(name)
	n, _ := f.Value().(int64)
	return n
}

func (t *taken) time(name string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, t.text(name))
	if err != nil {
		return time.Time{}
	}
	return at
}

func (t *taken) actor() actor { return actor{string(t.ActorID()), t.in.log} }

// record of the entry's subject, made if there is none.
func (t *taken) record() *record {
	r := t.in.records[string(t.Subject())]
	if r == nil {
		r = &record{holds: map[string]*hold{}}
		t.in.records[string(t.Subject())] = r
	}
	return r
}

// entryID reads "e4711", as outcomes name intents.
func entryID(ref string) (uint64, bool) {
	if len(ref) < 2 || ref[0] != 'e' {
		return 0, false
	}
	n, err := strconv.ParseUint(ref[1:], 10, 64)
	return n, err == nil
}
