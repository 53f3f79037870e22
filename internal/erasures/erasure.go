package erasures

import (
	"bytes"
	"encoding/hex"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

// closed remembers when a complaint was closed, refused or withdrawn first: what
// retention counts from.
func (t *taken) closed() {
	id, ok := complaintID(t.Subject())
	if !ok || !t.event() {
		return
	}
	if _, known := t.in.closed[id]; !known {
		t.in.closed[id] = t.At().Unix()
	}
}

// complaintID reads the id of a subject "complaint:<uuid>".
func complaintID(subject []byte) (id [16]byte, ok bool) {
	text, ok := bytes.CutPrefix(subject, []byte("complaint:"))
	if !ok || len(text) != 36 {
		return id, false
	}
	var digits [32]byte
	n := 0
	for i, c := range text {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			continue
		}
		digits[n] = c
		n++
	}
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil
}

// request follows erasures from the request to the decision.
func (t *taken) request() {
	if !t.event() {
		return
	}
	id := t.text("erasure")
	r := t.in.erasures[id]
	if string(t.Kind()) == "erasure.requested" {
		t.in.erasures[id] = &request{scope: t.text("scope"), basis: t.text("basis"), subject: string(t.Subject()), by: t.actor()}
		return
	}
	if r == nil {
		t.missing("erasure_unrequested", say("entry %d decides on an erasure that nobody asked for", "第 %d 条审批的删除未曾申请", t.Index))
		r = &request{}
		t.in.erasures[id] = r
	}
	if r.approved || r.refused {
		t.find(t.Index, "erasure_decided_twice", say("entry %d decides on an erasure that was decided on before", "第 %d 条审批的删除此前已有结论", t.Index))
	}
	if string(t.Kind()) == "erasure.refused" {
		r.refused = true
		return
	}
	r.approved = true
	if r.by.same(t.actor()) {
		t.find(t.Index, "erasure_same_person", say("entry %d: who asked for the erasure approved it", "第 %d 条:删除的申请与批准为同一人", t.Index))
	}
}

// erasure follows what became of one record.
func (t *taken) erasure() {
	if !t.event() {
		return
	}
	r := t.record()
	done := r.shred != nil // afterwards reports it
	switch string(t.Kind()) {
	case "erasure.kept":
		t.res.counts.Kept++
		if until := t.time("until"); t.text("result") == "retained" && until.After(r.kept) {
			r.kept = until
		}
		return
	case "erasure.reduced":
		t.res.counts.Reduced++
	default:
		t.res.counts.Shredded++
	}
	if done {
		return
	}
	t.approvals()
	t.nothingAgainst(r)
	s := &shred{erasure: t.text("erasure"), id: t.ID, index: t.Index, at: t.LeafView.At(), keyVersion: t.number("key_version")}
	if string(t.Kind()) == "erasure.reduced" {
		r.parts = append(r.parts, s)
		return
	}
	r.shred = s
}

// approvals checks that two persons stand behind what was done.
func (t *taken) approvals() {
	r := t.in.erasures[t.text("erasure")]
	switch {
	case r == nil || r.subject == "" && !r.approved:
		t.missing("erasure_unapproved", say("entry %d erases without a request", "第 %d 条删除未经申请", t.Index))
	case !r.approved:
		t.find(t.Index, "erasure_unapproved", say("entry %d erases without an approval", "第 %d 条删除未经批准", t.Index))
	case r.subject == "": // asked for in a log that was not given
	case r.scope != "subject" && r.subject != string(t.Subject()):
		t.find(t.Index, "erasure_other_record", say("entry %d erases another record than was asked for", "第 %d 条删除的并非所申请的记录", t.Index))
	case r.basis != t.text("basis"):
		t.find(t.Index, "erasure_basis", say("entry %d names another basis than the request", "第 %d 条的删除依据与申请不同", t.Index))
	}
	if string(t.Kind()) != "erasure.shredded" {
		return
	}
	by, approver := actor{t.text("requested_by"), t.in.log}, actor{t.text("approved_by"), t.in.log}
	switch {
	case by.alias == approver.alias:
		t.find(t.Index, "erasure_same_person", say("entry %d: requested and approved by one person", "第 %d 条:申请与批准为同一人", t.Index))
	case approver != t.actor():
		t.find(t.Index, "erasure_approver", say("entry %d names another approver than who acted", "第 %d 条所称批准人并非操作人", t.Index))
	case r != nil && r.by.log == by.log && r.by != by:
		t.find(t.Index, "erasure_requester", say("entry %d names another requester than the request", "第 %d 条所称申请人与申请不符", t.Index))
	}
}

