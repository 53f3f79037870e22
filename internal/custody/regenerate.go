package custody

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Why a record was given a new data key, as record.resealed says it.
const (
	becauseSuite     = "suite"     // the institution chose another suite
	becauseRetention = "retention" // groups of fields were erased
)

// regen says what becomes of a record under a new data key.
type regen struct {
	suite uint8  // of every envelope; 0 leaves it
	why   string // becauseSuite, becauseRetention
	// values are sealed anew; nil empties a field. drop lists fields that are not
	// carried over: they end with the old key.
	values sealing
	drop   []string
	tokens tokens // of values
	// minted is the new key if a page has asked for it already; nil: not yet.
	minted *keyring.MintResult
	// events are those of the change that this is part of. They come before
	// record.resealed, in the same transaction, at next's revision. old is what is
	// left of the key that was destroyed.
	events func(next *store.Complaint, old store.DestroyedKey) []audit.Body
	// within is what else belongs to the transaction; nil: nothing.
	within func(ctx context.Context, tx pgx.Tx, old store.DestroyedKey) error
}

// regenerate gives a record a new generation of its data key and seals every
// field that it keeps under it, without anybody seeing a value. next is the row
// as it shall be, but for what is sealed; it is completed here. In one
// transaction the row is locked and compared, the new wrapped key stands beside
// it, the old one is destroyed and the events say so: all of it or nothing.
//
// The error wraps ErrStale if the record was changed meanwhile. Then, and after
// any other error but errUnknown, the record is what it was.
func (d *Door) regenerate(ctx context.Context, a *asked, receipt pglog.Receipt, o *opened, next *store.Complaint, r regen) (pglog.Pending, error) {
	if r.suite == 0 {
		r.suite = max(a.row.Suite, field.Suite1)
	}
	next.Revision, next.Generation, next.Suite = a.row.Revision+1, a.row.Generation+1, r.suite
	// 1 a new key. crash here: a wrapped key that nobody stored, and that no row
	// refers to; nothing to repair.
	minted := r.minted
	if minted == nil {
		minted = &d.mintBatch(ctx, []keyring.MintRequest{{ID: keyID(next), Reference: reference(receipt)}})[0]
	}
	if minted.Err != nil {
		return pglog.Pending{}, minted.Err
	}
	lease, wrapped := minted.Lease, minted.Wrapped
	defer lease.Release()
	// 2 every field from the old key to the new one, in memory
	sealer, err := field.NewSealer(lease.Key())
	if err != nil {
		return pglog.Pending{}, err
	}
	defer sealer.Close()
	n := &renewal{regen: r, a: a, o: o, sealer: sealer, next: next,
		key: store.Wrapped{Blob: wrapped.Blob, Commitment: wrapped.Commitment[:], Version: wrapped.KeyVersion}}
	if err := n.carry(); err != nil {
		d.cfg.Keys.Void(keyID(next))
		return pglog.Pending{}, err
	}
	// 3 one transaction. crash before its commit: as if nothing had been; after
	// it: everything is there, and only the old key's lease is left, which ends
	// with the process or by its age.
	pending, err := d.succeed(ctx, n)
	if err != nil {
		d.cfg.Keys.Void(keyID(next))
		return pglog.Pending{}, err
	}
	// 4 the old key is lent no more
	d.cfg.Keys.Void(keyID(a.row))
	return pending, nil
}

// renewal is a regeneration under way.
type renewal struct {
	regen
	a      *asked
	o      *opened       // under the old key
	sealer *field.Sealer // of the new one
	next   *store.Complaint
	key    store.Wrapped // the new one
}

// carry seals what next keeps of the row under the new key, seals the new values
// and signs the whole. Nothing is carried that the verified manifest does not
// list.
func (n *renewal) carry() error {
	o, sealer, was, next := n.o, n.sealer, n.a.row, n.next
	values := n.all()
	next.Sealed = make([][]byte, len(store.SealedFields))
	setTokens(next, values, n.tokens.all)
	var digests []field.FieldDigest
	for digest := range o.manifest.Fields() {
		if _, replaced := values[digest.Path]; replaced {
			continue
		}
		envelope, ok := was.Field(digest.Path)
		if !ok {
			return &field.IntegrityError{Path: digest.Path, What: "manifest.missing"}
		}
		if err := o.manifest.Check(digest.Path, envelope); err != nil {
			return err
		}
		to := place(next, digest.Path, next.Revision)
		sealed, err := field.Reseal(o.opener, place(was, digest.Path, digest.Revision), envelope, sealer, to)
		if err != nil {
			return err
		}
		next.Sealed[store.SealedIndex(digest.Path)] = sealed
		digests = append(digests, field.DigestOf(to, sealed))
	}
	added, err := seal(sealer, next, values)
	if err != nil {
		return err
	}
	input := manifestInput(next)
	input.Fields = append(digests, added...)
	next.Manifest, err = sealer.Manifest(input)
	return err
}

// all is what is not carried over: replaced values and dropped fields.
func (r *regen) all() sealing {
	values := sealing{}
	for name, value := range r.values {
		values[name] = value
	}
	for _, name := range r.drop {
		values[name] = nil
	}
	return values
}

// succeed writes the new generation in place of the old one.
func (d *Door) succeed(ctx context.Context, n *renewal) (pglog.Pending, error) {
	ctx, done := d.stage(ctx, stageCommit)
	var pending []pglog.Pending
	committing := false
	err := d.cfg.Store.Tx(ctx, func(tx pgx.Tx) (err error) {
		pending, err = d.replace(ctx, tx, n)
		committing = err == nil
		return err
	})
	done(err)
	if err == nil {
		return pending[0], nil
	}
	if err = txError(err); committing {
		err = fmt.Errorf("%w: %w", err, errUnknown) // the answer to the commit was lost
	}
	return pglog.Pending{}, err
}

