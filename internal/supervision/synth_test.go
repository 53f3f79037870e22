package supervision

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// synthetic makes a log of n complaints received over the given months of 2026 with the accesses around them; the same
// arguments give the same log.
func synthetic(t testing.TB, n, months int) []audit.Leaf {
	t.Helper()
	rnd := rand.New(rand.NewPCG(7, 7)) // a test's data, not a secret
	j := &journal{t: t}
	j.adopt("2025-12-31 00:00")
	from, days := at(t, "2025-12-20 08:00"), months*30
	hours := func(lo, hi float64) time.Duration {
		return time.Duration((lo + rnd.Float64()*(hi-lo)) * float64(time.Hour))
	}
	for i := range n {
		received := from.Add(time.Duration(rnd.IntN(days*24*60)) * time.Minute)
		j.story(fmt.Sprintf("c%05d", i), received, rnd, hours)
	}
	for i := range months * 5 {
		id, opened := fmt.Sprintf("bg-%d", i), from.Add(time.Duration(rnd.IntN(days*24))*time.Hour)
		who := audit.Actor{ID: "handler-1", Roles: []string{"handler"}}
		j.plain(opened, "breakglass.opened", "complaint:c00001", who, audit.Facts{"case": id, "until": utc(opened.Add(time.Hour))})
		j.plain(opened.Add(hours(0.1, 0.9)), "breakglass.closed", "complaint:c00001", who, audit.Facts{"case": id})
		if rnd.IntN(3) > 0 {
			j.plain(opened.Add(hours(2, 40)), "breakglass.reviewed", "complaint:c00001", audit.Actor{ID: "head-1"}, audit.Facts{"case": id, "verdict": "justified"})
		}
	}
	return j.leaves
}

func (j *journal) plain(when time.Time, kind, subject string, who audit.Actor, facts audit.Facts) {
	j.add(audit.Body{At: when.Truncate(time.Microsecond), Stage: audit.StageEvent, Kind: kind, Subject: subject, Actor: who, Facts: facts})
}

// story is one complaint's life with some reads, reveals and refusals.
func (j *journal) story(id string, received time.Time, rnd *rand.Rand, hours func(lo, hi float64) time.Duration) {
	subject, dept := "complaint:"+id, []string{"cards", "loans", "branch-ops", "wealth"}[rnd.IntN(4)]
	who := audit.Actor{ID: fmt.Sprintf("handler-%d", rnd.IntN(20)), Roles: []string{"handler"}}
	level := []string{"general", "general", "general", "serious", "serious", "major"}[rnd.IntN(6)]
	j.plain(received.Add(hours(0.1, 25)), "complaint.recorded", subject, audit.Actor{ID: "intake-1"}, audit.Facts{
		"received_at": utc(received), "channel": "phone", "source": "test", "level": "unclassified", "department": dept,
		"repeat_180d": rnd.IntN(9) == 0, "earlier_own_complaint": false, "referral": []string{"none", "none", "none", "none", "nfra"}[rnd.IntN(5)]})
	if rnd.IntN(25) == 0 {
		j.plain(received.Add(hours(26, 40)), "complaint.refused", subject, audit.Actor{ID: "intake-1"}, audit.Facts{"refusal_code": "duplicate"})
		return
	}
	j.plain(received.Add(hours(2, 22)), "complaint.accepted", subject, audit.Actor{ID: "intake-1"}, nil)
	j.plain(received.Add(hours(4, 26)), "complaint.classified", subject, audit.Actor{ID: "intake-1"}, audit.Facts{"level": level, "type": "service", "business": "loan", "reason_class": "pricing"})
	steps := []struct {
		kind   string
		lo, hi float64
	}{
		{"complaint.dept_received", 10, 52}, {"complaint.first_response", 12, 80}, {"complaint.review_done", 60, 240},
		{"complaint.notified", 100, 420}, {"complaint.closed", 420, 900},
	}
	for _, s := range steps[:1+rnd.IntN(8)%5] {
		j.plain(received.Add(hours(s.lo, s.hi)), s.kind, subject, who, nil)
	}
	for k := range 3 {
		kind, stage := []string{"access.read", "access.read", "access.reveal"}[k], audit.StageIntent
		facts := audit.Facts(nil)
		if rnd.IntN(10) == 0 {
			kind, stage, facts = "access.denied", audit.StageEvent, audit.Facts{"action": "reveal", "reason": "not_assigned"}
		}
		j.add(audit.Body{At: received.Add(hours(20, 400)).Truncate(time.Microsecond), Stage: stage, Kind: kind, Subject: subject,
			Actor: who, Fields: []string{"phone"}, Facts: facts})
	}
}
