package custody

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/store"
)

// register remembers what of a person's facts the log bears out. The rows of
// the register carry no proof of their own: whoever can write SQL could appoint
// himself, train himself or take his name out of recusal. What no entry says
// does not count, and the finding is an entry.
type register struct {
	mu sync.Mutex
	m  map[string]borneOut
}

// borneOut is the answer for one state of a person's row. The store hands out
// the same facts until they change, so the pointer is the key.
type borneOut struct {
	row, facts *store.Subject
	finding    string // what was told last; empty: nothing
}

// maxRegister bounds the persons remembered, as the store bounds its own.
const maxRegister = 10_000

// registerTrail is the most entries of a person's trail that are looked at.
const registerTrail = 10_000

// borne returns the facts of a person without what the log does not say.
func (d *Door) borne(ctx context.Context, a *asked, row *store.Subject) (*store.Subject, error) {
	if row == nil {
		return nil, nil
	}
	person := a.caller.Person
	d.register.mu.Lock()
	known := d.register.m[person]
	d.register.mu.Unlock()
	if known.row == row {
		return known.facts, nil
	}
	log, err := d.sayings(ctx, person)
	if err != nil {
		return nil, err
	}
	facts, finding := log.correct(row)
	if finding != "" && finding != known.finding {
		b := a.body(audit.StageEvent, "access.integrity", audit.Facts{"action": a.action, "what": finding, "table": "people.person"})
		b.Subject, b.Decision = "person:"+a.alias, nil // nothing was decided yet
		if _, err := d.record(ctx, b); err != nil {
			return nil, err
		}
	}
	d.register.mu.Lock()
	defer d.register.mu.Unlock()
	if d.register.m == nil || len(d.register.m) >= maxRegister {
		d.register.m = map[string]borneOut{}
	}
	d.register.m[person] = borneOut{row, facts, finding}
	return facts, nil
}

// sayings is what the log says of one person.
type sayings struct {
	duties   map[string]audit.Facts // confirmed appointments by code
	ended    map[string]bool
	trained  time.Time
	signed   bool
	inactive bool
	unit     string // department
	token    string // SHA-256 of the blind index of the staff id, hex; empty: none was given
	added    bool
}

// sayings reads a person's trail, under every name that she ever had in it.
func (d *Door) sayings(ctx context.Context, person string) (*sayings, error) {
	s := &sayings{duties: map[string]audit.Facts{}, ended: map[string]bool{}}
	aliases, err := d.cfg.Log.Aliases(ctx, person)
	if err != nil {
		return nil, logError(err)
	}
	for _, alias := range aliases {
		entries, err := d.cfg.Log.Trail(ctx, "person:"+alias, registerTrail)
		if err != nil {
			return nil, logError(err)
		}
		for _, e := range slices.Backward(entries) { // oldest first
			b, err := audit.ParseBody(e.Body)
			if err != nil {
				return nil, fmt.Errorf("%w: entry %d of the log", ErrIntegrity, e.ID)
			}
			if b.Stage == audit.StageEvent {
				s.hear(&b)
			}
		}
	}
	return s, nil
}

func (s *sayings) hear(b *audit.Body) {
	code, _ := b.Facts.Text("duty")
	switch b.Kind {
	case "person.added":
		s.added, s.token = true, b.Commit["staff_bidx"]
		s.unit, _ = b.Facts.Text("department")
	case "person.changed":
		if active, stated := b.Facts.Bool("active"); stated {
			s.inactive = !active
		}
	case "duty.appointed":
		if confirmed, _ := b.Facts.Bool("confirmed"); confirmed {
			s.duties[code] = b.Facts
		}
	case "duty.ended":
		s.ended[code] = true
	case "training.passed":
		course, _ := b.Facts.Text("course")
		until, _ := b.Facts.Text("valid_until")
		if at, err := time.Parse(time.RFC3339Nano, until); err == nil && course == confidentialityCourse && at.After(s.trained) {
			s.trained = at
		}
	case "undertaking.signed":
		s.signed = true
	}
}

// correct returns a copy of row without what was never said, and the first
// finding.
func (s *sayings) correct(row *store.Subject) (facts *store.Subject, finding string) {
	c := *row
	tell := func(what string) {
		if finding == "" {
			finding = what
		}
	}
	c.Duties = nil
	for _, duty := range row.Duties {
		if !s.bears(duty) {
			tell("register.duty")
			continue
		}
		c.Duties = append(c.Duties, duty)
	}
	if c.TrainedUntil != nil && c.TrainedUntil.After(s.trained) {
		tell("register.training")
		c.TrainedUntil = nil
		if !s.trained.IsZero() {
			c.TrainedUntil = &s.trained
		}
	}
	if c.Undertaken && !s.signed {
		tell("register.undertaking")
		c.Undertaken = false
	}
	if c.Status == "active" && (s.inactive || !s.added) {
		tell("register.status")
		c.Status = "left"
	}
	if c.Department != s.unit {
		tell("register.department")
		c.Department = s.unit
	}
	if s.token != tokenDigest(c.StaffToken) {
		// Without a token the person counts as complained about everywhere.
		tell("register.staff_id")
		c.StaffToken = nil
	}
	return &c, finding
}

// bears says whether the log confirms a duty as the register states it.
func (s *sayings) bears(duty store.DutyFact) bool {
	code := dutyCode(duty.ID)
	said, ok := s.duties[code]
	role, _ := said.Text("role")
	level, _ := said.Text("level")
	until, _ := said.Text("until")
	return ok && !s.ended[code] && role == duty.Role && level == levels[duty.Level] && until == stamp(duty.Until)
}

// dutyCode is how a duty is named in the log.
func dutyCode(id string) string { return "d-" + shortID(id) }

// tokenDigest is what the log says of a person's blind index: the index is an
// HMAC, so its hash tells nothing of the staff id.
func tokenDigest(token []byte) string {
	if len(token) == 0 {
		return ""
	}
	sum := sha256.Sum256(token)
	return hex.EncodeToString(sum[:])
}

// staffCommit is the commitment of an entry that adds a person.
func staffCommit(token []byte) map[string]string {
	if digest := tokenDigest(token); digest != "" {
		return map[string]string{"staff_bidx": digest}
	}
	return nil
}
