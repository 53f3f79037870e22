package custody

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/receipt"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Proofs proves entries from the published log.
type Proofs interface {
	// Prove returns the path of a leaf at index of a year's log to the newest
	// published checkpoint. ErrUnpublished if that does not hold the leaf yet.
	Prove(ctx context.Context, year int, index uint64, leaf [32]byte) (*LogProof, error)
}

// LogProof leads from a leaf to a signed checkpoint.
type LogProof struct {
	Origin     string
	Path       [][]byte
	Checkpoint []byte // signed note
}

// ErrUnpublished says that no published checkpoint holds the entry yet.
var ErrUnpublished = errors.New("the entry is not published yet")

// ErasureReceipt is the receipt of an executed erasure: what became of each
// record that the caller may see the trail of, proved by entries of the log.
func (d *Door) ErasureReceipt(ctx context.Context, c Caller, id, purpose string) (*receipt.Receipt, AuditRef, error) {
	ctx, cancel := context.WithTimeout(ctx, batchDeadline)
	defer cancel()
	if d.cfg.Proofs == nil {
		return nil, AuditRef{}, errors.New("making a receipt: no published log is configured")
	}
	e, err := d.showErasure(ctx, c, id, purpose)
	if err != nil {
		return nil, AuditRef{}, err
	}
	if e.State != store.ErasureExecuted {
		return nil, AuditRef{}, &ConflictError{Code: "state_conflict", State: e.State}
	}
	r := &receipt.Receipt{Format: receipt.Format, Institution: d.cfg.Institution, Erasure: e.ID}
	for _, i := range e.Items {
		item := receipt.Item{Complaint: i.Complaint, Result: i.Result}
		if item.Stage1, item.Erasure, err = d.proof(ctx, i.Entry); err == nil && i.FinalEntry != 0 {
			item.Stage2, _, err = d.proof(ctx, i.FinalEntry)
		}
		if errors.Is(err, ErrUnpublished) {
			return nil, AuditRef{}, &ConflictError{Code: "receipt_pending", State: e.State}
		}
		if err != nil {
			return nil, AuditRef{}, err
		}
		if item.Erasure == e.ID {
			item.Erasure = ""
		}
		r.Items = append(r.Items, item)
	}
	return r, e.Audit, nil
}

// proof gathers one entry byte for byte with its path, and which erasure it is
// about.
func (d *Door) proof(ctx context.Context, entry uint64) (*receipt.Proof, string, error) {
	state, err := d.cfg.Log.Entry(ctx, entry)
	if err != nil {
		return nil, "", logError(err)
	}
	if state.State != pglog.StateSequenced {
		return nil, "", ErrUnpublished
	}
	p, err := d.cfg.Proofs.Prove(ctx, state.Year, state.Index, state.LeafHash)
	if err != nil {
		return nil, "", err
	}
	leaf := audit.AssembleLeaf(state.Body, audit.Position{ID: state.ID, Index: state.Index, Log: p.Origin, SeqAt: state.SeqAt,
		TrailN: state.TrailN, TrailPrev: state.TrailPrev})
	if audit.LeafHash(leaf) != state.LeafHash {
		return nil, "", fmt.Errorf("%w: entry %d of the log", ErrIntegrity, entry)
	}
	b, err := audit.ParseBody(state.Body)
	if err != nil {
		return nil, "", fmt.Errorf("%w: entry %d of the log", ErrIntegrity, entry)
	}
	erasure, _ := b.Facts.Text("erasure")
	return &receipt.Proof{Entry: entry, Index: state.Index, Leaf: leaf, Path: p.Path, Checkpoint: string(p.Checkpoint)}, erasure, nil
}

// markPage is how many erased records one transaction marks at most.
const markPage = 200

// Epoch is a closed epoch of the master key, as its entry says.
type Epoch struct {
	Key string // full name, e.g. demo-bank-record
	// MinAvailable is the oldest version that Vault still has, read back from it.
	MinAvailable int
	Entry        uint64 // of key.epoch_closed
	// SnapshotsBefore: the operator declared Vault snapshots and key backups from
	// before this time destroyed. Zero: she declared nothing.
	SnapshotsBefore time.Time
}

