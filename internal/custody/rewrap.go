package custody

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Master is what the door asks of whoever holds the master keys, beside
// wrapping: to bring a wrapped key to the newest version without showing it, and
// to say how keys and audit device are configured. *transit.Transit is one.
type Master interface {
	Rewrap(ctx context.Context, batch string, items []transit.RewrapItem) ([]transit.RewrapResult, error)
	KeyInfo(ctx context.Context, suffix string) (transit.KeyInfo, error)
	AuditDevice(ctx context.Context, name string) (fingerprint string, err error)
}

const (
	// RewrapBatch is how many keys one call to Vault carries: where its batch
	// rate stops growing (crypto.md, measured), and still a few milliseconds, so
	// that those who read meanwhile do not wait long behind it.
	RewrapBatch = 256
	// rewrapDeadline bounds one call to Vault and one write of a batch.
	rewrapDeadline = 10 * time.Second
	// rewrapStale is after how long without a word another process takes a
	// rewrap over.
	rewrapStale = 15 * time.Second
	// rewrapJob is the job's name in jobs.progress.
	rewrapJob = "rewrap"
)

// ErrBusy says that another process does this work now.
var ErrBusy = errors.New("another process is at work")

// Rewrapping is a run of the job that brings every wrapped key to the newest
// version of the record key. One goroutine may read ahead (ReadRewrap) while
// another one writes (WriteRewrap).
type Rewrapping struct {
	Key     string // name in Vault
	Run     string
	Version int // towards which
	Total   int64
	Started time.Time
	Batch   int // keys per call to Vault: 1 to RewrapBatch

	job  *store.Job
	read store.KeyRef          // place up to which keys were read
	page []store.WrappedKey    // read, and not yet sent to Vault
	bad  map[store.KeyRef]bool // keys that no attempt could rewrap, of this process
}

// Done is how many keys this run has written, by every process that worked at it.
func (r *Rewrapping) Done() int64 { return r.job.Done }

// Failed is how many keys this process could not rewrap.
func (r *Rewrapping) Failed() int64 { return int64(len(r.bad)) }

// Rewrapped is a batch as Vault answered it, not yet written.
type Rewrapped struct {
	keys []store.Rewrapped
	bad  []badKey
	next store.KeyRef
}

// Len is how many keys the batch holds, those that failed included.
func (b *Rewrapped) Len() int { return len(b.keys) + len(b.bad) }

// Join adds the batch that was read next, so that one transaction writes both.
func (b *Rewrapped) Join(next *Rewrapped) {
	b.keys, b.bad, b.next = append(b.keys, next.keys...), append(b.bad, next.bad...), next.next
}

type badKey struct {
	ref  store.KeyRef
	what string
	name bool // an entry names the record
}

// BeginRewrap starts a run towards the newest version, or goes on with one that
// was left. holder names this process. ErrBusy: another one works at it.
func (d *Door) BeginRewrap(ctx context.Context, holder string) (*Rewrapping, error) {
	ctx, cancel := context.WithTimeout(ctx, rewrapDeadline)
	defer cancel()
	info, err := d.cfg.Master.KeyInfo(ctx, "record")
	if err != nil {
		return nil, keyError(err)
	}
	older, err := d.cfg.Store.CountOlder(ctx, d.cfg.Institution, info.LatestVersion)
	if err != nil {
		return nil, storeError(err)
	}
	job, err := d.cfg.Store.ClaimJob(ctx, store.Job{Institution: d.cfg.Institution, Name: rewrapJob, Run: newUUID(), Holder: holder,
		Target: strconv.Itoa(info.LatestVersion), Total: older}, rewrapStale)
	if errors.Is(err, store.ErrStale) {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, storeError(err)
	}
	place, err := store.ParseKeyRef(job.Cursor)
	if err != nil {
		place = store.KeyRef{} // whatever is there: from the start is right too
	}
	job.Total = job.Done + older
	return &Rewrapping{Key: info.Name, Run: job.Run, Version: info.LatestVersion, Total: job.Total, Started: job.StartedAt, Batch: RewrapBatch,
		job: job, read: place, bad: map[store.KeyRef]bool{}}, nil
}

