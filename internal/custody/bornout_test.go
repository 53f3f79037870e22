package custody_test

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	sealedintake "github.com/sealtrail/sealtrail/crypto/intake"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
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
	h.later(3, 1)
	h.approve(h.request(c.ID, "record"))
	h.sql(`update sealtrail.erasure_item set key_version = 0 where complaint = $1`, c.ID)
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

// TestARecipientRenamedByTable: who assents reads a name, and it is the one that
// was asked for.
func TestARecipientRenamedByTable(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.file(1)
	_, key := recipient(t)
	asked, err := h.RequestDisclosure(t.Context(), h.as("hedda"), h.asking(c.ID, key))
	must(t, err)
	h.sql(`update sealtrail.disclosure set recipient_name = '某征信公司' where id = $1`, asked.ID)
	if _, err := h.SettleDisclosure(t.Context(), h.as("dora"), asked.ID, "confirm"); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("assented to another recipient's name: %v", err)
	}
}

// TestAssentsAtOnceAreNoFinding: one of them counts, the others come too late.
func TestAssentsAtOnceAreNoFinding(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.file(1)
	_, key := recipient(t)
	for range 3 {
		asked, err := h.RequestDisclosure(t.Context(), h.as("hedda"), h.asking(c.ID, key))
		must(t, err)
		callers := []custody.Caller{h.as("dora"), h.as("dora"), h.as("dora"), h.as("dora"), h.as("dora"), h.as("dora")}
		var wait sync.WaitGroup
		for _, caller := range callers {
			wait.Go(func() {
				if _, err := h.SettleDisclosure(t.Context(), caller, asked.ID, "confirm"); errors.Is(err, custody.ErrIntegrity) {
					t.Errorf("an assent at the same time is called a finding: %v", err)
				}
			})
		}
		wait.Wait()
	}
	if n := h.entries("complaint:"+c.ID, "access.integrity"); n != 0 {
		t.Errorf("%d findings", n)
	}
}

// TestAnIndexSwitchedByTableIsAFinding: a search in a generation that nobody
// built would miss complaints without a word.
func TestAnIndexSwitchedByTableIsAFinding(t *testing.T) {
	t.Parallel()
	vault := vaulttest.New(t)
	h := openOn(t, pgtest.New(t, "custody", migrate), vault, taps{})
	h.file(1)
	epoch := h.openIndex(vault)
	h.sql(`update keys.index_epoch set state = 'retired' where institution = $1 and epoch = 1`, h.institution)
	h.sql(`update keys.index_epoch set state = 'current' where institution = $1 and epoch = $2`, h.institution, epoch)
	page, err := h.Search(t.Context(), h.as("hedda"), custody.SearchRequest{Purpose: "handle", Field: "phone", Value: "13800138000"})
	if !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("a search of an index that was not built: %v, %v", page, err)
	}
}

// TestAnIndexPutBackByTableIsAFinding: the former generation is not written any
// more.
func TestAnIndexPutBackByTableIsAFinding(t *testing.T) {
	t.Parallel()
	vault := vaulttest.New(t)
	h := openOn(t, pgtest.New(t, "custody", migrate), vault, taps{})
	h.file(1)
	epoch := h.openIndex(vault)
	_, err := h.Reindexing(t.Context(), nil)
	must(t, err)
	h.sql(`create table moved as select * from keys.index_epoch`)
	_, err = h.SwitchIndex(t.Context(), epoch)
	must(t, err)
	h.sql(`delete from keys.index_epoch where institution = $1`, h.institution)
	find := func() error {
		_, err := h.Search(t.Context(), h.as("hedda"), custody.SearchRequest{Purpose: "handle", Field: "phone", Value: "13800138000"})
		return err
	}
	if err := find(); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("without rows: %v", err)
	}
	h.sql(`insert into keys.index_epoch select * from moved`)
	if err := find(); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("with the rows from before: %v", err)
	}
}

// TestAForgedVersionIsNotWrittenIntoTheLog: an erasure's entry says under which
// version the key was wrapped, and a closed epoch calls it irrecoverable by that.
// A lease must not spare the look at what is stored.
func TestAForgedVersionIsNotWrittenIntoTheLog(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	for n, scope := range []string{"record", "groups"} {
		c := h.refused(n) // its key is lent still
		h.later(3, 1)
		var groups []string
		if scope == "groups" {
			groups = []string{"contact"}
		}
		e := h.request(c.ID, scope, groups...)
		h.sql(`update keys.wrapped set key_version = 7 where complaint = $1`, c.ID)
		if _, err := h.ReviewErasure(t.Context(), h.keeper("dan"), e.ID, true); !errors.Is(err, custody.ErrIntegrity) {
			t.Errorf("%s: a version that the wrapped key does not have: %v", scope, err)
		}
		if kinds := h.kinds(c.ID); slices.Contains(kinds, "erasure.shredded") || slices.Contains(kinds, "erasure.reduced") {
			t.Errorf("%s: the log says %v", scope, kinds)
		}
	}
}