// MarkIrrecoverable is the second stage of every erasure whose data key was
// wrapped under a version that Vault has given up: one entry for each record. It
// returns how many it marked; run again it marks what was missed.
//
// crash here: between two pages, the rest is marked by the next run.
func (d *Door) MarkIrrecoverable(ctx context.Context, e Epoch) (int, error) {
	if e.Key != d.recordKey() || e.MinAvailable < 2 || e.Entry == 0 {
		return 0, nil
	}
	marked := 0
	for {
		items, err := d.cfg.Store.Recoverable(ctx, d.cfg.Institution, e.MinAvailable, markPage)
		if err != nil {
			return marked, storeError(err)
		}
		var broken error // an item that the log does not bear out hinders no other
		for _, i := range items {
			switch err := d.markOne(ctx, e, i); {
			case errors.Is(err, ErrIntegrity):
				broken = err
			case err != nil && !errors.Is(err, ErrStale):
				return marked, err
			default:
				marked++
			}
		}
		if broken != nil || len(items) < markPage {
			return marked, broken
		}
	}
}

func (d *Door) markOne(ctx context.Context, e Epoch, i *store.ErasureItem) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	erasure, version, err := d.erasureBehind(ctx, i)
	if err != nil {
		return err
	}
	facts := audit.Facts{"erasure": erasure, "key": e.Key, "key_version": version, "min_available": e.MinAvailable, "epoch_entry": int(e.Entry)}
	if !e.SnapshotsBefore.IsZero() {
		facts["snapshots_destroyed_before"] = stamp(e.SnapshotsBefore)
	}
	body, err := d.serviceEvent(ctx, "erasure.irrecoverable", subjectOf(i.Complaint), facts)
	if err != nil {
		return err
	}
	if err := complaint.CheckFacts(body.Kind, body.Facts); err != nil {
		return err
	}
	return txError(d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		pending, err := d.cfg.Log.AppendTx(ctx, tx, body)
		if err != nil {
			return err
		}
		return d.cfg.Store.MarkIrrecoverable(ctx, tx, i, int64(pending[0].EntryID()), body.At)
	}))
}

// erasureBehind is the erasure that a record's first stage is about (an earlier
// one, where that had erased the record already) and the version under which the
// destroyed key was wrapped, both as its entry says. ErrIntegrity if the row says
// something else: then nothing may be called irrecoverable by it.
func (d *Door) erasureBehind(ctx context.Context, i *store.ErasureItem) (erasure string, version int, err error) {
	var b audit.Body
	if i.SettledEntry != nil {
		state, err := d.cfg.Log.Entry(ctx, uint64(*i.SettledEntry))
		if err != nil && !errors.Is(err, pglog.ErrNotFound) {
			return "", 0, logError(err)
		}
		if err == nil {
			if b, err = audit.ParseBody(state.Body); err != nil {
				return "", 0, fmt.Errorf("%w: entry %d of the log", ErrIntegrity, state.ID)
			}
		}
	}
	erasure, _ = b.Facts.Text("erasure")
	n, _ := b.Facts.Int("key_version")
	if b.Stage == audit.StageEvent && (b.Kind == "erasure.shredded" || b.Kind == "erasure.reduced") && b.Subject == subjectOf(i.Complaint) && int(n) == *i.KeyVersion {
		return erasure, int(n), nil
	}
	finding, err := d.serviceEvent(ctx, "access.integrity", subjectOf(i.Complaint), audit.Facts{"what": "erasure.unlogged", "table": "sealtrail.erasure_item"})
	if err != nil {
		return "", 0, err
	}
	if _, err := d.record(ctx, finding); err != nil {
		return "", 0, err
	}
	return "", 0, fmt.Errorf("%w: %s", ErrIntegrity, "erasure.unlogged")
}

// MarkMissed marks what the closing of an epoch should have marked, by what the
// log says of closed epochs. The service calls it every minute.
func (d *Door) MarkMissed(ctx context.Context) error {
	said, err := d.KeyMemory(ctx, d.recordKey())
	if err != nil {
		return err
	}
	last := Epoch{Key: d.recordKey()}
	for _, e := range said.Epochs {
		if e.Closed && e.MinAvailable > last.MinAvailable {
			last.MinAvailable, last.Entry, last.SnapshotsBefore = e.MinAvailable, e.ClosedEntry, e.SnapshotsDestroyedBefore
		}
	}
	marked, err := d.MarkIrrecoverable(ctx, last)
	if marked > 0 {
		d.cfg.Logger.InfoContext(ctx, "erased records are irrecoverable now", slog.Int("count", marked))
	}
	return err
}
