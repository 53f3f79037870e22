package custody

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/store"
)

// intakeSubject is the trail of the intake keys.
const intakeSubject = "intake"

// vouchedIntake remembers which public intake keys the log bears out: they are
// asked for by everybody, and never change.
type vouchedIntake struct {
	mu   sync.Mutex
	said map[uint32]string // fingerprints by version
	told string            // the last one that no entry names
}

// vouchIntake refuses a public key that no entry names. The table carries no
// proof of its own: whoever can write SQL could have drafts sealed to himself.
func (d *Door) vouchIntake(ctx context.Context, k *IntakeKey) error {
	d.intake.mu.Lock()
	defer d.intake.mu.Unlock()
	if d.intake.said[k.Version] == k.SHA256 {
		return nil
	}
	said, err := d.says(ctx, intakeSubject, "intake.key_made", func(b *audit.Body) bool {
		version, _ := b.Facts.Int("version")
		sum, _ := b.Facts.Text("public_sha256")
		return version == int64(k.Version) && sum == k.SHA256
	})
	if err != nil {
		return err
	}
	if said {
		if d.intake.said == nil {
			d.intake.said = map[uint32]string{}
		}
		d.intake.said[k.Version] = k.SHA256
		return nil
	}
	if d.intake.told != k.SHA256 { // one entry, not one for each client that asks
		b, err := d.serviceEvent(ctx, "access.integrity", intakeSubject, audit.Facts{"what": "intake.key", "table": "keys.intake"})
		if err != nil {
			return err
		}
		if _, err := d.record(ctx, b); err != nil {
			return err
		}
		d.intake.told = k.SHA256
	}
	return fmt.Errorf("%w: intake.key", ErrIntegrity)
}

// broughtIn checks that an envelope became the complaint that the table names: a
// client that hears so throws its draft away.
func (d *Door) broughtIn(ctx context.Context, a *asked, id string, sum [32]byte) error {
	want := hex.EncodeToString(sum[:])
	said, err := d.says(ctx, subjectOf(id), "complaint.recorded", func(b *audit.Body) bool {
		got, _ := b.Facts.Text("envelope_sha256")
		return got == want
	})
	if err != nil || said {
		return err
	}
	one := *a
	one.row = &store.Complaint{ID: id}
	if err := d.unlogged(ctx, &one, "intake.unlogged", "sealtrail.sealed_intake"); err != nil {
		return err
	}
	return fmt.Errorf("%w: intake.unlogged", ErrIntegrity)
}

// says reports whether the trail of a subject has an event of a kind that meets
// a condition.
func (d *Door) says(ctx context.Context, subject, kind string, meets func(*audit.Body) bool) (bool, error) {
	entries, err := d.cfg.Log.Trail(ctx, subject, registerTrail)
	if err != nil {
		return false, logError(err)
	}
	for _, e := range slices.Backward(entries) { // what is looked for is old
		b, err := audit.ParseBody(e.Body)
		if err != nil {
			return false, fmt.Errorf("%w: entry %d of the log", ErrIntegrity, e.ID)
		}
		if b.Stage == audit.StageEvent && b.Kind == kind && meets(&b) {
			return true, nil
		}
	}
	return false, nil
}
