package custody

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// shredTries is how often one record is tried while others change it. A change
// that got in between may be the hold that must win, so each try asks anew.
const shredTries = 5

// errKept: inside the transaction a hold or retention was found after all.
var errKept = errors.New("a hold or retention stands against the erasure")

// execute carries out an approved erasure, record by record. One that fails
// stays pending and does not hinder the others; the first failure is returned,
// and approving again goes on. The record that the request names comes last: by
// it the others are known to be of the same complainant.
func (d *Door) execute(ctx context.Context, c Caller, e *store.Erasure) error {
	items, err := d.cfg.Store.Items(ctx, d.cfg.Institution, e.ID)
	if err != nil {
		return storeError(err)
	}
	var complainant []byte
	if e.Scope == scopeSubject && slices.ContainsFunc(items, func(i *store.ErasureItem) bool { return i.Result == "pending" && i.Complaint != e.Complaint }) {
		if complainant, err = d.complainantOf(ctx, e.Complaint); err != nil {
			return err
		}
	}
	slices.SortStableFunc(items, func(x, y *store.ErasureItem) int {
		return cmp.Compare(named(x, e), named(y, e))
	})
	var failed error
	for _, i := range items {
		if i.Result != "pending" || failed != nil && i.Complaint == e.Complaint {
			continue
		}
		if err := d.eraseOne(ctx, c, erasing{e, i, complainant}); err != nil && failed == nil {
			failed = err
		}
	}
	if _, err := d.cfg.Store.FinishErasure(ctx, d.cfg.Institution, e.ID); err != nil {
		return storeError(err)
	}
	return failed
}

// named is 1 for the record that the request names, else 0.
func named(i *store.ErasureItem, e *store.Erasure) int {
	if i.Complaint == e.Complaint {
		return 1
	}
	return 0
}

// erasing is one record of an erasure. complainant is the token of the verified
// record that a request of scope subject names.
type erasing struct {
	*store.Erasure
	item        *store.ErasureItem
	complainant []byte
}

// planted finds an item that is not of the request: items and search tokens
// carry no proof of their own, the complainant's token in the record does. The
// row is the one that is about to be verified and erased.
func (d *Door) planted(ctx context.Context, a *asked, e erasing) error {
	if e.item.Complaint == e.Complaint || e.Scope == scopeSubject && isOf(a.row, e.complainant) {
		return nil
	}
	if err := d.unlogged(ctx, a, "erasure.planted", "sealtrail.erasure_item"); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrIntegrity, "erasure.planted")
}

// eraseOne settles one record: erased, reduced or kept.
func (d *Door) eraseOne(ctx context.Context, c Caller, e erasing) error {
	for try := 1; ; try++ {
		err := d.tryErase(ctx, c, e)
		switch {
		case errors.Is(err, ErrShredded):
			return d.erasedBefore(ctx, e.Erasure, e.item)
		case (errors.Is(err, ErrStale) || errors.Is(err, errKept)) && try < shredTries:
			continue // somebody changed it: decide anew
		}
		return err
	}
}

func (d *Door) tryErase(ctx context.Context, c Caller, e erasing) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	// 1 ask
	a, kept, err := d.askErase(ctx, c, e.Erasure, e.item.Complaint)
	if err != nil {
		return err
	}
	if err := d.planted(ctx, a, e); err != nil {
		return err
	}
	if kept != "" {
		return d.keepRecord(ctx, a, e.Erasure, e.item, kept)
	}
	if e.Scope == scopeGroups {
		return d.reduce(ctx, a, e.Erasure, e.item)
	}
	return d.shred(ctx, a, e.Erasure, e.item)
}

// keepRecord records that a record stays, and why, instead of being erased.
func (d *Door) keepRecord(ctx context.Context, a *asked, e *store.Erasure, i *store.ErasureItem, why string) error {
	item := *i
	item.Result = "retained"
	if why == reasonHeld {
		item.Result = "held"
		if held(a.row) {
			item.Hold = &a.row.Holds[0]
		}
	}
	facts := audit.Facts{"erasure": e.ID, "result": item.Result}
	if item.Hold != nil {
		facts["hold"] = *item.Hold
	}
	if until := retainedUntil(a.row, e.Groups); !until.IsZero() && item.Result == "retained" {
		item.Until, facts["until"] = &until, stamp(until)
	}
	body := a.body(audit.StageEvent, "erasure.kept", facts)
	if !a.decision.Allowed() {
		body.Decision = decisionRef(a.decision, audit.ResultDeny)
	}
	return d.settle(ctx, a.at, &item, func(pgx.Tx) (audit.Body, error) { return body, nil })
}

// settle writes what became of a record, with its entry, in one transaction.
// act alters the record and returns the entry.
func (d *Door) settle(ctx context.Context, at time.Time, item *store.ErasureItem, act func(pgx.Tx) (audit.Body, error)) error {
	err := d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		body, err := act(tx)
		if err != nil {
			return err
		}
		if err := complaint.CheckFacts(body.Kind, body.Facts); err != nil {
			return err
		}
		pending, err := d.cfg.Log.AppendTx(ctx, tx, body)
		if err != nil {
			return err
		}
		entry := int64(pending[0].EntryID())
		item.SettledAt, item.SettledEntry = &at, &entry
		return d.cfg.Store.SettleItem(ctx, tx, item)
	})
	return txError(err)
}