// replace is the transaction of succeed.
func (d *Door) replace(ctx context.Context, tx pgx.Tx, n *renewal) ([]pglog.Pending, error) {
	// Locks the row: whoever seals a text under the old key waits, and then sees
	// that it is gone (holdKey).
	if err := d.cfg.Store.Update(ctx, tx, n.next, n.a.row.Revision, n.all().indexed(), n.tokens.searched); err != nil {
		return nil, err
	}
	if err := d.carryTexts(ctx, tx, n); err != nil {
		return nil, err
	}
	if err := d.cfg.Store.InsertKey(ctx, tx, n.next, n.key); err != nil {
		return nil, err
	}
	old, err := d.destroyKey(ctx, tx, n.a)
	if err != nil {
		return nil, err
	}
	if n.within != nil {
		if err := n.within(ctx, tx, old); err != nil {
			return nil, err
		}
	}
	events := n.succession(old)
	for i := range events {
		if err := complaint.CheckFacts(events[i].Kind, events[i].Facts); err != nil {
			return nil, err
		}
	}
	return d.cfg.Log.AppendTx(ctx, tx, events...)
}

// destroyKey deletes the old wrapped key and returns what is left of it. One
// that is not there was taken away by somebody else meanwhile.
func (d *Door) destroyKey(ctx context.Context, tx pgx.Tx, a *asked) (store.DestroyedKey, error) {
	old := store.KeyRef{Kind: store.KeyOfRecord, Complaint: a.row.ID, Generation: int(a.row.Generation)}
	there, err := d.cfg.Store.DestroyKey(ctx, tx, d.cfg.Institution, old, store.DestroyedByGeneration, a.at)
	if err == nil && !there {
		err = store.ErrStale
	}
	if err != nil {
		return store.DestroyedKey{}, err
	}
	return d.cfg.Store.Destroyed(ctx, tx, d.cfg.Institution, old)
}

// succession are the events of a new generation: those of the change that it is
// part of, if any, and record.resealed.
func (n *renewal) succession(old store.DestroyedKey) []audit.Body {
	facts := resealFacts(n.a.row, n.regen)
	facts["old_key_version"], facts["old_wrapped_sha256"] = old.Version, hex.EncodeToString(old.WrappedSHA256)
	var events []audit.Body
	if n.events != nil {
		events = n.events(n.next, old)
	}
	return append(events, n.a.event("record.resealed", n.next, facts))
}

func resealFacts(was *store.Complaint, r regen) audit.Facts {
	return audit.Facts{"suite_from": int(max(was.Suite, field.Suite1)), "suite_to": int(r.suite), "generation_from": int(was.Generation),
		"generation_to": int(was.Generation) + 1, "why": r.why}
}

// carryTexts seals what else stands under the record's key anew: the reasons of
// reveals, which the log commits to, and those of grants and emergency
// accesses. It runs in the transaction that holds the row, so that none is
// missed.
func (d *Door) carryTexts(ctx context.Context, tx pgx.Tx, n *renewal) error {
	next := n.next
	openings, err := d.cfg.Log.OpeningsOf(ctx, tx, subjectOf(next.ID))
	if err != nil {
		return err
	}
	openings = slices.DeleteFunc(openings, func(o pglog.Opening) bool { return len(o.ValueSealed) == 0 })
	for i := range openings {
		text := &openings[i]
		text.ValueSealed, err = n.carryText(text.Path, text.ValueSealed)
		if err != nil {
			return err
		}
	}
	if len(openings) > 0 {
		if err := d.cfg.Log.ReplaceOpenings(ctx, tx, openings...); err != nil {
			return err
		}
	}
	reasons, err := d.cfg.Store.Reasons(ctx, tx, next.Institution, next.ID)
	if err != nil {
		return err
	}
	reasons = slices.DeleteFunc(reasons, func(r store.Reason) bool { return len(r.Sealed) == 0 })
	if len(reasons) == 0 {
		return nil
	}
	for i := range reasons {
		path := "breakglass_reason"
		if reasons[i].Grant {
			path = "grant_reason"
		}
		reasons[i].Sealed, err = n.carryText(path, reasons[i].Sealed)
		if err != nil {
			return err
		}
	}
	return d.cfg.Store.SetReasons(ctx, tx, next.Institution, reasons)
}

// revisionAt is where an envelope names the entry that a text belongs to
// (crypto/FORMAT.md). What is read there is only believed once it opens.
const revisionAt = 12

// A text that does not open is a finding: its name is no field's.
func (n *renewal) carryText(path string, sealed []byte) ([]byte, error) {
	if len(sealed) < field.Overhead {
		return nil, &field.IntegrityError{What: "text." + path}
	}
	entry := entryOf(sealed)
	renewed, err := field.Reseal(n.o.opener, notePlace(n.o.row, path, entry), sealed, n.sealer, notePlace(n.next, path, entry))
	if errors.Is(err, field.ErrIntegrity) {
		return nil, &field.IntegrityError{What: "text." + path}
	}
	return renewed, err
}

// entryOf is the entry that the sealed text claims to belong to.
func entryOf(sealed []byte) uint64 { return binary.BigEndian.Uint64(sealed[revisionAt:]) }
