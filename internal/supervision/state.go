package supervision

import "slices"

// milestone is a step of a complaint that clocks start or stop at.
type milestone uint8

const (
	received milestone = iota
	recorded
	accepted
	refused
	classified
	deptReceived
	firstResponse
	reviewDone
	notified
	letterSent
	closed
	withdrawn
	merged
	transferred
	reviewRequested
	reviewDecided
	raised
	milestones
)

// milestoneKinds gives each milestone its event kind. Received comes from the facts of complaint.recorded and raised from
// those of complaint.reclassified, so neither has one.
func milestoneKinds() [milestones]string {
	return [milestones]string{
		recorded:        "complaint.recorded",
		accepted:        "complaint.accepted",
		refused:         "complaint.refused",
		classified:      "complaint.classified",
		deptReceived:    "complaint.dept_received",
		firstResponse:   "complaint.first_response",
		reviewDone:      "complaint.review_done",
		notified:        "complaint.notified",
		letterSent:      "confirmation_letter.sent",
		closed:          "complaint.closed",
		withdrawn:       "complaint.withdrawn",
		merged:          "complaint.merged",
		transferred:     "transfer.received",
		reviewRequested: "complaint.review_requested",
		reviewDecided:   "complaint.review_decided",
	}
}

// milestoneOf finds the milestone of an event kind.
func milestoneOf(kind string) (milestone, bool) {
	for m, k := range milestoneKinds() {
		if k == kind {
			return milestone(m), true // below milestones
		}
	}
	return 0, false
}

// stated is a boolean that an entry may leave out.
type stated int8

const (
	unstated stated = iota
	no
	yes
)

func state(b bool) stated {
	if b {
		return yes
	}
	return no
}

// extension is one complaint.extended entry. Whether it holds is decided by its own time against the due instant it moves,
// not by what its writer claims.
type extension struct {
	at    instant
	clock string
	days  int
	told  bool
}

// complaint is all the fold keeps of one complaint: fixed size but for extensions (the law allows two) and the persons
// who acted on it in the period.
type complaint struct {
	at [milestones]instant

	level, department    stamped
	imported             bool
	repeat, sameBusiness stated
	referral             int32 // 0: none; else 1 + its number in Fold.referrals
	earlierOwn           stated
	score                int8
	scoreAt              instant
	scoreByHandler       bool
	handlers             []int32
	extensions           []extension
}

// stamped is a value with the time it was set: the last one before the period's end counts, and where there is none before
// it, the first one after (a complaint that was recorded late still has a level).
type stamped struct {
	value int32
	at    instant
}

// set applies the rule of stamped; end is the first instant after the period.
func (s *stamped) set(value int32, at, end instant) {
	if s.at == 0 || (at < end && (s.at >= end || at >= s.at)) {
		s.value, s.at = value, at
	}
}

// handledBy notes a person who acted in the period.
func (c *complaint) handledBy(person int32) {
	if !slices.Contains(c.handlers, person) {
		c.handlers = append(c.handlers, person)
	}
}

// endedEarly is the instant at which the complaint left the procedure without a decision, and which way.
func (c *complaint) endedEarly() (instant, milestone) {
	w, r := c.at[withdrawn], c.at[refused]
	if w != 0 && (r == 0 || w < r) {
		return w, withdrawn
	}
	return r, refused
}

// openAt says that the complaint had been received and was neither decided and told nor ended at that instant.
func (c *complaint) openAt(t instant) bool {
	if !c.at[received].by(t) {
		return false
	}
	for _, m := range []milestone{notified, closed, withdrawn, refused} {
		if c.at[m].by(t) {
			return false
		}
	}
	return true
}

// hasExtension says that an extension of the clock was entered, whether or not it held.
func (c *complaint) hasExtension(clock string) bool {
	return slices.ContainsFunc(c.extensions, func(e extension) bool { return e.clock == clock })
}

// breakGlass is one emergency access, keyed by its case.
type breakGlass struct {
	opened, until, closed, reviewed instant
	opener, reviewer                string
	unjustified                     bool
}

// closing is when the access ended: closed by hand or run out, whichever came first; 0 while it runs at t.
func (b *breakGlass) closing(t instant) instant {
	end := b.closed
	if b.until.by(t) {
		end = earliest(end, b.until)
	}
	if end.by(t) {
		return end
	}
	return 0
}

// outage is a stretch in which something was away; end 0 while it lasts.
type outage struct{ began, ended instant }

// names gives small numbers to recurring texts (departments, persons), in order of first sight. Reports never list by
// these numbers, so their order leaves no trace.
type names struct {
	ids  map[string]int32
	list []string
}

func (n *names) id(s string) int32 {
	if id, ok := n.ids[s]; ok {
		return id
	}
	if n.ids == nil {
		n.ids = map[string]int32{}
	}
	id := int32(len(n.list)) // a log of 2^31 departments or persons does not fit its own size limits
	n.ids[s] = id
	n.list = append(n.list, s)
	return id
}
