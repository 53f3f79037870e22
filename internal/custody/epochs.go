package custody

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// epochDelay is how long a confirmed closing waits: time to notice it and to
// test that the new snapshot restores. crypto.md, rotation: default 7 days. An
// institution sets another one as requirement "epoch_delay" (a Go duration);
// the entry says what it came to.
const epochDelay = 7 * 24 * time.Hour

// EpochRequest names the closing of everything below a version of the record key.
type EpochRequest struct {
	Purpose string
	Version int
}

// KeyEpoch is the closing of a master key's epoch: everything below the version is
// given up for ever.
type KeyEpoch struct {
	Key          string    `json:"key"`
	Version      int       `json:"version" doc:"The oldest version that stays"`
	State        string    `json:"state" enum:"proposed,confirmed,closed,withdrawn"`
	ProposedBy   string    `json:"proposed_by"`
	ProposedAt   time.Time `json:"proposed_at"`
	ConfirmedBy  string    `json:"confirmed_by,omitempty"`
	NotBefore    time.Time `json:"not_before,omitzero" doc:"It may be closed from then on"`
	ClosedAt     time.Time `json:"closed_at,omitzero"`
	MinAvailable int       `json:"min_available,omitempty" doc:"As read back from Vault after closing"`
	Audit        AuditRef  `json:"audit"`
}

// ProposeEpoch is the first custodian's act. It is refused while any key is
// older, since closing would make that one unreadable.
func (d *Door) ProposeEpoch(ctx context.Context, c Caller, r EpochRequest) (*KeyEpoch, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, err := d.ask(ctx, c, question{action: "keys", purpose: r.Purpose})
	if err != nil {
		return nil, err
	}
	info, err := d.closable(ctx, r.Version)
	if err != nil {
		return nil, err
	}
	row := store.Epoch{Institution: d.cfg.Institution, Key: info.Name, Version: r.Version, State: store.EpochProposed, ProposedBy: c.Person, ProposedAt: a.at}
	event := a.about("key.epoch_proposed", keySubject(info.Name), audit.Facts{"key": info.Name, "version": r.Version})
	ref, err := d.changeRegister(ctx, event, func(tx pgx.Tx) error { return d.cfg.Store.ProposeEpoch(ctx, tx, row) })
	if errors.Is(err, store.ErrDuplicate) {
		return nil, &ConflictError{Code: "already_decided", State: "proposed"}
	}
	if err != nil {
		return nil, err
	}
	view := epochView(&row)
	view.Audit = ref
	return view, nil
}

// closable checks that everything below version of the record key can be given
// up: the version exists, and no key is older.
func (d *Door) closable(ctx context.Context, version int) (transit.KeyInfo, error) {
	info, err := d.cfg.Master.KeyInfo(ctx, "record")
	if err != nil {
		return info, keyError(err)
	}
	if version < 2 || version > info.LatestVersion {
		return info, invalid("/version", "out_of_range")
	}
	return info, d.noneOlder(ctx, version)
}

func (d *Door) noneOlder(ctx context.Context, version int) error {
	older, err := d.cfg.Store.CountOlder(ctx, d.cfg.Institution, version)
	if err != nil {
		return storeError(err)
	}
	// A column that somebody wrote must not hide an older key from a closing.
	mislabelled, err := d.cfg.Store.CountMislabelled(ctx, d.cfg.Institution)
	if err != nil {
		return storeError(err)
	}
	if mislabelled > 0 {
		return &ConflictError{Code: "keys_older", State: strconv.FormatInt(mislabelled, 10) + " keys are not of the version that stands beside them: sealtraild scrub"}
	}
	if older > 0 {
		return &ConflictError{Code: "keys_older", State: strconv.FormatInt(older, 10) + " keys older than version " + strconv.Itoa(version), Allowed: []string{"rewrap"}}
	}
	return nil
}

// ConfirmEpoch is the second custodian's act; nobody confirms what she proposed.
func (d *Door) ConfirmEpoch(ctx context.Context, c Caller, r EpochRequest) (*KeyEpoch, error) {
	delay, err := d.delay(ctx)
	if err != nil {
		return nil, err
	}
	return d.settleEpoch(ctx, c, r, func(a *asked, e *store.Epoch) (string, audit.Facts, error) {
		switch {
		case e.State != store.EpochProposed:
			return "", nil, &ConflictError{Code: "already_decided", State: e.State}
		case e.ProposedBy == c.Person:
			return "", nil, &ConflictError{Code: "self_approval", State: e.State}
		}
		notBefore := a.at.Add(delay)
		e.State, e.ConfirmedBy, e.ConfirmedAt, e.NotBefore = store.EpochConfirmed, &c.Person, &a.at, &notBefore
		return "key.epoch_confirmed", audit.Facts{"not_before": stamp(notBefore)}, nil
	})
}

