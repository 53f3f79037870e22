package custody_test

import (
	"errors"
	"testing"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// sequence gives every entry so far its index, as the service does all the time.
func (h *house) sequence() {
	h.t.Helper()
	s, err := pglog.NewSequencer(h.t.Context(), pglog.SequencerConfig{Pool: h.admin, Institution: h.institution})
	must(h.t, err)
	for n := 1; n > 0; {
		n, err = s.Step(h.t.Context())
		must(h.t, err)
	}
}

// TestARecordPutBackIsRefused puts a whole row, its key and tokens included,
// back to an older state that verifies by itself: only the log knows better.
// Every way to it says so and leaves an entry.
func TestARecordPutBackIsRefused(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	c := h.fileFull(1)
	other := h.fileFull(2)
	older := h.keep("older")
	number := "13900139000"
	_, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"phone": &number}})
	must(t, err)
	newer := h.keep("newer")
	h.sound("before the entry has an index", c.ID)
	h.sequence()
	h.sound("after the entry has an index", c.ID)
	older()
	read, revealed := h.sees(c.ID, "phone")
	_, amended := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"phone": &number}})
	_, meta := h.Read(t.Context(), h.as("han"), custody.ReadRequest{ID: c.ID, Purpose: "handle", MetaOnly: true})
	for how, err := range map[string]error{"read": read, "reveal": revealed, "amend": amended, "metadata": meta} {
		if !errors.Is(err, custody.ErrIntegrity) {
			t.Errorf("%s of a record put back: got %v, want ErrIntegrity", how, err)
		}
	}
	if n := h.entries("complaint:"+c.ID, "record.stale"); n != 4 {
		t.Errorf("got %d entries record.stale, want 4", n)
	}
	page, err := h.List(t.Context(), h.as("han"), custody.ListRequest{Purpose: "handle"})
	must(t, err)
	broken := map[string]bool{}
	for _, item := range page.Items {
		broken[item.ID] = item.Broken
	}
	if !broken[c.ID] || broken[other.ID] {
		t.Errorf("list: broken = %v, want only the one put back", broken)
	}
	h.sound("its neighbour", other.ID)
	newer()
	h.sound("put forward again", c.ID)
}

// TestAForkOfARecordIsRefused: a change made from an older state claims the
// revision that the log already gave to another state.
func TestAForkOfARecordIsRefused(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	c := h.fileFull(1)
	older := h.keep("older")
	amend := func(number string) error {
		_, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"phone": &number}})
		return err
	}
	must(t, amend("13900139000"))
	older() // before the log has sequenced the change: nobody can know yet
	must(t, amend("13900139001"))
	h.sequence()
	if read, _ := h.sees(c.ID, "phone"); !errors.Is(read, custody.ErrIntegrity) {
		t.Errorf("read of the fork: got %v, want ErrIntegrity", read)
	}
}
