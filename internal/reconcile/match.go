package reconcile

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// What is alarmed about: the values of the fact "what" of reconciliation.alarm
// (docs/operate/alarms.md).
const (
	AlarmWithoutEntry  = "use_without_entry"    // a key was opened, and no entry stands for it
	AlarmSurplus       = "surplus_use"          // the same under the id of a genuine call
	AlarmIndex         = "index_without_entry"  // tokens were computed for nothing that the log knows
	AlarmRewrap        = "rewrap_without_entry" // keys were rewrapped in no run that the log knows
	AlarmBatchUnseen   = "call_unseen"          // an entry names a call that Vault did not write down
	AlarmKeyCall       = "key_call"             // a key was configured, exported, trimmed, ... without an entry
	AlarmRole          = "unknown_role"         // keys were used with another login than the service's
	AlarmDevice        = "device_changed"       // an audit device was made, disabled or replaced
	AlarmSilence       = "silence"              // Vault writes nothing down
	AlarmSegmentGone   = "segment_missing"      // the file is not there
	AlarmSegmentShrunk = "segment_shrunk"       // the file is shorter than it was
)

// Alarm is a difference, with its evidence: ids and digests, never a value.
type Alarm struct {
	What    string
	At      time.Time // of the call or the entry that it is about
	Batch   string    // correlation id
	Call    string    // Vault's id of the request
	Line    string    // SHA-256 of the audit line
	Entry   uint64    // entry that names what Vault did not see
	Items   int       // items of the call
	Surplus int       // of them, those that nothing stands for
	Seconds int       // of silence
}

// Hasher is Vault's own HMAC of a text, as its audit device writes it.
type Hasher interface {
	Hash(ctx context.Context, text string) (string, error)
}

// Config of a Matcher. All fields are required but Constants and the times, whose
// zero means the documented default.
type Config struct {
	Institution string
	// Role that the service logs in with.
	Role string
	Hash Hasher
	// Context is the base64 text of the context of a key: kind 1 a record's, 2 a
	// file's, 3 of sealed intake.
	Context func(kind byte, record string, generation uint32) string
	// Constants are base64 inputs of tokens that belong to no record.
	Constants []string
	// Grace is how long the other side of a call or an entry may stay out; 0
	// means 15 s: an intent is published within a second of its making, and an
	// outcome when the answer has gone out.
	Grace time.Duration
	// From leaves out what happened before: of it nothing is judged.
	From time.Time
	// Keep remembers everything: for a whole file that is judged at once.
	Keep bool
}

const (
	defaultGrace = 15 * time.Second
	// readWithin is how long after its intent a key may be opened, by the deadline
	// of the longest request that streams nothing.
	readWithin = 12 * time.Second
	// longWithin is the same where bytes are streamed.
	longWithin = 2 * time.Hour
	// leaseLife is how long an opened key is lent, with some room for clocks.
	leaseLife = 70 * time.Second
	// memory is how long what was matched is remembered.
	memory = 10 * time.Minute
)

// keyGrace is how long the entry of a change of a key may take, before and after
// it, and that of a batch of rewrapped ones.
func (c *Config) keyGrace() time.Duration { return 3 * c.Grace }

// Counts are what a Matcher has judged.
type Counts struct {
	Calls, Items, Matched int
	Wraps                 int // wrapped keys that nothing was stored under: no disclosure
	Excused               int // what nobody could account for any more: the service was killed, or the salt changed
	Findings              int
}

// Matcher matches calls and entries. It is not safe for concurrent use.
type Matcher struct {
	cfg    Config
	hashes map[string]string
	known  map[string]bool // hashes of Constants

	calls   []*called
	byBatch map[string][]*called
	claims  []*claim // not yet matched
	intents map[uint64]*intent
	recent  []*intent            // by time, not closed and named
	counted map[string]int       // of indexed: items claimed by batch
	runs    map[string]time.Time // rewrap runs that the log knows
	keyed   []keyEvent
	starts  []time.Time // of the service
	late    []Alarm     // found since the last Judge

	generations map[string]uint32
	intakes     uint32
	count       Counts
}

// called is a call and what is known of its items.
type called struct {
	Call
	named []bool
	first []bool // its first use is named
	tried bool   // judged
}

// keyEvent is an entry that stands for a change of a key.
type keyEvent struct {
	at        time.Time
	kind, key string
}

