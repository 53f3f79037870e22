package custody_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	sealedintake "github.com/sealtrail/sealtrail/crypto/intake"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestARefusedErasureStaysRefused whatever the table says of it.
func TestARefusedErasureStaysRefused(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"requested", "approved"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			h := openArchive(t)
			c := h.refused(1)
			h.later(3, 1)
			e := h.request(c.ID, "record")
			_, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, false)
			must(t, err)
			h.sql(`update sealtrail.erasure set state = $2, decided_by = null, decided_at = null where id = $1`, e.ID, state)
			h.sql(`insert into sealtrail.erasure_item (institution, erasure, complaint, result) select institution, id, complaint, 'pending' from sealtrail.erasure
				where id = $1 and state = 'approved'`, e.ID)
			if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, true); !errors.Is(err, custody.ErrIntegrity) {
				t.Errorf("approving what was refused: %v", err)
			}
			if n := h.count(`select count(*) from keys.wrapped where institution = $1 and complaint = $2`, h.institution, c.ID); n != 1 {
				t.Error("erased")
			}
		})
	}
}

// TestAnApprovalByTableErasesNothing.
func TestAnApprovalByTableErasesNothing(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	h.later(3, 1)
	e := h.request(c.ID, "record")
	h.sql(`update sealtrail.erasure set state = 'approved', decided_by = 'dan', decided_at = now() where id = $1`, e.ID)
	h.sql(`insert into sealtrail.erasure_item (institution, erasure, complaint, result) select institution, id, complaint, 'pending' from sealtrail.erasure where id = $1`, e.ID)
	_, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, true)
	if kinds := h.kinds(c.ID); slices.Contains(kinds, "erasure.shredded") && !slices.Contains(kinds, "erasure.approved") {
		t.Errorf("erased without an entry that it was approved: %v", err)
	}
}

// TestAKeyTakenAwayIsNoErasure: a row of keys.destroyed that no entry bears out
// is a finding, also where the record is answered as erased.
func TestAKeyTakenAwayIsNoErasure(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	h.sql(`insert into keys.destroyed (institution, complaint, part, generation, commitment, wrapped_sha256, key_version, why, destroyed_at)
		select institution, complaint, '', generation, commitment, sha256(convert_to(wrapped, 'UTF8')), key_version, 'shred', now() from keys.wrapped where complaint = $1`, c.ID)
	h.sql(`delete from keys.wrapped where complaint = $1`, c.ID)
	h.keys.VoidAll("test")
	_, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: c.ID, Purpose: "handle"})
	if err == nil || !slices.Contains(h.kinds(c.ID), "access.integrity") {
		t.Errorf("a key taken away by hand: %v, trail %v", err, h.kinds(c.ID))
	}
}

// TestAForgedVersionIsNotIrrecoverable: what a receipt says in its second stage
// rests on the entry of the first and on no row.
func TestAForgedVersionIsNotIrrecoverable(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	c := h.refused(1)
	h.sql(`update keys.wrapped set key_version = 7 where complaint = $1`, c.ID)
	h.later(3, 1)
	h.approve(h.request(c.ID, "record"))
	h.sql(`update sealtrail.erasure_item set key_version = 1 where complaint = $1`, c.ID)
	_, err := h.MarkIrrecoverable(t.Context(), custody.Epoch{Key: h.institution + "-record", MinAvailable: 2, Entry: 1})
	if slices.Contains(h.kinds(c.ID), "erasure.irrecoverable") {
		t.Errorf("called irrecoverable by a row: %v", err)
	}
}

// TestAnExchangedIntakeKeyIsNotHandedOut: clients would seal to somebody else.
func TestAnExchangedIntakeKeyIsNotHandedOut(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.intakeKey(false)
	mine, err := sealedintake.NewPrivateKey(h.institution, 1, sealedintake.DefaultKEM(), bytes.Repeat([]byte{1}, 32))
	must(t, err)
	h.sql(`update keys.intake set public = $2 where institution = $1`, h.institution, mine.Public().Bundle())
	if _, err := h.IntakeKey(t.Context()); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("an exchanged key: %v", err)
	}
	next, err := sealedintake.NewPrivateKey(h.institution, 2, sealedintake.DefaultKEM(), bytes.Repeat([]byte{1}, 32))
	must(t, err)
	h.sql(`insert into keys.intake (institution, version, public, wrapped, commitment, key_version, created_at)
		select institution, 2, $2, wrapped, commitment, key_version, now() from keys.intake where institution = $1`, h.institution, next.Public().Bundle())
	if _, err := h.IntakeKey(t.Context()); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("a planted key: %v", err)
	}
}

// TestAPlantedRowDropsNoSealedDraft: that an envelope is in already, the entry of
// its complaint says.
func TestAPlantedRowDropsNoSealedDraft(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.intakeKey(false)
	other := h.file(1)
	envelope := sealDraft(t, k, draft(2), time.Now())
	parsed, err := sealedintake.ParseEnvelope(envelope)
	must(t, err)
	sum := parsed.SHA256()
	h.sql(`insert into sealtrail.sealed_intake (institution, envelope_sha256, complaint, sealed_at, ingested_at) values ($1, $2, $3, now(), now())`,
		h.institution, sum[:], other.ID)
	items, err := h.Ingest(t.Context(), h.as("ivy"), "handle", [][]byte{envelope})
	if err == nil && items[0].Err == nil && items[0].Created.ID == other.ID {
		t.Error("the client hears that its draft is in, and it is not")
	}
}
