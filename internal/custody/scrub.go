package custody

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Scrubbed is what a look at stored records found. Nothing that it opened is in
// it.
type Scrubbed struct {
	Records  int64         `json:"records"` // looked at
	Fields   int64         `json:"fields"`  // authenticated
	Skipped  int64         `json:"skipped"` // changed or erased meanwhile
	Findings []ScrubResult `json:"findings"`
}

// ScrubResult is one record that is not what was sealed, or not the newest state
// that the log knows.
type ScrubResult struct {
	Complaint string `json:"complaint"`
	What      string `json:"what"`
}

func (s *Scrubbed) add(page []*kept) {
	for _, k := range page {
		switch {
		case k == nil:
		case errors.Is(k.err, ErrIntegrity):
			s.Records++
			s.Findings = append(s.Findings, ScrubResult{k.id, strings.TrimPrefix(k.err.Error(), ErrIntegrity.Error()+": ")})
		case k.err != nil:
			s.Skipped++
		default:
			s.Records++
			s.Fields += int64(len(k.a.row.Stored()))
		}
	}
}

// Scrub looks at every record, one page after the other. tell hears how many it
// has seen; it may be nil.
func (d *Door) Scrub(ctx context.Context, tell func(Scrubbed)) (*Scrubbed, error) {
	all := &Scrubbed{Findings: []ScrubResult{}}
	for after := ""; ; {
		last, err := d.scrubPage(ctx, after, keepPage, all)
		if err != nil || last == "" {
			return all, err
		}
		after = last
		if tell != nil {
			tell(*all)
		}
	}
}

// ScrubSome looks at n records, from a random place on.
func (d *Door) ScrubSome(ctx context.Context, n int) (*Scrubbed, error) {
	some := &Scrubbed{Findings: []ScrubResult{}}
	for after, wrapped := newUUID(), false; n > 0; {
		before := some.Records + some.Skipped
		last, err := d.scrubPage(ctx, after, min(n, keepPage), some)
		if err != nil {
			return some, err
		}
		n -= int(some.Records + some.Skipped - before)
		after = last
		if last == "" {
			if wrapped {
				break
			}
			wrapped = true
		}
	}
	return some, nil
}

// scrubPage looks at up to limit records after an id and returns the last one's;
// empty if there was none.
func (d *Door) scrubPage(ctx context.Context, after string, limit int, into *Scrubbed) (last string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageDeadline)
	defer cancel()
	ids, err := d.cfg.Store.LiveAfter(ctx, d.cfg.Institution, after, limit)
	if err != nil || len(ids) == 0 {
		return "", storeError(err)
	}
	page, err := d.keep(ctx, ids, upkeep{job: "scrub", intend: scrubIntent, act: d.scrubOne})
	if err != nil {
		return "", err
	}
	found := len(into.Findings)
	into.add(page)
	d.raise(ctx, int64(len(page)), into.Findings[found:])
	return ids[len(ids)-1], nil
}

// raise makes findings heard. Each is an entry already; a log line names none of
// the records.
func (d *Door) raise(ctx context.Context, records int64, found []ScrubResult) {
	d.scrubbed.Add(ctx, records)
	for _, f := range found {
		d.findings.Add(ctx, 1)
		d.cfg.Logger.ErrorContext(ctx, "stored record is not what was sealed", slog.String("finding", f.What), slog.String("table", "sealtrail.complaint"))
	}
}

// scrubIntent names the indexed fields: they are opened, to compare their tokens
// with those that are stored. The others are authenticated only.
func scrubIntent(a *asked) (string, []string, audit.Facts, bool) {
	return "record.scrubbed", indexedOf(a.row), audit.Facts{"fields": len(a.row.Stored())}, true
}

// scrubOne authenticates a record as a whole: its key, its manifest, every
// field, and its tokens in the index. That it is not older than the log,
// askRecord has checked.
func (d *Door) scrubOne(ctx context.Context, k *kept) error {
	o, err := d.openKept(ctx, k, indexedOf(k.a.row))
	if err != nil {
		return err
	}
	defer o.close()
	if err := o.verify(); err != nil {
		return d.broken(ctx, k.a, k.receipt, err)
	}
	return d.scrubTokens(ctx, k, o)
}