// NewMatcher returns a Matcher. It makes no call.
func NewMatcher(cfg Config) *Matcher {
	if cfg.Grace <= 0 {
		cfg.Grace = defaultGrace
	}
	return &Matcher{cfg: cfg, hashes: map[string]string{}, byBatch: map[string][]*called{}, intents: map[uint64]*intent{},
		counted: map[string]int{}, runs: map[string]time.Time{}, generations: map[string]uint32{}}
}

// Counts returns what was judged so far and starts counting anew.
func (m *Matcher) Counts() Counts {
	c := m.count
	m.count = Counts{}
	return c
}

// Forget drops everything that cannot be compared any more, because Vault hashes
// with another salt than before.
func (m *Matcher) Forget() {
	for _, c := range m.calls {
		m.count.Excused += len(c.Items)
	}
	clear(m.hashes)
	m.known = nil
	m.calls, m.byBatch, m.claims = nil, map[string][]*called{}, nil
}

// AddCall takes up a call. An alarm that needs no other side is returned at once.
func (m *Matcher) AddCall(c Call) []Alarm {
	if c.Time.Before(m.cfg.From) {
		return nil
	}
	if c.Op == "device" {
		return m.alarm(AlarmDevice, &c, 0)
	}
	name, ours := strings.CutPrefix(c.Key, m.cfg.Institution+"-")
	if !ours || name != "record" && name != "log" && name != "index" && !strings.HasPrefix(name, "index.") || c.Failed {
		return nil
	}
	m.count.Calls++
	m.count.Items += len(c.Items)
	if c.Op == "key" {
		if c.Verb == "make" {
			return nil // of a key that is there it changes nothing
		}
		m.calls = append(m.calls, &called{Call: c})
		return nil
	}
	if c.Role != m.cfg.Role {
		return m.alarm(AlarmRole, &c, len(c.Items))
	}
	if c.Op == "sign" {
		return nil // what was signed and not published, witnesses and trailcheck see
	}
	one := &called{Call: c, named: make([]bool, len(c.Items)), first: make([]bool, len(c.Items))}
	m.calls = append(m.calls, one)
	m.byBatch[c.Batch] = append(m.byBatch[c.Batch], one)
	return nil
}

func (m *Matcher) alarm(what string, c *Call, surplus int) []Alarm {
	m.count.Findings++
	return []Alarm{{What: what, At: c.Time, Batch: c.Batch, Call: c.ID, Line: c.Line, Items: len(c.Items), Surplus: surplus}}
}

// AddEntry takes up an entry of the log.
func (m *Matcher) AddEntry(id uint64, b *audit.Body) {
	at := b.At
	switch b.Stage {
	case audit.StageIntent:
		if at.Before(m.cfg.From.Add(-longWithin)) {
			return
		}
		in := &intent{entry: id, at: at, places: m.placesOf(b), long: longKind(b.Kind)}
		m.intents[id] = in
		m.recent = append(m.recent, in)
		return
	case audit.StageOutcome:
		m.outcome(id, b)
		return
	case audit.StageEvent:
	}
	m.event(id, b)
}

func (m *Matcher) outcome(id uint64, b *audit.Body) {
	uses, positions := usesOf(b)
	named := intentsOf(b)
	result, _ := b.Facts.Text("outcome")
	for _, entry := range named {
		if in := m.intents[entry]; in != nil {
			in.closed, in.done = true, result == "answered"
		}
	}
	for i := range uses {
		c := &uses[i]
		c.entry, c.at = id, b.At
		if p := positions[i]; p < len(named) {
			c.intent = m.intents[named[p]]
		}
		if c.intent != nil {
			c.places, c.at = c.intent.places, c.intent.at
			if c.how == opened {
				c.intent.named++
			}
		}
		m.claim(c)
	}
	for p, entry := range named {
		m.answers(m.intents[entry], p, uses, positions)
	}
}

// answers looks at a call that an intent accounted for before its outcome came: an answer names every key that was opened for it,
// and one that was lent was opened by another call.
func (m *Matcher) answers(in *intent, p int, uses []claim, positions []int) {
	if in == nil || !in.done || in.stood == nil {
		return
	}
	stood := in.stood
	in.stood = nil
	for i := range uses {
		if c := &uses[i]; positions[i] == p && c.how == opened && c.use <= 1 && c.batch == stood.Batch {
			return
		}
	}
	m.late = append(m.late, m.alarm(AlarmSurplus, stood, 1)...)
}

