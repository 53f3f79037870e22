package pglog

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// Who could be told from the published bundles alone, without the map of aliases and without openings? A made-up bank's staff
// works for two years; an attacker who has every leaf of both and, for the second question, the bank's staff list, guesses.
// The numbers stand in docs/threat-model.md. They say what the leaf format gives away, not how clever the attacker is.

// clerk is one made-up member of staff.
type clerk struct {
	id, role, branch string
	starts           int     // hour of the working day, local
	pace             float64 // entries a day
	weekend          bool
}

// office is a made-up bank: 20 branches of 5 handlers and a head each, and a head office.
func office(r *rand.Rand) []clerk {
	var staff []clerk
	add := func(role, branch string, n int) {
		for range n {
			staff = append(staff, clerk{id: fmt.Sprintf("E-%05d", 10000+r.IntN(80000)), role: role, branch: branch, starts: 7 + r.IntN(4),
				pace: 1 + 3*r.Float64(), weekend: r.IntN(6) == 0})
		}
	}
	for b := range 20 {
		branch := fmt.Sprintf("b%02d", b)
		add("handler", branch, 5)
		add("head", branch, 1)
	}
	add("intake", "center", 12)
	add("quality", "center", 5)
	add("compliance", "center", 4)
	add("auditor", "center", 4)
	return staff
}

// published is the log of one year as anybody with the bundles has it, and who each alias really was.
type published struct {
	leaves [][]byte
	truth  map[string]string // alias -> person
}

// work lets the staff work for a year. carried are complaints that were open when it began, with their handlers; those open at
// its end are returned.
func work(t *testing.T, r *rand.Rand, staff []clerk, year int, carried map[string]string) (published, map[string]string) {
	t.Helper()
	p := published{truth: map[string]string{}}
	local := time.FixedZone("", 8*3600)
	open, n := map[string]string{}, 0
	alias, queue := map[string]string{}, map[string][]string{}
	for _, c := range staff {
		alias[c.id] = aliasOf(newSalt(), "bank", aliasKey{actor: c.id, year: year})
		p.truth[alias[c.id]] = c.id
	}
	for subject, who := range carried {
		queue[who] = append(queue[who], subject)
	}
	days := 0
	for day := time.Date(year, 1, 1, 0, 0, 0, 0, local); day.Year() == year; day = day.AddDate(0, 0, 1) {
		days++
		for _, c := range staff {
			if wd := day.Weekday(); (wd == time.Saturday || wd == time.Sunday) && !c.weekend || r.Float64() > c.pace/6 {
				continue
			}
			if len(queue[c.id]) < 3 {
				n++
				queue[c.id] = append(queue[c.id], fmt.Sprintf("complaint:%d-%06d", year, n))
			}
			subject := queue[c.id][0]
			if r.IntN(2) == 0 {
				queue[c.id] = queue[c.id][1:]
			}
			at := day.Add(time.Duration(c.starts)*time.Hour + time.Duration(r.IntN(9*60))*time.Minute)
			b := audit.Body{Institution: "bank", At: at, Stage: audit.StageIntent, Kind: "access.read", Actor: audit.Actor{ID: alias[c.id], Roles: []string{c.role}},
				Subject: subject, Purpose: "handle", Nonce: audit.NewNonce(), Facts: audit.Facts{"branch": c.branch}}
			raw, err := b.Canonical()
			if err != nil {
				t.Fatal(err)
			}
			index := uint64(len(p.leaves))
			p.leaves = append(p.leaves, audit.AssembleLeaf(raw, audit.Position{ID: index + 1, Index: index, Log: fmt.Sprintf("bank/%d", year), SeqAt: at, TrailN: 1}))
		}
	}
	for who, list := range queue {
		for _, subject := range list {
			open[subject] = who
		}
	}
	return p, open
}

// profile is what an attacker gathers about one alias.
type profile struct {
	role, branch string
	hours        [24]float64
	weekend      float64
	count        float64
	subjects     map[string]bool
}

// observe reads leaves, as an attacker does.
func observe(t *testing.T, leaves [][]byte) map[string]*profile {
	t.Helper()
	seen := map[string]*profile{}
	for _, raw := range leaves {
		leaf, err := audit.ParseLeaf(raw)
		if err != nil {
			t.Fatal(err)
		}
		b := leaf.Body
		p := seen[b.Actor.ID]
		if p == nil {
			p = &profile{role: strings.Join(b.Actor.Roles, "+"), subjects: map[string]bool{}}
			seen[b.Actor.ID] = p
		}
		at := b.At.Add(8 * time.Hour)
		p.branch, _ = b.Facts.Text("branch")
		p.hours[at.Hour()]++
		p.count++
		p.subjects[b.Subject] = true
		if wd := at.Weekday(); wd == time.Saturday || wd == time.Sunday {
			p.weekend++
		}
	}
	return seen
}