// verify authenticates every field that open has not opened.
func (o *opened) verify() error {
	for digest := range o.manifest.Fields() {
		if _, done := o.values[digest.Path]; done {
			continue
		}
		envelope, _ := o.row.Field(digest.Path)
		if err := o.manifest.Check(digest.Path, envelope); err != nil {
			return err
		}
		if err := o.opener.Verify(place(o.row, digest.Path, digest.Revision), envelope); err != nil {
			return err
		}
	}
	return nil
}

// scrubTokens compares the tokens that are stored with those of what is sealed:
// a moved one hides this record from a search and shows another one in it.
func (d *Door) scrubTokens(ctx context.Context, k *kept, o *opened) error {
	g, err := d.index.get(ctx, d)
	if err != nil {
		return err
	}
	want, err := d.tokensIn(ctx, k, o, g)
	if err != nil {
		return err
	}
	stored, err := d.cfg.Store.TokensOf(ctx, k.a.row)
	if err != nil {
		return storeError(err) // stale: somebody changed it meanwhile
	}
	name, same := sameTokens(g, g.searched(want), stored)
	if same {
		return nil
	}
	// Not what it should be, unless the generations moved meanwhile.
	d.index.known.Store(nil)
	if now, err := d.index.get(ctx, d); err != nil || !slices.Equal(g, now) {
		return errors.Join(ErrStale, err)
	}
	return d.broken(ctx, k.a, k.receipt, &field.IntegrityError{Path: name, What: "index.token"})
}

// sameTokens says whether exactly the wanted tokens of the current generation
// are stored, and of the one that is being built only wanted ones. Those of
// retired generations no search reads.
func sameTokens(g generations, want, stored []store.Token) (name string, same bool) {
	has := func(list []store.Token, t store.Token) bool {
		return slices.ContainsFunc(list, func(o store.Token) bool {
			return o.Field == t.Field && o.Epoch == t.Epoch && bytes.Equal(o.Token, t.Token)
		})
	}
	for _, t := range want {
		if t.Epoch == g.current() && !has(stored, t) {
			return t.Field, false
		}
	}
	for _, t := range stored {
		if slices.Contains(g, t.Epoch) && !has(want, t) {
			return t.Field, false
		}
	}
	return "", true
}

// ScrubEvery is how often the service looks at some records. With it, at least
// four are looked at in an hour, however few there are: enough to notice that
// nothing can be opened any more, and an idle log hardly grows by it.
const ScrubEvery = 15 * time.Minute

// scrubJob is where the service's own walk stands.
const scrubJob = "scrub"

// Scrubbing looks at records until ctx ends, so many at a time that all of them
// were seen within the given time. One process of several does it.
func (d *Door) Scrubbing(ctx context.Context, within, pause time.Duration) error {
	holder := newUUID()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if err := d.scrubDue(ctx, holder, within, pause); err != nil && ctx.Err() == nil {
			d.cfg.Logger.WarnContext(ctx, "records not scrubbed", slog.String("err", err.Error()))
		}
	}
}

// scrubDue looks at as many records as one pause stands for.
func (d *Door) scrubDue(ctx context.Context, holder string, within, pause time.Duration) error {
	counts, err := d.cfg.Store.CountSuites(ctx, d.cfg.Institution)
	if err != nil {
		return storeError(err)
	}
	total := int64(0)
	for _, n := range counts {
		total += n
	}
	job, err := d.cfg.Store.ClaimJob(ctx, store.Job{Institution: d.cfg.Institution, Name: scrubJob, Run: newUUID(), Holder: holder, Target: "all", Total: total}, 3*pause)
	if errors.Is(err, store.ErrStale) {
		return nil // another process does it
	}
	if err != nil {
		return storeError(err)
	}
	job.Total = total
	for due := max(1, int64(float64(total)*float64(pause)/float64(within)+0.999)); due > 0 && ctx.Err() == nil; due -= keepPage {
		var found Scrubbed
		last, err := d.scrubPage(ctx, job.Cursor, int(min(due, keepPage)), &found)
		if err != nil {
			return err
		}
		job.Cursor, job.Done, job.Failed = last, job.Done+found.Records, job.Failed+int64(len(found.Findings))
		if last == "" {
			job.Done, job.Failed = 0, 0 // all were seen: from the start
		}
		if err := d.saveJob(ctx, job); err != nil {
			return err
		}
		if last == "" && total > 0 && due <= keepPage {
			due += keepPage // the first ones, now
			total = 0
		}
	}
	return nil
}