// shred destroys a record's data key and empties its row. The order:
//
//	decide, intent, lend and verify (no tampered row is called erased), the last
//	manifest of the emptied row under the key, and then one transaction that
//	locks the row, compares its revision, looks for holds and retention again,
//	empties the row, takes its tokens, destroys its keys and appends the event.
//	Then the leases are void and the files' blobs go.
//
// crash here: before the commit nothing has happened and the item is pending;
// after it the record is erased, and only blobs that no key opens may be left.
func (d *Door) shred(ctx context.Context, a *asked, e *store.Erasure, i *store.ErasureItem) error {
	// 2 record
	facts, err := d.shredFacts(ctx, a, e)
	if err != nil {
		return err
	}
	receipt, err := d.record(ctx, a.intent("erasure.shredded", nil, facts))
	if err != nil {
		return err
	}
	// 3 lend and verify, 4 the last manifest
	d.unlend(a)
	o, err := d.open(ctx, a, receipt, nil)
	if err != nil {
		return err
	}
	next := emptied(a.row, a.at)
	err = lastManifest(o, next)
	use := *o // who borrowed it, for the outcome
	o.close()
	if err != nil {
		return d.broken(ctx, a, receipt, err)
	}
	// 5 all of it, or nothing
	item := *i
	err = d.settle(ctx, a.at, &item, func(tx pgx.Tx) (audit.Body, error) {
		s := shredding{Door: d, tx: tx, a: a, next: next, item: &item, facts: facts}
		return s.run(ctx)
	})
	if err != nil {
		d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, cancelled(err))
		return err
	}
	// 6 what was borrowed is void, what no key opens goes
	d.cfg.Keys.Void(keyID(a.row))
	d.dropFiles(ctx, a.row.ID, a.row.Files)
	d.outcome(ctx, a, []pglog.Receipt{receipt}, &use, "answered")
	return nil
}

// cancelled is the outcome of a change that was not made; a lost answer leaves
// open whether it was.
func cancelled(err error) string {
	if errors.Is(err, ErrStale) || errors.Is(err, errKept) {
		return "cancelled"
	}
	return "unknown"
}

// shredFacts is what the entry says; the key's part is put in again from what
// was really destroyed.
func (d *Door) shredFacts(ctx context.Context, a *asked, e *store.Erasure) (audit.Facts, error) {
	if a.key == nil {
		return nil, d.lost(ctx, a)
	}
	requester, err := d.cfg.Log.Alias(ctx, e.RequestedBy)
	if err != nil {
		return nil, logError(err)
	}
	facts := audit.Facts{"erasure": e.ID, "basis": e.Basis, "requested_by": requester, "approved_by": a.alias, "files": len(a.row.Files),
		"generation": int(a.row.Generation)}
	keyFacts(facts, ofWrapped(a.key))
	return facts, nil
}

// unlend makes the next borrowing of a record's key ask Vault: the entry of an
// erasure says under which version the key was wrapped, and only unwrapping what
// is stored shows that the table says so truly.
func (d *Door) unlend(a *asked) { d.cfg.Keys.Void(keyID(a.row)) }

// sameKey says that the key that was destroyed is the one that was unwrapped.
func sameKey(gone store.DestroyedKey, k *store.Wrapped) bool {
	was := ofWrapped(k)
	return gone.Version == was.Version && bytes.Equal(gone.WrappedSHA256, was.WrappedSHA256) && bytes.Equal(gone.Commitment, was.Commitment)
}

// ofWrapped is what would be left of a key.
func ofWrapped(k *store.Wrapped) store.DestroyedKey {
	sum := sha256.Sum256([]byte(k.Blob))
	return store.DestroyedKey{Commitment: k.Commitment, WrappedSHA256: sum[:], Version: k.Version}
}

func keyFacts(facts audit.Facts, k store.DestroyedKey) {
	facts["commitment"], facts["wrapped_sha256"], facts["key_version"] = hex.EncodeToString(k.Commitment), hex.EncodeToString(k.WrappedSHA256), k.Version
}

// emptied is a row with nothing sealed and nothing that points to a person: the
// clear attributes that the log names anyway stay, so that it shows erased and
// not missing.
func emptied(row *store.Complaint, at time.Time) *store.Complaint {
	next := *row
	copyMaps(&next)
	next.Revision++
	next.State, next.Stage, next.RestrictedFrom = complaint.StateErased, complaint.StageOf(complaint.StateErased), ""
	next.Sealed = make([][]byte, len(store.SealedFields))
	next.RespondentTokens, next.DataSubjectToken, next.Files = nil, nil, nil
	next.Milestones["erasure.shredded"] = at
	next.DueAt, next.DueClock, next.DueProvisional = store.Never, "", false
	return &next
}