// nothingAgainst checks holds and retention.
func (t *taken) nothingAgainst(r *record) {
	if len(r.holds) > 0 {
		t.find(t.Index, "erasure_held", say("entry %d erases a record under a legal hold", "第 %d 条删除了处于法律保全的记录", t.Index))
	}
	// The decision may be later than the time at which the request began.
	at := t.LeafView.At().Add(overlap)
	if string(t.Kind()) == "erasure.shredded" && at.Before(r.kept) {
		t.find(t.Index, "erasure_retained", say("entry %d erases before %s, until when an entry says that the record must be kept", "第 %d 条删除早于 %s(此前记录载明的保存期限)", t.Index, r.kept.UTC().Format(time.RFC3339)))
		return
	}
	id, ok := complaintID(t.Subject())
	if !ok {
		return
	}
	closed, known := t.in.closed[id]
	if !known {
		t.missing("erasure_open_case", say("entry %d erases a complaint that was never closed", "第 %d 条删除了从未办结的投诉", t.Index))
		return
	}
	// The shortest period that any shipped rule has; longer ones are the record's own.
	until, _ := complaint.Retention(time.Unix(closed, 0), nil, false)
	if at.Before(until) {
		t.find(t.Index, "erasure_retained", say("entry %d erases before %s, when the shortest retention ends", "第 %d 条删除早于 %s(最短保存期限届满日)", t.Index, until.Format(time.RFC3339)))
	}
}

// changing are the kinds of events that change a record or say that it is there;
// all of complaint.* besides.
var changing = map[string]bool{
	"hold.placed": true, "hold.released": true, "record.resealed": true, "record.reindexed": true, "record.scrubbed": true,
	"erasure.shredded": true, "erasure.reduced": true, "erasure.kept": true, "access.disclosed": true,
}

// afterwards checks that an erased record is neither changed nor opened.
func (t *taken) afterwards() {
	if len(t.in.records) == 0 || !bytes.HasPrefix(t.Subject(), []byte("complaint:")) {
		return
	}
	r := t.in.records[string(t.Subject())]
	if r == nil || r.shred == nil || r.shred.id == t.ID {
		return
	}
	kind := string(t.Kind())
	switch t.Stage() {
	case audit.StageEvent:
		if changing[kind] || bytes.HasPrefix(t.Kind(), []byte("complaint.")) {
			t.find(t.Index, "erased_changed", t.after("entry %d (%s) changes a record that entry %d erased", "第 %d 条(%s)更改了已由第 %d 条删除的记录", kind, r))
		}
		if kind == "access.integrity" || kind == "access.denied" {
			t.unanswered()
		}
	case audit.StageIntent:
		if t.reads() && t.LeafView.At().After(r.shred.at.Add(overlap)) {
			t.in.opening[t.ID] = reading{index: t.Index, subject: string(t.Subject()), request: string(t.Request())}
		}
	case audit.StageOutcome:
	}
}

func (t *taken) after(en, zh, kind string, r *record) verify.Text {
	return say(en, zh, t.Index, kind, r.shred.index)
}

// reads reports whether an intent is to open something: it names fields, or
// opens a file.
func (t *taken) reads() bool {
	return len(t.Body().Fields) > 0 || string(t.Kind()) == "access.file"
}

// unanswered takes back readings of the same request and record that were
// refused or failed.
func (t *taken) unanswered() {
	for id, o := range t.in.opening {
		if o.subject == string(t.Subject()) && o.request == string(t.Request()) {
			delete(t.in.opening, id)
		}
	}
}

// outcome looks whether a reading of an erased record was answered.
func (t *taken) outcome() {
	if len(t.in.opening) == 0 {
		return
	}
	f, _ := t.Fact("intents")
	intents, _ := f.Value().([]string)
	for _, ref := range intents {
		id, ok := entryID(ref)
		o, open := t.in.opening[id]
		if !ok || !open {
			continue
		}
		delete(t.in.opening, id)
		if result := t.text("outcome"); result == "answered" || result == "partial" {
			t.find(o.index, "erased_opened", say("entry %d opens an erased record, and entry %d says that it was answered", "第 %d 条打开了已删除的记录,第 %d 条表明已答复", o.index, t.Index))
		}
	}
}