// event takes up what an event says of keys, and of what they belong to.
func (m *Matcher) event(id uint64, b *audit.Body) {
	record, about := complaintOf(b.Subject)
	switch b.Kind {
	case "record.resealed", "erasure.reduced":
		if to, ok := b.Facts.Int("generation_to"); ok && about {
			m.generations[record] = uint32(to)
		}
	case "intake.key_made":
		if v, ok := b.Facts.Int("version"); ok {
			m.intakes = max(m.intakes, uint32(v))
		}
	case "key.rewrapped":
		if run, ok := b.Facts.Text("run"); ok {
			m.runs[run] = b.At
		}
	case "key.rotated", "key.epoch_closed":
		key, _ := b.Facts.Text("key")
		m.keyed = append(m.keyed, keyEvent{b.At, b.Kind, key})
	case "service.started":
		m.starts = append(m.starts, b.At)
	}
	uses, _ := usesOf(b)
	for i := range uses {
		c := &uses[i]
		c.entry, c.at = id, b.At
		if c.places = m.placesOf(b); len(c.places) == 0 {
			c.places = nil
		}
		m.claim(c)
	}
}

// placesOf lists the keys that an entry may be about.
func (m *Matcher) placesOf(b *audit.Body) (list []place) {
	if record, ok := complaintOf(b.Subject); ok {
		g := max(m.generations[record], 1)
		list = append(list, place{ofRecord, record, g}, place{ofRecord, record, g + 1})
		if g > 1 {
			list = append(list, place{ofRecord, record, g - 1})
		}
	}
	if file, ok := b.Facts.Text("file"); ok {
		list = append(list, place{ofFile, file, 1})
	}
	if b.Kind == "intake.ingested" {
		for v := m.intakes; v > 0; v-- {
			list = append(list, place{ofIntake, "intake", v})
		}
	}
	return list
}

func (m *Matcher) claim(c *claim) {
	if c.at.Before(m.cfg.From) {
		return
	}
	if c.how == indexed {
		m.counted[c.batch] += c.item
		return
	}
	m.claims = append(m.claims, c)
}

// hash is Vault's HMAC of a text, remembered.
func (m *Matcher) hash(ctx context.Context, text string) (string, error) {
	if h, ok := m.hashes[text]; ok {
		return h, nil
	}
	h, err := m.cfg.Hash.Hash(ctx, text)
	if err != nil {
		return "", err
	}
	if len(m.hashes) > maxHashes {
		clear(m.hashes)
	}
	m.hashes[text] = h
	return h, nil
}

// maxHashes bounds the hashes that are remembered: some 40 MB.
const maxHashes = 200_000

// among says whether an item's context is that of one of the places.
func (m *Matcher) among(ctx context.Context, context string, places []place) (bool, error) {
	for _, p := range places {
		h, err := m.hash(ctx, m.cfg.Context(p.kind, p.record, p.generation))
		if err != nil {
			return false, err
		}
		if h == context {
			return true, nil
		}
	}
	return false, nil
}

// prune forgets what is older than anything that may still come.
func (m *Matcher) prune(now time.Time) {
	if m.cfg.Keep {
		return
	}
	old := now.Add(-memory)
	m.calls = slices.DeleteFunc(m.calls, func(c *called) bool {
		if !c.Time.Before(old) {
			return false
		}
		m.byBatch[c.Batch] = slices.DeleteFunc(m.byBatch[c.Batch], func(o *called) bool { return o == c })
		if len(m.byBatch[c.Batch]) == 0 {
			delete(m.byBatch, c.Batch)
			delete(m.counted, c.Batch)
		}
		return true
	})
	m.recent = slices.DeleteFunc(m.recent, func(in *intent) bool {
		gone := in.at.Before(old) && (!in.long || in.at.Before(now.Add(-longWithin))) && (in.closed || !in.long)
		if gone {
			delete(m.intents, in.entry)
		}
		return gone
	})
	m.keyed = slices.DeleteFunc(m.keyed, func(e keyEvent) bool { return e.at.Before(old) })
	m.starts = slices.DeleteFunc(m.starts, func(t time.Time) bool { return t.Before(old) })
}
