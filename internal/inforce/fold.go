// Package inforce follows the policy in force through a log: which bundle was the active one at each index, whether each recorded
// decision names that one, and whether the archived bundle gives the rule and the article that the entry gives for its reason.
//
// The one idea: activations are entries like any other, so the timeline of policies is in the log itself and nobody need be asked.
//
// It never evaluates a policy: that is `sealtraild policy replay`, which has OPA. It is pure and links nothing that it verifies.
package inforce

import (
	"bytes"
	"encoding/hex"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// Subject is the trail of activations, activatedKind the kind of its entries (internal/complaint/registry.json).
const (
	Subject       = "charter:bundle"
	activatedKind = "bundle.activated"
	openedKind    = "log.opened" // with the fact size: it continues a former log
)

// Flight is how long a decision may be under way between being made and being sequenced: within it, before or after an activation,
// the other bundle counts as in force, and the entry is counted as in flight. It is measured by the sequencer's clock, which the
// writer of an entry cannot choose. An append has a deadline of 2 s; the rest is for a replica that starts.
const Flight = 5 * time.Second

// maxKept bounds the entries that wait for the next activation, and the findings that one log keeps by themselves.
const maxKept = 10_000

// Fold takes entries in the order of the institution's logs. The zero value is ready to use. Not safe for concurrent use.
type Fold struct {
	places map[string]*institution
	logs   map[string]*result
	key    []byte
}

type institution struct {
	begun, follows bool // an entry was taken; the first log given continues one that was not given
	active, former activation
	waiting        []decision // decided under a bundle that is not active: the next activation may explain them
}

// activation is one bundle becoming active. The zero value is none.
type activation struct {
	digest string
	seqAt  time.Time
	index  uint64
}

// decision is an entry whose bundle was not the active one when it was sequenced.
type decision struct {
	log    string
	index  uint64
	seqAt  time.Time
	digest string
	active activation // when it was sequenced
}

// result is what a log came to.
type result struct {
	decisions, inFlight, early, carried, unknown int
	activations                                  int
	wrong                                        []decision
	more                                         int
	used                                         map[string]*usage // by bundle
	order                                        []string
}

// usage is what entries of one log say that a bundle holds: reason, rule, article and the first entry that says so.
type usage struct {
	first  uint64
	saying map[string]uint64
}

// Take follows one entry. The error is always nil; it fits verify.Options.Entries.
func (f *Fold) Take(v *audit.LeafView) error {
	if f.places == nil {
		f.places, f.logs = map[string]*institution{}, map[string]*result{}
	}
	in, r := f.place(v), f.log(v)
	if !in.begun {
		_, former := v.Fact("size")
		in.begun, in.follows = true, former && string(v.Kind()) == openedKind
	}
	if bundle := v.Bundle(); len(bundle) > 0 {
		f.decided(in, r, v, bundle)
	}
	if string(v.Kind()) == activatedKind && string(v.Subject()) == Subject && v.Stage() == audit.StageEvent {
		f.activated(in, r, v)
	}
	return nil
}

func (f *Fold) place(v *audit.LeafView) *institution {
	in := f.places[string(v.Institution())]
	if in == nil {
		in = &institution{}
		f.places[string(v.Institution())] = in
	}
	return in
}

func (f *Fold) log(v *audit.LeafView) *result {
	r := f.logs[string(v.Log())]
	if r == nil {
		r = &result{used: map[string]*usage{}}
		f.logs[string(v.Log())] = r
	}
	return r
}

// decided judges one entry with a decision. No bundle but the active one is in force, but for decisions in flight.
func (f *Fold) decided(in *institution, r *result, v *audit.LeafView, bundle []byte) {
	r.decisions++
	u := r.used[string(bundle)]
	if u == nil {
		u = &usage{first: v.Index, saying: map[string]uint64{}}
		r.used[string(bundle)] = u
		r.order = append(r.order, string(bundle))
	}
	f.key = append(append(append(append(append(f.key[:0], v.Reason()...), 0), v.Rule()...), 0), v.Article()...)
	if _, known := u.saying[string(f.key)]; !known {
		u.saying[string(f.key)] = v.Index
	}
	if string(bundle) == in.active.digest {
		return
	}
	if in.active.digest == "" && in.follows {
		r.carried++ // its activation stands in a log that was not given
		return
	}
	if string(bundle) == in.former.digest && v.SeqAt().Sub(in.active.seqAt) <= Flight {
		r.inFlight++
		return
	}
	d := decision{log: string(v.Log()), index: v.Index, seqAt: v.SeqAt(), digest: string(bundle), active: in.active}
	if len(in.waiting) < maxKept {
		in.waiting = append(in.waiting, d)
		return
	}
	r.judge(d)
}

// judge keeps a decision that nothing explains.
func (r *result) judge(d decision) {
	if len(r.wrong) >= maxKept {
		r.more++
		return
	}
	r.wrong = append(r.wrong, d)
}

// activated makes a bundle the active one, and settles those that waited: a service that starts with another bundle decides a moment
// before its activation is in the log.
func (f *Fold) activated(in *institution, r *result, v *audit.LeafView) {
	fact, _ := v.Fact("digest")
	digest, _ := fact.Value().(string)
	next := activation{digest: digest, seqAt: v.SeqAt(), index: v.Index}
	for _, d := range in.waiting {
		of := f.logs[d.log]
		switch {
		case d.digest != digest:
			of.judge(d)
		case in.active.digest == "": // before the first activation of all: the founding
			of.early++
		case next.seqAt.Sub(d.seqAt) <= Flight:
			of.inFlight++
		default:
			of.judge(d)
		}
	}
	in.waiting = in.waiting[:0]
	r.activations++
	if digest != in.active.digest {
		in.former = in.active
	}
	in.active = next
}

// close settles those that no activation explained.
func (f *Fold) close() {
	for _, in := range f.places {
		for _, d := range in.waiting {
			if in.active.digest == "" { // nothing was ever activated in the logs given
				f.logs[d.log].unknown++
				continue
			}
			f.logs[d.log].judge(d)
		}
		in.waiting = nil
	}
}

// isDigest reports whether a text is a SHA-256 in lower-case hex.
func isDigest(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == 32 && bytes.Equal(hex.AppendEncode(nil, raw), []byte(text))
}
