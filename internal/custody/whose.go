package custody

import (
	"bytes"
	"context"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Which records are of one complainant, tables say that carry no proof: search
// tokens, items of an erasure. The records themselves do, in the token that
// their manifests cover. So the record that a request names is verified first,
// and every other one must carry the same token.

// complainantOf verifies a record and returns the token of its complainant;
// empty if it has none. The service looks, as in a scrub: whoever erases need
// not be allowed to open anything.
func (d *Door) complainantOf(ctx context.Context, id string) ([]byte, error) {
	page, err := d.keep(ctx, []string{id}, upkeep{job: "erase",
		intend: func(*asked) (string, []string, audit.Facts, bool) { return "record.scrubbed", nil, audit.Facts{}, true },
		act: func(ctx context.Context, k *kept) error {
			o, err := d.openKept(ctx, k, nil)
			if err == nil {
				o.close()
			}
			return err
		}})
	if err != nil {
		return nil, err
	}
	if page[0].err != nil {
		return nil, page[0].err
	}
	return page[0].a.row.DataSubjectToken, nil
}

// isOf says that a row is of a complainant. One without token has no others.
func isOf(row *store.Complaint, complainant []byte) bool {
	return len(complainant) > 0 && bytes.Equal(row.DataSubjectToken, complainant)
}

// ofSubject lists the records of the complainant of the one that the request
// names. A record that only the index counts among them is a finding in its own
// trail, and is neither opened nor named to the recipient.
func (p *production) ofSubject(ctx context.Context) ([]string, error) {
	d, named := p.door, *p.row.Complaint
	a, err := p.verified(ctx, named)
	if err != nil {
		return nil, err
	}
	ids, err := d.cfg.Store.OfSameSubject(ctx, d.cfg.Institution, named, maxSubjectRecords+1)
	if err != nil {
		return nil, storeError(err)
	}
	rows, err := d.cfg.Store.ByID(ctx, d.cfg.Institution, ids)
	if err != nil {
		return nil, storeError(err)
	}
	for _, row := range rows {
		if row.ID == named || isOf(row, a.row.DataSubjectToken) {
			continue
		}
		one := *p.asked
		one.row = row
		if err := d.unlogged(ctx, &one, "disclosure.planted", "sealtrail.blind_index"); err != nil {
			return nil, err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return id == row.ID })
	}
	return ids, nil
}
