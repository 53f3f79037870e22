package custody

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/store"
)

// note is a text that an entry commits to and that is kept sealed beside the
// log: the reason of a reveal, the term of a search.
type note struct {
	path string
	salt [16]byte
	text string
}

func newNote(path, text string) note { return note{path: path, salt: audit.NewNonce(), text: text} }

func (n note) commit() map[string]string {
	return map[string]string{n.path: audit.Commit(n.path, n.salt, []byte(n.text))}
}

// keepNote seals a note under the record's key and stores what opens the
// entry's commitment, before anything is disclosed.
func (d *Door) keepNote(ctx context.Context, a *asked, o *opened, receipt pglog.Receipt, n note) error {
	sealed, err := field.Seal(o.lease.Key(), notePlace(o.row, n.path, receipt.EntryID()), []byte(n.text), field.Text)
	if err != nil {
		return keyError(err)
	}
	opening := pglog.Opening{EntryID: receipt.EntryID(), Path: n.path, Salt: n.salt, ValueSealed: sealed}
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		if err := d.holdKey(ctx, tx, o.row); err != nil {
			return err
		}
		return d.cfg.Log.PutOpening(ctx, tx, opening)
	})
	if err != nil {
		return d.broken(ctx, a, receipt, txError(err))
	}
	return nil
}

// holdKey keeps the record's data key the one that a text was just sealed under
// until tx ends. Texts are renewed with the record (carryTexts); one that came
// a moment later, under the old key, could never be opened.
func (d *Door) holdKey(ctx context.Context, tx pgx.Tx, row *store.Complaint) error {
	err := d.cfg.Store.HoldGeneration(ctx, tx, row)
	if errors.Is(err, store.ErrStale) {
		return fmt.Errorf("%w: the record's key was renewed meanwhile", ErrStoreUnavailable)
	}
	return err
}

// notePlace binds a note to its record and entry: another record type than the
// record's own fields, so that the two can never be exchanged.
func notePlace(row *store.Complaint, path string, entry uint64) field.Place {
	p := place(row, path, entry)
	p.RecordType = "note"
	return p
}
