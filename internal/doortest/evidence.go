package doortest

import (
	"context"
	"io"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// Evidence implements httpapi.Evidencing: an empty file.
func (d *Door) Evidence(_ context.Context, c custody.Caller, r custody.EvidenceRequest) (*custody.Evidence, error) {
	if err := d.enter("evidence", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if _, ok := d.records[r.Complaint]; !ok {
		return nil, custody.ErrNotFound
	}
	return &custody.Evidence{Name: "evidence.zip", Entries: 1, Audit: d.audit(), Write: func(w io.Writer) error {
		_, err := w.Write([]byte("PK"))
		return err
	}}, nil
}
