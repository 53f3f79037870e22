package custody

import (
	"context"
	"fmt"

	"github.com/sealtrail/sealtrail/audit"
)

// inForce refuses to decide while the log names another policy bundle as the
// active one than this process decides by: a new one is announced by an entry
// before anything is decided under it, so that whoever checks the log finds every
// decision under the bundle that was in force. A log that names none is one that
// is being founded.
func (d *Door) inForce(ctx context.Context) error {
	digest, _ := d.cfg.Policy.Bundle()
	if seen := d.active.Load(); seen != nil && *seen == digest {
		return nil
	}
	entries, err := d.cfg.Log.Trail(ctx, policySubject, 1)
	if err != nil {
		return logError(err)
	}
	if len(entries) == 0 {
		return nil
	}
	b, err := audit.ParseBody(entries[0].Body)
	if err != nil {
		return fmt.Errorf("%w: entry %d of the log", ErrIntegrity, entries[0].ID)
	}
	if named, _ := b.Facts.Text("digest"); named != digest {
		return fmt.Errorf("%w: the log does not name this policy as the active one yet", ErrUnrecorded)
	}
	d.active.Store(&digest)
	return nil
}