// WithdrawEpoch takes a closing back that was not carried out. Any custodian may.
func (d *Door) WithdrawEpoch(ctx context.Context, c Caller, r EpochRequest) (*KeyEpoch, error) {
	return d.settleEpoch(ctx, c, r, func(_ *asked, e *store.Epoch) (string, audit.Facts, error) {
		if e.State != store.EpochProposed && e.State != store.EpochConfirmed {
			return "", nil, &ConflictError{Code: "already_decided", State: e.State}
		}
		e.State = store.EpochWithdrawn
		return "key.epoch_withdrawn", audit.Facts{}, nil
	})
}

func (d *Door) delay(ctx context.Context) (time.Duration, error) {
	own, err := d.cfg.Store.Requirements(ctx, d.cfg.Institution)
	if err != nil {
		return 0, storeError(err)
	}
	text, ok := own["epoch_delay"]
	if !ok {
		return epochDelay, nil
	}
	delay, err := time.ParseDuration(text)
	if err != nil || delay < 0 {
		return 0, errors.New("reading the requirement epoch_delay: want a duration such as 168h")
	}
	return delay, nil
}

type settleEpoch func(*asked, *store.Epoch) (kind string, facts audit.Facts, err error)

func (d *Door) settleEpoch(ctx context.Context, c Caller, r EpochRequest, settle settleEpoch) (*KeyEpoch, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, err := d.ask(ctx, c, question{action: "keys", purpose: r.Purpose})
	if err != nil {
		return nil, err
	}
	key := d.recordKey()
	var e *store.Epoch
	var pending []pglog.Pending
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		if e, err = d.cfg.Store.LockEpoch(ctx, tx, d.cfg.Institution, key, r.Version); err != nil {
			return err
		}
		kind, facts, err := settle(a, e)
		if err != nil {
			return err
		}
		facts["key"], facts["version"] = key, r.Version
		event := a.about(kind, keySubject(key), facts)
		if err := complaint.CheckFacts(kind, facts); err != nil {
			return err
		}
		if err := d.cfg.Store.SetEpoch(ctx, tx, e); err != nil {
			return err
		}
		pending, err = d.cfg.Log.AppendTx(ctx, tx, event)
		return err
	})
	if err != nil {
		return nil, txError(err)
	}
	view := epochView(e)
	view.Audit = auditRef(pending[0])
	return view, nil
}

// recordKey is the name of the institution's record key in Vault.
func (d *Door) recordKey() string { return d.cfg.Institution + "-record" }

func epochView(e *store.Epoch) *KeyEpoch {
	v := &KeyEpoch{Key: e.Key, Version: e.Version, State: e.State, ProposedBy: e.ProposedBy, ProposedAt: e.ProposedAt.UTC()}
	if e.ConfirmedBy != nil {
		v.ConfirmedBy = *e.ConfirmedBy
	}
	if e.NotBefore != nil {
		v.NotBefore = e.NotBefore.UTC()
	}
	if e.ClosedAt != nil {
		v.ClosedAt = e.ClosedAt.UTC()
	}
	if e.MinAvailable != nil {
		v.MinAvailable = *e.MinAvailable
	}
	return v
}

// Closing is an epoch that may be closed now, or was.
type Closing struct {
	Key     string
	Version int
	Info    transit.KeyInfo // as Vault says it now
	Done    bool            // the entry is written
	// Irrecoverable is how many erased records were marked as such.
	Irrecoverable int
	entry         uint64
	minimum       int
	before        time.Time
}

// Closing asks whether everything below a version may be given up now. What two
// custodians did is read from the log, not from the table: rows prove nothing.
// The error is a *ConflictError that says what is missing, or how many keys are
// older. A closing that was carried out is answered with Done.
func (d *Door) Closing(ctx context.Context, version int) (*Closing, error) {
	ctx, cancel := context.WithTimeout(ctx, rewrapDeadline)
	defer cancel()
	said, err := d.KeyMemory(ctx, d.recordKey())
	if err != nil {
		return nil, err
	}
	info, err := d.cfg.Master.KeyInfo(ctx, "record")
	if err != nil {
		return nil, keyError(err)
	}
	c := &Closing{Key: info.Name, Version: version, Info: info}
	if e := said.Epochs[version]; e != nil && e.Closed {
		c.Done, c.entry, c.minimum, c.before = true, e.ClosedEntry, e.MinAvailable, e.SnapshotsDestroyedBefore
		return c, nil
	}
	if err := d.mayClose(ctx, said.Epochs[version]); err != nil {
		return nil, err
	}
	return c, d.noneOlder(ctx, version)
}

