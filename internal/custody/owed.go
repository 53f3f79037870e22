package custody

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
)

// What a process owes: every intent that it made durable has an outcome, and
// only this process may write it, until it is fenced. Then a reaper, here or in
// another process, writes that it is not known (reap.go). One of the two does,
// never both: an outcome is appended in a transaction that holds the fence open.
const (
	// beatEvery is how often a process says what it owes.
	beatEvery = 5 * time.Second
	// owedFor is how long an outcome is owed by what answers within a deadline;
	// batchDeadline is the longest of those.
	owedFor = 40 * time.Second
	// owedForTransfer is the same where bytes are streamed, or pages are walked.
	owedForTransfer = 2 * time.Hour
)

// debts is what this process owes. The zero value is ready. Safe for concurrent
// use.
type debts struct {
	mu      sync.Mutex
	process string // id in jobs.process; a fenced process goes on under a new one
	byNonce map[string]*debt
	byEntry map[uint64]*debt
}

// debt is one intent without an outcome.
type debt struct {
	nonce  string
	entry  uint64 // 0 while it is being appended
	until  time.Time
	queued bool // its outcome waits for the writer
	uses   []keyUsed
}

// keyUsed is one use of a key that was made for an intent.
type keyUsed struct {
	how   byte // see usedOpened
	batch string
	item  int // of usedIndexed: how many items
	use   uint64
}

// How a key was used, as the letters of the fact "keys" (docs/formats/trail-entry.md).
const (
	usedOpened  = 'd' // a data key was unwrapped, or lent again
	usedMinted  = 'w' // a data key was made and wrapped
	usedIndexed = 'h' // index tokens were computed
)

// id is the process's own.
func (d *debts) id() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process == "" {
		d.process = newUUID()
	}
	return d.process
}

// begin takes intents up before they are appended, so that no look at what is
// owed can miss one that is in the log. It gives each a nonce.
func (d *debts) begin(bodies []audit.Body, now time.Time) []*debt {
	d.mu.Lock()
	defer d.mu.Unlock()
	var begun []*debt
	for i := range bodies {
		b := &bodies[i]
		if b.Stage != audit.StageIntent {
			begun = append(begun, nil)
			continue
		}
		if b.Nonce == [16]byte{} {
			b.Nonce = audit.NewNonce()
		}
		if d.byNonce == nil {
			d.byNonce, d.byEntry = map[string]*debt{}, map[uint64]*debt{}
		}
		one := &debt{nonce: hex.EncodeToString(b.Nonce[:]), until: now.Add(lifeOf(b.Kind))}
		d.byNonce[one.nonce] = one
		begun = append(begun, one)
	}
	return begun
}

// lifeOf is how long what an intent stands for may take.
func lifeOf(kind string) time.Duration {
	switch kind {
	case "access.file", "access.disclosed", "complaint.file_added":
		return owedForTransfer
	}
	return owedFor
}

// began gives the intents the ids that the log gave them; without any, they were
// not recorded as far as this process knows, and it owes nothing.
func (d *debts) began(begun []*debt, receipts []pglog.Receipt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, one := range begun {
		if one == nil {
			continue
		}
		if receipts == nil {
			delete(d.byNonce, one.nonce)
			continue
		}
		if one.entry = receipts[i].EntryID(); d.byNonce[one.nonce] == one {
			d.byEntry[one.entry] = one
		}
	}
}

// use notes a use of a key for the intent that reference names. References of
// other things are left out: their own entries say what they used.
func (d *debts) use(reference string, u keyUsed) {
	entry, err := strconv.ParseUint(reference, 10, 64)
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.byEntry[entry]; one != nil {
		one.uses = append(one.uses, u)
	}
}

// settle marks intents as answered and returns those that this process still
// owes, and the keys that were used for them.
func (d *debts) settle(intents []pglog.Receipt) (entries []uint64, uses [][]keyUsed) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range intents {
		if one := d.byEntry[r.EntryID()]; one != nil && !one.queued {
			one.queued = true
			entries, uses = append(entries, one.entry), append(uses, one.uses)
		}
	}
	return entries, uses
}

// owing keeps of a list of answers those that this process still owes. After it
// was fenced it owes nothing of what it began before.
func (d *debts) owing(list []answer) (process string, kept []answer) {
	process = d.id()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range list {
		mine := true
		for _, entry := range a.entries {
			mine = mine && d.byEntry[entry] != nil
		}
		if mine {
			kept = append(kept, a)
		}
	}
	return process, kept
}

