package custody_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/ed25519"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/receipt"
)

// published is the log of a house, published into a folder under a key of the
// test.
type published struct {
	t      *testing.T
	h      *archive
	folder *publish.Folder
	shard  pglog.Shard
	key    ed25519.PrivateKey
	vkey   string
}

func (p *published) Name() string        { return p.shard.Origin }
func (p *published) VerifierKey() string { return p.vkey }
func (p *published) Sign(_ context.Context, msg []byte) ([]byte, error) {
	return ed25519.Sign(p.key, msg), nil
}

// Prove implements custody.Proofs as the service does.
func (p *published) Prove(ctx context.Context, _ int, index uint64, leaf [32]byte) (*custody.LogProof, error) {
	proof, err := publish.Prove(ctx, p.folder, index, leaf)
	if errors.Is(err, publish.ErrNotPublished) {
		return nil, fmt.Errorf("%w: %w", custody.ErrUnpublished, err)
	}
	if err != nil {
		return nil, err
	}
	return &custody.LogProof{Origin: proof.Origin, Path: proof.Path, Checkpoint: proof.Checkpoint}, nil
}

// publish sequences and publishes everything so far.
func (p *published) publish() {
	p.t.Helper()
	p.h.sequence()
	publisher, err := publish.New(p.t.Context(), publish.Config{Source: pglog.NewTree(p.h.admin, p.shard), Store: p.folder, Signer: p})
	must(p.t, err)
	must(p.t, publisher.Publish(p.t.Context()))
}