// Epoch is the closed epoch, as its entry says; only once Done.
func (c *Closing) Epoch() Epoch {
	return Epoch{Key: c.Key, MinAvailable: c.minimum, Entry: c.entry, SnapshotsBefore: c.before}
}

func (d *Door) mayClose(ctx context.Context, e *EpochMemory) error {
	if !e.Confirmed() {
		return &ConflictError{Code: "epoch_unconfirmed", State: "not confirmed by two custodians", Allowed: []string{"propose", "confirm"}}
	}
	// Aliases change with the year: two of them may be one person.
	first, err := d.nameOf(ctx, e.ProposedBy)
	if err != nil {
		return err
	}
	second, err := d.nameOf(ctx, e.ConfirmedBy)
	if err != nil {
		return err
	}
	if first == second {
		return &ConflictError{Code: "epoch_unconfirmed", State: "proposed and confirmed by one person"}
	}
	if d.now().Before(e.NotBefore) {
		return &ConflictError{Code: "epoch_too_early", State: "not before " + stamp(e.NotBefore)}
	}
	return nil
}

// Declared is what a custodian declares at closing; the entry keeps it.
type Declared struct {
	// RestoreTested is the SHA-256 (hex) of the protocol of a restore test of the
	// new Vault snapshot. Required.
	RestoreTested string
	// SnapshotsDestroyedBefore: Vault snapshots and key backups older than this
	// are destroyed. Zero: nothing is declared.
	SnapshotsDestroyedBefore time.Time
}

// FinishClosing reads back from Vault that the older versions are gone, writes
// the entry and marks the closing as done. Running it again changes nothing.
//
// crash here: before the commit Vault has given the versions up and no entry
// says so; running the command again ends in the same state.
func (d *Door) FinishClosing(ctx context.Context, c *Closing, said Declared) (AuditRef, error) {
	ctx, cancel := context.WithTimeout(ctx, rewrapDeadline)
	defer cancel()
	info, err := d.cfg.Master.KeyInfo(ctx, "record")
	if err != nil {
		return AuditRef{}, keyError(err)
	}
	if info.MinAvailableVersion < c.Version || info.MinDecryptionVersion < c.Version {
		return AuditRef{}, fmt.Errorf("closing the epoch of %s: Vault still has versions below %d (min_available_version %d, min_decryption_version %d)",
			c.Key, c.Version, info.MinAvailableVersion, info.MinDecryptionVersion)
	}
	facts := audit.Facts{"version": c.Version, "min_decryption": info.MinDecryptionVersion, "min_available": info.MinAvailableVersion, "restore_tested": said.RestoreTested}
	if !said.SnapshotsDestroyedBefore.IsZero() {
		facts["snapshots_destroyed_before"] = stamp(said.SnapshotsDestroyedBefore)
	}
	event, err := d.keyEvent(ctx, c.Key, "key.epoch_closed", facts)
	if err != nil {
		return AuditRef{}, err
	}
	var pending []pglog.Pending
	err = d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		e, err := d.cfg.Store.LockEpoch(ctx, tx, d.cfg.Institution, c.Key, c.Version)
		if err != nil {
			return err
		}
		if e.State == store.EpochClosed {
			return &ConflictError{Code: "already_decided", State: e.State}
		}
		if pending, err = d.cfg.Log.AppendTx(ctx, tx, event); err != nil {
			return err
		}
		at, entry, available := event.At, int64(pending[0].EntryID()), info.MinAvailableVersion
		e.State, e.ClosedAt, e.ClosedEntry, e.MinAvailable = store.EpochClosed, &at, &entry, &available
		return d.cfg.Store.SetEpoch(ctx, tx, e)
	})
	if err != nil {
		return AuditRef{}, txError(err)
	}
	c.Done, c.entry, c.minimum, c.before = true, pending[0].EntryID(), info.MinAvailableVersion, said.SnapshotsDestroyedBefore
	return auditRef(pending[0]), nil
}