// distance is how unlike two aliases behave.
func (p *profile) distance(q *profile) float64 {
	if p.role != q.role || p.branch != q.branch {
		return math.Inf(1)
	}
	d := 4*math.Abs(p.weekend/p.count-q.weekend/q.count) + math.Abs(math.Log(p.count/q.count))
	for h := range p.hours {
		d += math.Abs(p.hours[h]/p.count - q.hours[h]/q.count)
	}
	return d
}

// guess pairs each alias of the first year with one of the second.
func guess(first, second map[string]*profile, carried bool) map[string]string {
	pairs := map[string]string{}
	for _, alias := range slices.Sorted(maps.Keys(first)) {
		best, least := "", math.Inf(1)
		for _, other := range slices.Sorted(maps.Keys(second)) {
			d := first[alias].distance(second[other])
			if carried {
				for subject := range first[alias].subjects {
					if second[other].subjects[subject] {
						d -= 10
					}
				}
			}
			if d < least {
				best, least = other, d
			}
		}
		pairs[alias] = best
	}
	return pairs
}

// share is how many of the pairs are one person.
func share(pairs map[string]string, a, b published) float64 {
	right := 0
	for one, other := range pairs {
		if other != "" && a.truth[one] == b.truth[other] {
			right++
		}
	}
	return float64(right) / float64(len(pairs))
}

// TestReidentification measures three things and holds the docs to them. That it fails when a number gets better, too, is meant:
// then docs/threat-model.md has to say so.
func TestReidentification(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2026, 11))
	staff := office(r)
	one, open := work(t, r, staff, 2025, nil)
	two, _ := work(t, r, staff, 2026, open)
	first, second := observe(t, one.leaves), observe(t, two.leaves)

	chance := 0.0 // of whoever knows role and branch only
	for alias := range first {
		alike := 0
		for other := range second {
			if first[alias].role == second[other].role && first[alias].branch == second[other].branch {
				alike++
			}
		}
		chance += 1 / float64(alike) / float64(len(first))
	}
	behaviour := share(guess(first, second, false), one, two)
	carried := share(guess(first, second, true), one, two)
	named := 0 // alone in the staff list with role, branch, hour of beginning and weekends
	for _, c := range staff {
		alike := slices.DeleteFunc(slices.Clone(staff), func(o clerk) bool {
			return o.role != c.role || o.branch != c.branch || o.starts != c.starts || o.weekend != c.weekend
		})
		if len(alike) == 1 {
			named++
		}
	}
	unique := float64(named) / float64(len(staff))
	t.Logf("%d people, %d and %d leaves: same person in both years by role and branch %.0f %%, by behaviour %.0f %%, by complaints carried over %.0f %%; alone in the staff list by role, branch, hours and weekends %.0f %%",
		len(staff), len(one.leaves), len(two.leaves), 100*chance, 100*behaviour, 100*carried, 100*unique)
	for name, bound := range map[string]struct{ got, from, to float64 }{
		"role and branch": {chance, 0.25, 0.40}, "behaviour": {behaviour, 0.60, 0.95}, "carried over": {carried, 0.90, 1}, "alone in the staff list": {unique, 0.50, 0.80},
	} {
		if bound.got < bound.from || bound.got > bound.to {
			t.Errorf("%s: %.3f, docs/threat-model.md says %.2f to %.2f", name, bound.got, bound.from, bound.to)
		}
	}
	leavesNameNobody(t, staff, one, two)
}

// leavesNameNobody: an alias and a leaf as such say nothing. No staff number stands in a leaf, the aliases of one person in two
// years have nothing in common, and whoever has the staff list but not the salts recognises none.
func leavesNameNobody(t *testing.T, staff []clerk, years ...published) {
	t.Helper()
	for i, p := range years {
		for _, leaf := range p.leaves[:2000] {
			for _, c := range staff {
				if strings.Contains(string(leaf), c.id) {
					t.Fatal("a leaf names its actor")
				}
			}
		}
		for _, c := range staff {
			for _, salt := range [][]byte{nil, make([]byte, 16), []byte(hex.EncodeToString(make([]byte, 8)))} {
				if _, ok := p.truth[aliasOf(salt, "bank", aliasKey{actor: c.id, year: 2025 + i})]; ok {
					t.Fatal("an alias is recognised without its salt")
				}
			}
		}
	}
	for alias := range years[0].truth {
		if _, ok := years[1].truth[alias]; ok {
			t.Fatal("an alias lives for two years")
		}
	}
}
