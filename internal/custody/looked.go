package custody

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// LookedGroup is who looked on one day: a duty, what was seen, and how often.
// It never has a name or an alias.
type LookedGroup struct {
	Date  string `json:"date" doc:"Day of the institution, +08:00"`
	Duty  string `json:"duty" doc:"Role; see the set role"`
	What  string `json:"what" enum:"masked,clear,trail,package" doc:"masked: seen with masks; clear: fields opened; trail: who did what; package: put into a package or a bundle"`
	Times int    `json:"times"`
	// Proofs are of the entries of this group.
	Proofs []LookedProof `json:"proofs,omitempty"`
}

// LookedProof shows that an entry stands in the signed log without showing it:
// it names a person.
type LookedProof struct {
	Log        string   `json:"log"`
	Index      uint64   `json:"index,string"`
	LeafHash   string   `json:"leaf_hash"`
	Path       []string `json:"path" doc:"Inclusion path to the checkpoint, hex"`
	Checkpoint string   `json:"checkpoint" doc:"Signed note"`
}

// Looked answers who looked at a complaint.
type Looked struct {
	ID      string        `json:"id"`
	Items   []LookedGroup `json:"items"`
	Entries int           `json:"entries" doc:"How many accesses that is"`
	Audit   AuditRef      `json:"audit"`
}

// lookedKinds are the entries that are looks, and what was seen.
func lookedKinds() map[string]string {
	return map[string]string{"access.read": "masked", "access.list": "masked", "access.reveal": "clear", "access.file": "clear",
		"access.trail": "trail", "access.disclosed": "package", "access.evidence": "package"}
}

// chinaDay is the day of an act as the institution and the complainant count.
func chinaDay(at time.Time) string {
	return at.In(time.FixedZone("+08:00", 8*3600)).Format(time.DateOnly)
}

// Looked says to a complainant who looked at his complaint: duties and days. What
// is under a sealed investigation is not in it until that ends.
func (d *Door) Looked(ctx context.Context, c Caller, id, purpose string, proofs bool) (*Looked, error) {
	ctx, cancel := context.WithTimeout(ctx, batchDeadline)
	defer cancel()
	a, err := d.askRecord(ctx, c, question{action: "looked", purpose: purpose, id: id})
	if err != nil {
		return nil, err
	}
	// Of nobody: who assented to an investigation may answer for the complainant,
	// and must not hand on what he knows.
	veil, err := d.curtain(ctx, "", nil)
	if err != nil {
		return nil, err
	}
	entries, err := veil.trail(ctx, subjectOf(a.row.ID), registerTrail)
	if err != nil {
		return nil, err
	}
	answer := &Looked{ID: a.row.ID, Items: []LookedGroup{}}
	for _, e := range entries {
		if err := d.look(ctx, answer, e, proofs); err != nil {
			return nil, err
		}
	}
	b := a.body(audit.StageEvent, "access.looked", audit.Facts{"entries": answer.Entries})
	receipt, err := d.record(ctx, b)
	if err != nil {
		return nil, err
	}
	answer.Audit = receiptRef(receipt)
	return answer, nil
}

// look adds an entry to the answer if it is a look of somebody of the staff.
func (d *Door) look(ctx context.Context, answer *Looked, e pglog.TrailEntry, proofs bool) error {
	b, err := audit.ParseBody(e.Body)
	if err != nil {
		return fmt.Errorf("%w: entry %d of the log", ErrIntegrity, e.ID)
	}
	what, isLook := lookedKinds()[b.Kind]
	allowed := b.Decision != nil && b.Decision.Result == audit.ResultAllow
	duties := slices.Clone(b.Actor.Roles)
	slices.Sort(duties)
	duty := strings.Join(duties, "+")
	opens := b.Stage == audit.StageIntent || what == "package" && b.Stage == audit.StageEvent
	if !isLook || !allowed || !opens || duty == "" || duty == "portal" || duty == keeperRole {
		return nil
	}
	answer.Entries++
	g := group(answer, LookedGroup{Date: chinaDay(b.At), Duty: duty, What: what})
	g.Times++
	if !proofs || d.cfg.Proofs == nil || e.State != pglog.StateSequenced {
		return nil
	}
	proof, err := d.cfg.Proofs.Prove(ctx, e.Year, e.Index, e.LeafHash)
	if errors.Is(err, ErrUnpublished) {
		return nil // the number says that it is there, a later answer proves it
	}
	if err != nil {
		return fmt.Errorf("proving an access: %w", err)
	}
	one := LookedProof{Log: proof.Origin, Index: e.Index, LeafHash: hex.EncodeToString(e.LeafHash[:]), Checkpoint: string(proof.Checkpoint)}
	for _, h := range proof.Path {
		one.Path = append(one.Path, hex.EncodeToString(h))
	}
	g.Proofs = append(g.Proofs, one)
	return nil
}

// group finds or makes the group of an answer.
func group(answer *Looked, g LookedGroup) *LookedGroup {
	for i := range answer.Items {
		if have := &answer.Items[i]; have.Date == g.Date && have.Duty == g.Duty && have.What == g.What {
			return have
		}
	}
	answer.Items = append(answer.Items, g)
	return &answer.Items[len(answer.Items)-1]
}