// paid forgets intents whose outcome is durable.
func (d *debts) paid(list []answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range list {
		for _, entry := range a.entries {
			if one := d.byEntry[entry]; one != nil {
				delete(d.byEntry, entry)
				delete(d.byNonce, one.nonce)
			}
		}
	}
}

// list is what is owed now. What has taken longer than it may is owed no more:
// a request that ended without saying so, by an error nobody thought of.
func (d *debts) list(now time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]string, 0, len(d.byNonce))
	for nonce, one := range d.byNonce {
		if !one.queued && one.entry != 0 && now.After(one.until) {
			delete(d.byNonce, nonce)
			delete(d.byEntry, one.entry)
			continue
		}
		list = append(list, nonce)
	}
	return list
}

// fenced forgets everything and takes a new id.
func (d *debts) fenced(process string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process == process {
		d.process, d.byNonce, d.byEntry = newUUID(), map[string]*debt{}, map[uint64]*debt{}
	}
}

// keysFact is the fact "keys" of an outcome: "<position>:<how>:<batch>:<item>:<use>"
// for each use, where position is the intent's in the list of intents.
func keysFact(uses [][]keyUsed) []string {
	var list []string
	for i, of := range uses {
		for _, u := range of {
			list = append(list, u.fact(i))
		}
	}
	return list
}

func (u keyUsed) fact(position int) string {
	s := fmt.Sprintf("%d:%c:%s:%d", position, u.how, u.batch, u.item)
	if u.how != usedIndexed {
		s += ":" + strconv.FormatUint(u.use, 10)
	}
	return s
}

// answer is an outcome on its way into the log, and the intents that it answers.
type answer struct {
	body    audit.Body
	entries []uint64
}

// errOutcome is wrapped by errors of writing outcomes.
var errOutcome = errors.New("outcomes not recorded")

// answered makes outcomes durable, unless this process was fenced meanwhile:
// then somebody else answers, and these are dropped.
func (d *Door) answered(ctx context.Context, list []answer) error {
	process, list := d.debts.owing(list)
	if len(list) == 0 {
		return nil
	}
	bodies := make([]audit.Body, len(list))
	for i, a := range list {
		if err := complaint.CheckFacts(a.body.Kind, a.body.Facts); err != nil {
			return fmt.Errorf("%w: %w", errOutcome, err)
		}
		bodies[i] = a.body
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	err := d.cfg.Store.Answer(ctx, d.cfg.Institution, process, func(b *pgx.Batch) error {
		_, err := d.cfg.Log.AppendBatch(b, bodies...)
		return err
	})
	switch {
	case errors.Is(err, store.ErrFenced):
		d.cfg.Logger.WarnContext(ctx, "fenced: others say what came of what this process began", slog.Int("count", len(list)))
		d.debts.fenced(process)
		d.beat(ctx)
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", errOutcome, err)
	}
	d.debts.paid(list)
	return nil
}

// beat says what this process owes.
func (d *Door) beat(ctx context.Context) {
	process := d.debts.id()
	covers := d.covers.Load()
	if covers != nil && covers.process != process {
		covers = nil
	}
	var until *time.Time
	if covers != nil {
		until = &covers.at
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	now, err := d.cfg.Store.Beat(ctx, d.cfg.Institution, process, d.debts.list(time.Now()), until)
	switch {
	case errors.Is(err, store.ErrFenced):
		d.debts.fenced(process)
	case err == nil:
		d.covers.Store(&covered{process, now})
	}
}

// covered is when a process said last what it owes, by PostgreSQL's clock.
type covered struct {
	process string
	at      time.Time
}

// beats beats until ctx ends.
func (d *Door) beats(ctx context.Context) {
	for {
		d.beat(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(beatEvery):
		}
	}
}

// retire ends this process's right to answer, so that nobody waits for it.
func (d *Door) retire(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if err := d.cfg.Store.Fence(ctx, d.cfg.Institution, d.debts.id()); err != nil {
		d.cfg.Logger.WarnContext(ctx, "process not signed off", slog.String("cause", storeError(err).Error()))
	}
}

// intentsFact names intents in facts.
func intentsFact(entries []uint64) []string {
	ids := make([]string, len(entries))
	for i, entry := range entries {
		ids[i] = "e" + strconv.FormatUint(entry, 10)
	}
	return ids
}

// intentOf reads an intent as intentsFact writes it.
func intentOf(s string) (entry uint64, ok bool) {
	digits, ok := strings.CutPrefix(s, "e")
	entry, err := strconv.ParseUint(digits, 10, 64)
	return entry, ok && err == nil
}
