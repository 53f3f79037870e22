package doortest

import (
	"context"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// ReportSource implements httpapi.Sources.
func (d *Door) ReportSource(_ context.Context, c custody.Caller, _ custody.SourceCount) (custody.AuditRef, error) {
	if err := d.enter("source", c); err != nil {
		return custody.AuditRef{}, err
	}
	defer d.mu.Unlock()
	return d.audit(), nil
}