// ReadRewrap reads the next keys that are older, at most r.Batch, and has Vault
// rewrap them in one call. Nil
// means that none are left after the place that was reached. It changes nothing:
// a crash after it leaves every key as it was.
func (d *Door) ReadRewrap(ctx context.Context, r *Rewrapping) (*Rewrapped, error) {
	ctx, cancel := context.WithTimeout(ctx, rewrapDeadline)
	defer cancel()
	page, err := d.nextKeys(ctx, r)
	if err != nil || len(page) == 0 {
		return nil, err
	}
	items := make([]transit.RewrapItem, len(page))
	for i, k := range page {
		items[i] = transit.RewrapItem{Reference: r.Run, Context: d.contextOf(k.KeyRef), Blob: k.Blob}
	}
	results, err := d.cfg.Master.Rewrap(ctx, "rewrap-"+r.Run, items)
	if err != nil {
		return nil, keyError(err)
	}
	if len(results) != len(page) {
		return nil, fmt.Errorf("rewrapping: %w: %d answers to %d keys", ErrKeysUnavailable, len(results), len(page))
	}
	b := &Rewrapped{next: page[len(page)-1].KeyRef}
	for i, k := range page {
		b.judge(k, results[i], r.Version)
	}
	b.refuseTwins()
	r.page = r.page[len(page):]
	return b, nil
}

// pageOf is how many batches one look into the database reads, so that Vault
// does not wait for one before each call.
const pageOf = 8

// nextKeys is the next batch of older keys; empty if there is none. A call that
// fails gets the same ones again.
func (d *Door) nextKeys(ctx context.Context, r *Rewrapping) ([]store.WrappedKey, error) {
	if len(r.page) == 0 {
		page, err := d.cfg.Store.OlderKeys(ctx, d.cfg.Institution, r.Version, r.read, pageOf*RewrapBatch)
		if err != nil {
			return nil, storeError(err)
		}
		if len(page) > 0 {
			r.read = page[len(page)-1].KeyRef
		}
		r.page = page
	}
	return r.page[:min(len(r.page), r.Batch)], nil
}

// contextOf is what a key was wrapped under.
func (d *Door) contextOf(k store.KeyRef) []byte {
	id := keyring.RecordID{Institution: d.cfg.Institution, Record: k.Complaint, Generation: uint32(k.Generation), Kind: k.Kind}
	switch k.Kind {
	case store.KeyOfFile:
		id.Record = k.File
	case store.KeyOfIntake:
		id.Record = "intake"
	}
	return id.Context()
}

// judge takes an answer only if it can be the same key under the newest version:
// what is written takes the place of a key that still opens.
func (b *Rewrapped) judge(k store.WrappedKey, r transit.RewrapResult, version int) {
	switch {
	case errors.Is(r.Err, keyring.ErrIntegrity):
		b.bad = append(b.bad, badKey{k.KeyRef, "key.not_opening", true})
	case errors.Is(r.Err, keyring.ErrRetired):
		b.bad = append(b.bad, badKey{k.KeyRef, "key.retired", true})
	case r.Err != nil, r.KeyVersion < version, len(payload(r.Blob)) != len(payload(k.Blob)) || payload(r.Blob) == payload(k.Blob):
		b.bad = append(b.bad, badKey{ref: k.KeyRef, what: "key.not_rewrapped"})
	default:
		b.keys = append(b.keys, store.Rewrapped{WrappedKey: k, Now: r.Blob, NowVersion: r.KeyVersion})
	}
}

// refuseTwins drops answers that were given for more than one key.
func (b *Rewrapped) refuseTwins() {
	seen := map[string]int{}
	for _, k := range b.keys {
		seen[k.Now]++
	}
	kept := b.keys[:0]
	for _, k := range b.keys {
		if seen[k.Now] > 1 {
			b.bad = append(b.bad, badKey{ref: k.KeyRef, what: "key.not_rewrapped"})
			continue
		}
		kept = append(kept, k)
	}
	b.keys = kept
}

// payload is what follows "vault:v<n>:".
func payload(blob string) string { return blob[strings.LastIndexByte(blob, ':')+1:] }