func openPublished(t *testing.T) *published {
	t.Helper()
	p := &published{t: t}
	var err error
	p.folder, err = publish.NewFolder(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	p.h = openArchiveOn(t, taps{config: func(c *custody.Config) {
		c.Proofs = p
		year := time.Now().UTC().Year()
		p.shard = pglog.Shard{Institution: c.Institution, Year: year, Origin: "test/" + c.Institution}
	}})
	p.key = ed25519.NewKeyFromSeed(make([]byte, 32))
	p.vkey, err = note.NewEd25519VerifierKey(p.shard.Origin, p.key.Public().(ed25519.PublicKey))
	must(t, err)
	return p
}

// verified fetches a receipt and checks it with nothing but the log's key.
func (p *published) verified(e *custody.Erasure) map[string]receipt.Verdict {
	p.t.Helper()
	r, ref, err := p.h.ErasureReceipt(p.t.Context(), p.h.keeper("rex"), e.ID, "legal")
	must(p.t, err)
	if ref.Entry == 0 {
		p.t.Error("handing out a receipt is no entry")
	}
	list, err := r.Verify(p.vkey)
	must(p.t, err)
	byID := map[string]receipt.Verdict{}
	for _, v := range list {
		if len(v.Findings) > 0 {
			p.t.Errorf("the receipt does not hold: %s: %v", v.Result, v.Findings)
		}
		byID[v.Complaint] = v
	}
	return byID
}

// TestReceiptInTwoStages: shredded, then irrecoverable once the epoch closed.
func TestReceiptInTwoStages(t *testing.T) {
	t.Parallel()
	p := openPublished(t)
	h := p.h
	one, two := h.refused(1), h.refused(2)
	h.later(3, 1)
	h.place(two.ID)
	e := h.request(one.ID, "subject")
	var conflict *custody.ConflictError
	if _, _, err := h.ErasureReceipt(t.Context(), h.keeper("rex"), e.ID, "legal"); !errors.As(err, &conflict) || conflict.Code != "state_conflict" {
		t.Errorf("a receipt of what was not decided: %v", err)
	}
	e = h.approve(e)
	if _, _, err := h.ErasureReceipt(t.Context(), h.keeper("rex"), e.ID, "legal"); !errors.As(err, &conflict) || conflict.Code != "receipt_pending" {
		t.Errorf("a receipt before its entries are published: %v", err)
	}
	p.publish()
	stage1 := p.verified(e)
	if v := stage1[one.ID]; v.Result != "shredded" || v.KeyVersion != 1 || v.Basis != "retention_ended" || v.RequestedBy == v.ApprovedBy || !v.IrrecoverableAt.IsZero() {
		t.Errorf("stage 1: %+v", v)
	}
	if v := stage1[two.ID]; v.Result != "held" {
		t.Errorf("the held one: %+v", v)
	}
	// Closing an epoch that does not give up version 1 changes nothing.
	key := h.institution + "-record"
	for _, epoch := range []custody.Epoch{{Key: key, MinAvailable: 1, Entry: 7}, {Key: "other-record", MinAvailable: 5, Entry: 7}} {
		if n, err := h.MarkIrrecoverable(t.Context(), epoch); err != nil || n != 0 {
			t.Errorf("%+v marks %d: %v", epoch, n, err)
		}
	}
	before := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, want := range []int{1, 0} { // once, and again
		if n, err := h.MarkIrrecoverable(t.Context(), custody.Epoch{Key: key, MinAvailable: 2, Entry: 7, SnapshotsBefore: before}); err != nil || n != want {
			t.Errorf("marked %d, want %d: %v", n, want, err)
		}
	}
	p.publish()
	stage2 := p.verified(e)
	if v := stage2[one.ID]; v.Result != "irrecoverable" || v.MinAvailable != 2 || v.SnapshotsBefore != "2026-11-01T00:00:00Z" {
		t.Errorf("stage 2: %+v", v)
	}
	if v := stage2[two.ID]; v.Result != "held" {
		t.Errorf("the held one after stage 2: %+v", v)
	}
}

// TestMissedStagesAreFoundByTheLog: what the closing of an epoch did not come to
// is marked from its entry; a row of keys.epoch alone marks nothing.
func TestMissedStagesAreFoundByTheLog(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	h.later(3, 1)
	e := h.approve(h.request(c.ID, "record"))
	_, err := h.admin.Exec(t.Context(), `insert into keys.epoch (institution, key, version, state, proposed_by, proposed_at, min_available, closed_entry)
		values ($1, $1 || '-record', 2, 'closed', 'x', now(), 2, 1)`, h.institution)
	must(t, err)
	must(t, h.MarkMissed(t.Context()))
	result := func() string {
		shown, err := h.Erasure(t.Context(), h.keeper("rex"), e.ID, "legal")
		must(t, err)
		return shown.Items[0].Result
	}
	if got := result(); got != "shredded" {
		t.Errorf("a row without an entry marks the erasure %s", got)
	}
	alias, err := h.log.Alias(t.Context(), "service")
	must(t, err)
	_, err = h.log.Append(t.Context(), audit.Body{At: h.at, Stage: audit.StageEvent, Kind: "key.epoch_closed", Actor: audit.Actor{ID: alias, Auth: "service"},
		Subject: "key:" + h.institution + "-record", Facts: audit.Facts{"key": h.institution + "-record", "version": 2, "min_decryption": 2, "min_available": 2}})
	must(t, err)
	must(t, h.MarkMissed(t.Context()))
	if got := result(); got != "irrecoverable" {
		t.Errorf("after the epoch closed the erasure is %s", got)
	}
}

// TestGroupsAreErasedByANewKey: the expired groups end with the old key, the
// others stay readable, and the view tells erased from empty.
func TestGroupsAreErasedByANewKey(t *testing.T) {
	t.Parallel()
	p := openPublished(t)
	h := p.h
	_, err := h.admin.Exec(t.Context(), `insert into people.requirement (institution, name, value) values ($1, 'complaint_is_aml_record', 'true')`, h.institution)
	must(t, err)
	c := h.refused(1)
	h.later(3, 1)
	// Identity and account are evidence of ten years here, contact is not.
	if i := h.approve(h.request(c.ID, "groups", "contact", "account")).Items[0]; i.Result != "retained" || i.Until.Year() != h.at.Year()+7 {
		t.Errorf("a group whose retention runs: %+v", i)
	}
	if i := h.approve(h.request(c.ID, "record")).Items[0]; i.Result != "retained" {
		t.Errorf("the whole record: %+v", i)
	}
	e := h.approve(h.request(c.ID, "groups", "contact", "feedback"))
	if i := e.Items[0]; i.Result != "reduced" || i.KeyVersion != 1 || i.Entry == 0 {
		t.Fatalf("got %+v", i)
	}
	view, err := h.Read(t.Context(), h.keeper("lea"), custody.ReadRequest{ID: c.ID, Purpose: "legal"})
	must(t, err)
	states := map[string]custody.FieldState{}
	for _, f := range view.Fields {
		states[f.Name] = f.State
	}
	for name, want := range map[string]custody.FieldState{"phone": "erased", "email": "erased", "satisfaction_reason": "erased", "id_number": "masked", "bank_card": "masked",
		"narrative": "masked", "decision_text": "empty"} {
		if states[name] != want {
			t.Errorf("%s is %s, want %s", name, states[name], want)
		}
	}
	found, err := h.Search(t.Context(), h.keeper("lea"), custody.SearchRequest{Purpose: "legal", Field: "phone", Value: "13800138000"})
	must(t, err)
	if len(found.Items) != 0 {
		t.Error("an erased telephone number is still found")
	}
	if n := h.count(`select count(*) from keys.destroyed where institution = $1 and complaint = $2 and why = 'generation' and generation = 1`, h.institution, c.ID); n != 1 {
		t.Error("the old key was not destroyed")
	}
	if n := h.count(`select generation from sealtrail.complaint where institution = $1 and id = $2`, h.institution, c.ID); n != 2 {
		t.Errorf("generation %d, want 2", n)
	}
	if kinds := h.kinds(c.ID); !slices.Contains(kinds, "erasure.reduced") || !slices.Contains(kinds, "record.resealed") {
		t.Errorf("the trail has %v", kinds)
	}
	p.publish()
	if v := p.verified(e)[c.ID]; v.Result != "reduced" || v.KeyVersion != 1 {
		t.Errorf("the receipt says %+v", v)
	}
	if n, err := h.MarkIrrecoverable(t.Context(), custody.Epoch{Key: h.institution + "-record", MinAvailable: 2, Entry: 7}); err != nil || n != 1 {
		t.Errorf("marked %d: %v", n, err)
	}
	p.publish()
	if v := p.verified(e)[c.ID]; v.Result != "reduced" || v.MinAvailable != 2 {
		t.Errorf("after the epoch the receipt says %+v", v)
	}
}

// TestErasureSaysWhatIsWrong with a request.
func TestErasureSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	for name, r := range map[string]custody.ErasureRequest{
		"scope": {Scope: "everything", Basis: "unlawful"}, "basis": {Scope: "record", Basis: "because"}, "no groups": {Scope: "groups", Basis: "unlawful"},
		"groups of a record": {Scope: "record", Basis: "unlawful", Groups: []string{"contact"}}, "unknown group": {Scope: "groups", Basis: "unlawful", Groups: []string{"13800138000"}},
		"clear group": {Scope: "groups", Basis: "unlawful", Groups: []string{"meta"}},
	} {
		r.Purpose = "legal"
		var invalid *custody.InvalidError
		if _, err := h.RequestErasure(t.Context(), h.keeper("rex"), r); !errors.As(err, &invalid) || strings.Contains(fmt.Sprint(err, invalid.Problems), "13800138000") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Erasures(t.Context(), h.keeper("rex"), "lost", "legal"); err == nil {
		t.Error("an unknown state was taken")
	}
	for _, id := range []string{"x", "00000000-0000-4000-8000-000000000000"} {
		if _, err := h.Erasure(t.Context(), h.keeper("rex"), id, "legal"); !errors.Is(err, custody.ErrNotFound) {
			t.Errorf("unknown erasure: %v", err)
		}
		if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), id, true); !errors.Is(err, custody.ErrNotFound) {
			t.Errorf("review of an unknown erasure: %v", err)
		}
	}
}