// lastManifest signs the emptied row with the key that is about to be destroyed:
// nobody will ever sign another one.
func lastManifest(o *opened, next *store.Complaint) error {
	sealer, err := field.NewSealer(o.lease.Key())
	if err != nil {
		return err
	}
	defer sealer.Close()
	next.Manifest, err = sealer.Manifest(manifestInput(next))
	return err
}

// shredding is the transaction of a shred.
type shredding struct {
	*Door
	tx    pgx.Tx
	a     *asked
	next  *store.Complaint
	item  *store.ErasureItem
	facts audit.Facts
}

func (s *shredding) run(ctx context.Context) (audit.Body, error) {
	if err := s.stillAllowed(ctx, s.tx, s.a, nil); err != nil {
		return audit.Body{}, err
	}
	if err := s.cfg.Store.Update(ctx, s.tx, s.next, s.a.row.Revision, everyIndexed(), nil); err != nil {
		return audit.Body{}, err
	}
	if err := s.forgetNotes(ctx); err != nil {
		return audit.Body{}, err
	}
	gone, err := s.destroyKeys(ctx)
	if err != nil {
		return audit.Body{}, err
	}
	keyFacts(s.facts, gone)
	s.item.Result, s.item.Commitment, s.item.WrappedSHA256, s.item.KeyVersion = "shredded", gone.Commitment, gone.WrappedSHA256, &gone.Version
	return s.a.event("erasure.shredded", s.next, s.facts), nil
}

// stillAllowed locks the row and looks again at everything that wins over an
// erasure. A hold placed since the decision has made a new revision; one that
// somebody wrote into the table alone counts all the same.
func (d *Door) stillAllowed(ctx context.Context, tx pgx.Tx, a *asked, groups []string) error {
	row, err := d.cfg.Store.Lock(ctx, tx, d.cfg.Institution, a.row.ID)
	if err != nil {
		return err
	}
	hold, err := d.cfg.Store.OpenHold(ctx, tx, d.cfg.Institution, a.row.ID)
	switch {
	case err != nil:
		return err
	case row.Revision != a.row.Revision || row.Generation != a.row.Generation:
		return store.ErrStale
	case held(row) || hold != "" || d.retained(row, groups):
		return errKept
	}
	return nil
}

// forgetNotes takes away what opens the record's commitments, and the sealed
// reasons of its grants and emergency accesses. No key opens them any more; but
// with its salt a short reason behind a commitment could be found by trying.
func (s *shredding) forgetNotes(ctx context.Context) error {
	openings, err := s.cfg.Log.OpeningsOf(ctx, s.tx, subjectOf(s.next.ID))
	if err != nil {
		return err
	}
	for _, o := range openings {
		if _, err := s.cfg.Log.EraseOpenings(ctx, s.tx, o.EntryID); err != nil {
			return err
		}
	}
	reasons, err := s.cfg.Store.Reasons(ctx, s.tx, s.cfg.Institution, s.next.ID)
	if err != nil || len(reasons) == 0 {
		return err
	}
	for i := range reasons {
		reasons[i].Sealed = []byte{}
	}
	return s.cfg.Store.SetReasons(ctx, s.tx, s.cfg.Institution, reasons)
}

// destroyKeys destroys the record's key and its files' keys and returns what is
// left of the first.
func (s *shredding) destroyKeys(ctx context.Context) (store.DestroyedKey, error) {
	key := store.KeyRef{Kind: store.KeyOfRecord, Complaint: s.next.ID, Generation: int(s.a.row.Generation)}
	files, err := s.cfg.Store.FileKeys(ctx, s.tx, s.cfg.Institution, s.next.ID)
	if err != nil {
		return store.DestroyedKey{}, err
	}
	for _, k := range slices.Concat([]store.KeyRef{key}, files) {
		was, err := s.cfg.Store.DestroyKey(ctx, s.tx, s.cfg.Institution, k, store.DestroyedByShred, s.a.at)
		if err != nil {
			return store.DestroyedKey{}, err
		}
		if !was {
			return store.DestroyedKey{}, store.ErrStale
		}
	}
	gone, err := s.cfg.Store.Destroyed(ctx, s.tx, s.cfg.Institution, key)
	if err == nil && !sameKey(gone, s.a.key) {
		err = store.ErrStale // rewrapped meanwhile
	}
	return gone, err
}

// everyIndexed are all fields that have a blind index.
func everyIndexed() []string {
	var names []string
	for _, f := range complaint.IndexedFields() {
		names = append(names, f.Name)
	}
	return names
}

// erasedBefore settles a record that another erasure has erased: the receipt
// names the entry of that one. Somebody may have settled it meanwhile by
// approving at the same time.
func (d *Door) erasedBefore(ctx context.Context, e *store.Erasure, i *store.ErasureItem) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err := d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error { return d.cfg.Store.CopyItem(ctx, tx, i) })
	if !errors.Is(err, store.ErrStale) {
		return storeError(err)
	}
	items, err := d.cfg.Store.Items(ctx, d.cfg.Institution, e.ID)
	if err != nil {
		return storeError(err)
	}
	if slices.ContainsFunc(items, func(now *store.ErasureItem) bool { return now.Complaint == i.Complaint && now.Result != "pending" }) {
		return nil
	}
	return ErrStale
}
