package custody

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Population is the result of a check of which complaints there are, three ways:
// the log's entries against the rows, the erased against their proofs, and what
// source systems say that they sent against what was received.
type Population struct {
	Created      int                    `json:"created" doc:"complaints that the log says were recorded"`
	Live         int                    `json:"live"`
	Restricted   int                    `json:"restricted"`
	Erased       int                    `json:"erased" doc:"with the entry of their erasure"`
	Lost         int                    `json:"lost" doc:"in the log, and neither stored nor erased"`
	WithoutEntry int                    `json:"without_entry" doc:"stored, and not in the log"`
	Received     int                    `json:"received" doc:"of the days and sources that were reported"`
	Reported     int                    `json:"reported"`
	Differences  []PopulationDifference `json:"differences"`
	Audit        AuditRef               `json:"audit,omitzero"`
}

// PopulationDifference is one thing that does not add up.
type PopulationDifference struct {
	What      string `json:"what" enum:"record_lost,record_without_entry,erased_without_proof,erased_and_stored,source_count"`
	Complaint string `json:"complaint,omitempty"`
	Source    string `json:"source,omitempty"`
	Day       string `json:"day,omitempty"`
	Received  int    `json:"received,omitempty"`
	Reported  int    `json:"reported,omitempty"`
}

// maxDifferences bounds the entries that one check writes; the result counts all.
const maxDifferences = 1000

// populationDeadline bounds a check, which reads the whole log.
const populationDeadline = 10 * time.Minute

// CheckPopulation counts, records the result, and records each difference that
// the log does not have yet.
func (d *Door) CheckPopulation(ctx context.Context) (*Population, error) {
	ctx, cancel := context.WithTimeout(ctx, populationDeadline)
	defer cancel()
	read, err := d.cfg.Store.ReadPopulation(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	p := comparePopulation(read)
	events, err := d.populationEvents(ctx, p, read.Told)
	if err != nil {
		return nil, err
	}
	receipts, err := d.recordAll(ctx, events)
	if err != nil {
		return nil, err
	}
	p.Audit = receiptRef(receipts[0])
	return p, nil
}

// comparePopulation says what does not add up.
func comparePopulation(r *store.Population) *Population {
	p := &Population{Created: len(r.Recorded), Differences: []PopulationDifference{}}
	differ := func(what, id string) {
		p.Differences = append(p.Differences, PopulationDifference{What: what, Complaint: id})
	}
	for id, state := range r.Rows {
		_, recorded := r.Recorded[id]
		switch {
		case !recorded:
			p.WithoutEntry++
			differ("record_without_entry", id)
		case state == complaint.StateErased && r.Shredded[id]:
			p.Erased++
		case state == complaint.StateErased:
			p.Lost++
			differ("erased_without_proof", id)
		case r.Shredded[id]:
			p.Erased++
			differ("erased_and_stored", id)
		case complaint.StageOf(state) == complaint.StageRestricted:
			p.Restricted++
		default:
			p.Live++
		}
	}
	for id := range r.Recorded {
		if _, stored := r.Rows[id]; !stored {
			p.Lost++
			differ("record_lost", id)
		}
	}
	slices.SortFunc(p.Differences, func(a, b PopulationDifference) int {
		return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Complaint, b.Complaint))
	})
	p.sources(r)
	return p
}

// sources compares what source systems reported with what was received.
func (p *Population) sources(r *store.Population) {
	received := map[store.SourceDay]int{}
	for _, f := range r.Recorded {
		received[store.SourceDay{Source: f.Source, Day: dayOf(f.Received)}]++
	}
	days := slices.SortedFunc(maps.Keys(r.Reported), func(a, b store.SourceDay) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Source, b.Source))
	})
	for _, day := range days {
		got, want := received[day], r.Reported[day]
		p.Received, p.Reported = p.Received+got, p.Reported+want
		if got != want {
			p.Differences = append(p.Differences, PopulationDifference{What: "source_count", Source: day.Source, Day: day.Day, Received: got, Reported: want})
		}
	}
}

// dayOf is the day of an instant in China.
func dayOf(at time.Time) string {
	return at.In(time.FixedZone("Asia/Shanghai", 8*60*60)).Format(time.DateOnly)
}

// populationEvents are the result first, and then the differences that are new.
func (d *Door) populationEvents(ctx context.Context, p *Population, told map[store.Difference]bool) ([]audit.Body, error) {
	result, err := d.serviceEvent(ctx, "population.checked", "charter:population", audit.Facts{"created": p.Created, "live": p.Live,
		"restricted": p.Restricted, "erased": p.Erased, "lost": p.Lost, "without_entry": p.WithoutEntry, "received": p.Received,
		"reported": p.Reported, "findings": len(p.Differences)})
	if err != nil {
		return nil, err
	}
	events := []audit.Body{result}
	for _, one := range p.Differences {
		subject, facts := "charter:population", audit.Facts{"what": one.What}
		known := store.Difference{What: one.What, Received: -1, Reported: -1}
		if one.Complaint != "" {
			subject = subjectOf(one.Complaint)
		} else {
			facts["source"], facts["day"], facts["received"], facts["reported"] = one.Source, one.Day, one.Received, one.Reported
			known.Source, known.Day, known.Received, known.Reported = one.Source, one.Day, int64(one.Received), int64(one.Reported)
		}
		known.Subject = subject
		if told[known] || len(events) > maxDifferences {
			continue
		}
		e := result
		e.Kind, e.Subject, e.Facts = "population.difference", subject, facts
		events = append(events, e)
	}
	return events, nil
}

// SourceCount is how many complaints a source system says that it sent on a day.
type SourceCount struct {
	Purpose string
	Source  string
	Day     string // YYYY-MM-DD, in China
	Count   int
}

// ReportSource records how many complaints a source system sent on a day; the
// newest report of a day counts. Applications that may file complaints may say so.
func (d *Door) ReportSource(ctx context.Context, c Caller, r SourceCount) (AuditRef, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if !complaint.Registry().FitsWord("code", r.Source) {
		return AuditRef{}, invalid("/source", "malformed")
	}
	if _, err := time.Parse(time.DateOnly, r.Day); err != nil {
		return AuditRef{}, invalid("/day", "malformed")
	}
	if r.Count < 0 {
		return AuditRef{}, invalid("/count", "out_of_range")
	}
	a, err := d.ask(ctx, c, question{action: "create", purpose: r.Purpose})
	if err != nil {
		return AuditRef{}, err
	}
	b := a.body(audit.StageEvent, "source.reported", audit.Facts{"source": r.Source, "day": r.Day, "reported": r.Count})
	b.Subject = "source:" + r.Source
	receipt, err := d.record(ctx, b)
	if err != nil {
		return AuditRef{}, fmt.Errorf("recording a source's count: %w", err)
	}
	return receiptRef(receipt), nil
}

// ClaimNight says whether this process is the first to ask for a job of this
// night, of all processes of the institution.
func (d *Door) ClaimNight(ctx context.Context, job, night string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	mine, err := d.cfg.Store.ClaimNight(ctx, d.cfg.Institution, job, night)
	return mine, storeError(err)
}
