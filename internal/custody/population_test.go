package custody_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestThePopulationAddsUp: rows, entries and what sources report are compared
// three ways, and each difference is named once.
func TestThePopulationAddsUp(t *testing.T) {
	t.Parallel()
	h := open(t)
	kept, gone, planted := h.file(1), h.file(2), h.file(3)
	if p := h.population(); len(p.Differences) != 0 || p.Created != 3 || p.Live != 3 {
		t.Fatalf("an untouched institution: %+v", p)
	}
	var source string
	var received time.Time
	must(t, h.admin.QueryRow(t.Context(), `select source, received_at from sealtrail.complaint where institution = $1 and id = $2`, h.institution, kept.ID).Scan(&source, &received))
	day := received.In(time.FixedZone("", 8*3600)).Format(time.DateOnly)
	var n int
	must(t, h.admin.QueryRow(t.Context(), `select count(*) from sealtrail.complaint where institution = $1 and source = $2
		and (received_at at time zone 'Asia/Shanghai')::date = $3::date`, h.institution, source, day).Scan(&n))
	report := func(count int) {
		t.Helper()
		_, err := h.ReportSource(t.Context(), h.as("ivy"), custody.SourceCount{Purpose: "handle", Source: source, Day: day, Count: count})
		must(t, err)
	}
	report(n)
	if p := h.population(); len(p.Differences) != 0 || p.Received != n || p.Reported != n {
		t.Errorf("a true count: %+v", p)
	}
	report(n + 2) // two never arrived

	h.sql(`set session_replication_role = replica`) // a superuser, past every key
	h.sql(`delete from sealtrail.complaint where institution = $1 and id = $2`, h.institution, gone.ID)
	h.sql(`update sealtrail.complaint set id = '11111111-1111-4111-8111-111111111111' where institution = $1 and id = $2`, h.institution, planted.ID)
	h.sql(`update sealtrail.complaint set state = 'erased' where institution = $1 and id = $2`, h.institution, kept.ID)
	p := h.population()
	want := []custody.PopulationDifference{
		{What: "erased_without_proof", Complaint: kept.ID},
		{What: "record_lost", Complaint: min(gone.ID, planted.ID)}, {What: "record_lost", Complaint: max(gone.ID, planted.ID)},
		{What: "record_without_entry", Complaint: "11111111-1111-4111-8111-111111111111"},
		{What: "source_count", Source: source, Day: day, Received: n, Reported: n + 2},
	}
	if !slices.Equal(p.Differences, want) || p.Created != 3 || p.Lost != 3 || p.WithoutEntry != 1 {
		t.Errorf("got %+v\nwant %+v", p, want)
	}
	if p.Created != p.Live+p.Restricted+p.Erased+p.Lost {
		t.Errorf("%+v does not add up", p)
	}
	for range 2 {
		h.population()
	}
	for _, one := range want[:4] {
		if n := h.entries("complaint:"+one.Complaint, "population.difference"); n != 1 {
			t.Errorf("%s of %s is named by %d entries, want 1", one.What, one.Complaint, n)
		}
	}
}

func (h *house) population() *custody.Population {
	h.t.Helper()
	p, err := h.CheckPopulation(h.t.Context())
	must(h.t, err)
	return p
}