// WriteRewrap writes a batch back, remembers the place and appends the entry, in
// one transaction. A key that was destroyed or rewrapped meanwhile stays what it
// is. ErrBusy means that another process took the run over; nothing was written.
//
// crash here: before the commit nothing has happened, after it everything; the
// next run goes on behind the place that was written.
func (d *Door) WriteRewrap(ctx context.Context, r *Rewrapping, b *Rewrapped) error {
	ctx, cancel := context.WithTimeout(ctx, rewrapDeadline)
	defer cancel()
	named, err := d.namedBad(ctx, r, b)
	if err != nil {
		return err
	}
	err = d.saveRewrap(ctx, r, func(tx pgx.Tx, next *store.Job) ([]audit.Body, error) {
		n, err := d.cfg.Store.Rewrap(ctx, tx, d.cfg.Institution, b.keys)
		if err != nil {
			return nil, err
		}
		next.Cursor, next.Done, next.Failed = b.next.String(), next.Done+n, int64(len(r.bad))
		if n == 0 {
			return named, nil
		}
		progress, err := d.progressed(ctx, r, n, max(0, next.Total-next.Done))
		return append(named, progress), err
	})
	if err != nil {
		return err
	}
	for _, k := range b.keys {
		delete(r.bad, k.KeyRef) // it failed in an earlier pass
	}
	return nil
}

// saveRewrap runs one transaction of the job and keeps what it made of the row.
func (d *Door) saveRewrap(ctx context.Context, r *Rewrapping, work func(pgx.Tx, *store.Job) ([]audit.Body, error)) error {
	next := *r.job
	err := d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		events, err := work(tx, &next)
		if err != nil {
			return err
		}
		if err := d.cfg.Store.SaveJob(ctx, tx, &next); err != nil || len(events) == 0 {
			return err
		}
		_, err = d.cfg.Log.AppendTx(ctx, tx, events...)
		return err
	})
	if errors.Is(err, store.ErrStale) {
		return ErrBusy
	}
	if err != nil {
		return txError(err)
	}
	*r.job = next
	return nil
}

// namedBad counts what failed, and names each record that cannot be opened any
// more once.
func (d *Door) namedBad(ctx context.Context, r *Rewrapping, b *Rewrapped) ([]audit.Body, error) {
	var bodies []audit.Body
	for _, bad := range b.bad {
		known := r.bad[bad.ref]
		r.bad[bad.ref] = true
		if known || !bad.name {
			continue
		}
		subject := keySubject(r.Key)
		if bad.ref.Complaint != "" {
			subject = subjectOf(bad.ref.Complaint)
		}
		body, err := d.serviceEvent(ctx, "access.integrity", subject, audit.Facts{"action": "keep", "what": bad.what, "table": tableOf(bad.ref.Kind)})
		if err != nil {
			return nil, err
		}
		if err := complaint.CheckFacts(body.Kind, body.Facts); err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, nil
}

func tableOf(kind byte) string {
	switch kind {
	case store.KeyOfFile:
		return "keys.wrapped_file"
	case store.KeyOfIntake:
		return "keys.intake"
	}
	return "keys.wrapped"
}

// progressed is the entry of a batch. Its trail is the run's own.
func (d *Door) progressed(ctx context.Context, r *Rewrapping, keys, remaining int64) (audit.Body, error) {
	b, err := d.keyEvent(ctx, r.Key, "key.rewrapped", audit.Facts{"version": r.Version, "keys": int(keys), "remaining": int(remaining), "run": r.Run})
	b.Subject = "run:" + r.Run
	return b, err
}

// EndRewrap counts what is still older. With nothing left, or on last, the run
// is finished and an entry says how many are left; else it starts over from the
// first key, for what failed or came late.
func (d *Door) EndRewrap(ctx context.Context, r *Rewrapping, last bool) (remaining int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, rewrapDeadline)
	defer cancel()
	remaining, err = d.cfg.Store.CountOlder(ctx, d.cfg.Institution, r.Version)
	if err != nil {
		return 0, storeError(err)
	}
	finished := last || remaining == 0
	err = d.saveRewrap(ctx, r, func(_ pgx.Tx, next *store.Job) ([]audit.Body, error) {
		next.Cursor, next.Failed, next.Total = "", remaining, next.Done+remaining
		if !finished {
			return nil, nil
		}
		next.State = "finished"
		progress, err := d.progressed(ctx, r, 0, remaining)
		return []audit.Body{progress}, err
	})
	if err == nil {
		r.read, r.page = store.KeyRef{}, nil
	}
	return remaining, err
}

// PauseRewrap leaves a run where it is, so that the next process need not wait
// until this one counts as gone.
func (d *Door) PauseRewrap(ctx context.Context, r *Rewrapping) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	return d.saveRewrap(ctx, r, func(_ pgx.Tx, next *store.Job) ([]audit.Body, error) {
		next.State = "paused"
		return nil, nil
	})
}
