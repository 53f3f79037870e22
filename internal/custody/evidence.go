package custody

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// evidenceDeadline bounds the making of a bundle: it waits for one checkpoint
// and then reads files.
const evidenceDeadline = 30 * time.Second

// maxEvidenceTrail is the most entries of one trail that a bundle holds.
const maxEvidenceTrail = 20_000

// Published gives the door what was published, from which evidence is made.
type Published interface {
	// Store is the folder of a year's log.
	Store(year int) (publish.Store, error)
	// CommitHeads returns the newest entry that commits to the ends of all trails
	// and speaks of entry (or of a later one), writing one if there is none, when a
	// published checkpoint holds it.
	CommitHeads(ctx context.Context, entry uint64) (*CommittedHeads, error)
	// Key is the verifier key of a year's log.
	Key(year int) (string, error)
	// Page is the page that verifies a bundle.
	Page() []byte
}

// CommittedHeads is an entry that commits to the ends of all trails, and the map
// that it commits to.
type CommittedHeads struct {
	Year  int    // log of the entry
	Index uint64 // of the entry
	Of    int    // the log that Size speaks of: the same, or the year before
	Size  uint64 // after how many entries of that log the trails ended so
	File  audit.HeadFile
}

// maxEvidenceSince is the most sizes that a bundle proves to be prefixes.
const maxEvidenceSince = 100

// EvidenceRequest asks for the handling trail of one complaint, or for what a
// search of the log finds, as a file that verifies offline.
type EvidenceRequest struct {
	Complaint string
	Query     string // see package logquery; instead of Complaint
	Purpose   string
	// Openings also shows the reasons that people gave, which are sealed. Whoever
	// asks must be allowed to reveal fields of handling.
	Openings bool
	// Since are sizes of this year's log at which the reader kept a checkpoint.
	Since []uint64
}

// Evidence is a bundle.
type Evidence struct {
	Name    string // of the file
	Entries int
	Audit   AuditRef
	Write   func(io.Writer) error
}

// openingField is the field whose release opens what people wrote when they
// opened something: it is of the group handling, as those reasons are.
const openingField = "findings"

// Evidence gathers the trail of a complaint with proofs. The request itself is
// the last entry of the trail that it shows.
func (d *Door) Evidence(ctx context.Context, c Caller, r EvidenceRequest) (*Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, evidenceDeadline)
	defer cancel()
	if len(r.Since) > maxEvidenceSince {
		return nil, invalid("/since", "too_long")
	}
	if d.cfg.Published == nil {
		return nil, errors.New("making evidence: no published log is configured")
	}
	if r.Query != "" {
		return d.queryEvidence(ctx, c, r)
	}
	// 1 ask
	a, err := d.askRecord(ctx, c, question{action: "evidence", purpose: r.Purpose, id: r.Complaint})
	if err != nil {
		return nil, err
	}
	veil, err := d.curtain(ctx, c.Person, a.subject.Roles)
	if err != nil {
		return nil, err
	}
	// 2 record
	receipt, err := d.record(ctx, a.intent("access.evidence", nil, audit.Facts{"scope": "trail"}))
	if err != nil {
		return nil, err
	}
	// 3 open, if asked for: a decision and an intent of its own
	notes, last, err := d.notes(ctx, a, r, receipt)
	if err != nil {
		d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "cancelled")
		return nil, err
	}
	// 4 gather what was published
	g := &gathering{door: d, readers: map[int]*publish.Reader{}, veil: veil, oversees: a.oversees(), notes: notes, subject: subjectOf(a.id)}
	bundle, err := g.trailBundle(ctx, last, r.Since)
	if err != nil {
		d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "unavailable")
		return nil, err
	}
	// 5 record what came of it
	d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "answered")
	return &Evidence{Name: fmt.Sprintf("evidence-%s-%s.zip", a.id, a.at.UTC().Format("20060102T150405Z")), Entries: len(g.items),
		Audit: receiptRef(receipt), Write: func(w io.Writer) error { return evidence.Write(w, bundle) }}, nil
}

// openedNote is what opens one commitment.
type openedNote struct {
	salt  [16]byte
	value string
}

// noteKey names a commitment: entry and path.
type noteKey struct {
	entry uint64
	path  string
}

// notes opens the reasons of a complaint's trail, if they are asked for: it asks
// as a reveal does, records that it opens, and opens what the log still has. last
// is the newest entry that the bundle must show.
func (d *Door) notes(ctx context.Context, e *asked, r EvidenceRequest, receipt pglog.Receipt) (found map[noteKey]openedNote, last uint64, err error) {
	last = receipt.EntryID()
	if !r.Openings || e.erased != nil {
		return nil, last, nil
	}
	a, err := d.askRecord(ctx, e.caller, question{action: "reveal", purpose: r.Purpose, id: r.Complaint, fields: []string{openingField}})
	if err != nil {
		return nil, 0, err
	}
	if err := d.spend(ctx, a); err != nil {
		return nil, 0, err
	}
	var stored []pglog.Opening
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) (err error) {
		stored, err = d.cfg.Log.OpeningsOf(ctx, tx, subjectOf(a.row.ID))
		return err
	})
	if err != nil {
		return nil, 0, txError(err)
	}
	stored = slices.DeleteFunc(stored, func(o pglog.Opening) bool { return len(o.ValueSealed) == 0 })
	opening, err := d.record(ctx, a.intent("access.evidence", nil, audit.Facts{"scope": "openings", "openings": len(stored)}))
	if err != nil {
		return nil, 0, err
	}
	o, err := d.open(ctx, a, opening, nil)
	if err != nil {
		return nil, 0, err
	}
	defer o.close()
	found = map[noteKey]openedNote{}
	for _, s := range stored {
		text, err := o.opener.Open(notePlace(o.row, s.Path, s.EntryID), s.ValueSealed)
		if err != nil {
			return nil, 0, d.broken(ctx, a, opening, err)
		}
		found[noteKey{s.EntryID, s.Path}] = openedNote{s.Salt, string(text.Expose())}
		text.Wipe()
	}
	d.outcome(ctx, a, []pglog.Receipt{opening}, o, "answered")
	return found, opening.EntryID(), nil
}
