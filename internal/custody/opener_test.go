package custody_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// counting counts what is asked of Vault.
type counting struct {
	keyring.Wrapper
	wraps, unwraps atomic.Int64
	before         func() // called before each call, if set
}

func (c *counting) call() {
	if c.before != nil {
		c.before()
	}
}

// Wrap implements keyring.Wrapper.
func (c *counting) Wrap(ctx context.Context, batch string, items []keyring.WrapItem) ([]keyring.WrapResult, error) {
	c.call()
	c.wraps.Add(int64(len(items)))
	return c.Wrapper.Wrap(ctx, batch, items)
}

// Unwrap implements keyring.Wrapper.
func (c *counting) Unwrap(ctx context.Context, batch string, items []keyring.UnwrapItem) ([]keyring.UnwrapResult, error) {
	c.call()
	c.unwraps.Add(int64(len(items)))
	return c.Wrapper.Unwrap(ctx, batch, items)
}

// counted is a house whose calls to Vault are counted.
func counted(t *testing.T) (*house, *counting) {
	t.Helper()
	c := &counting{}
	h := openOn(t, pgtest.New(t, "custody", migrate), vaulttest.New(t), taps{wrapper: func(w keyring.Wrapper) keyring.Wrapper { c.Wrapper = w; return c }})
	return h, c
}

// TestTheOpenerTakesOneReceiptOnly: a receipt opens the record, the revision,
// the decision and the fields that it was made for, and nothing else opens
// anything. Without one Vault is not even asked.
func TestTheOpenerTakesOneReceiptOnly(t *testing.T) {
	t.Parallel()
	h, vault := counted(t)
	ctx := t.Context()
	one, two := h.fileFull(1), h.fileFull(2)
	ask := func(id string, fields ...string) *custody.Asked {
		t.Helper()
		a, err := h.AskReveal(ctx, h.as("han"), id, fields...)
		must(t, err)
		return a
	}
	intend := func(a *custody.Asked, fields ...string) pglog.Receipt {
		t.Helper()
		r, err := h.Intend(ctx, a, fields...)
		must(t, err)
		return r
	}
	a, other := ask(one.ID, "phone", "email"), ask(two.ID, "phone", "email")
	good := intend(a, "phone", "email")
	event, err := h.Tell(ctx, a, "phone", "email")
	must(t, err)
	h.keys.VoidAll("test")
	before := vault.unwraps.Load()
	for what, try := range map[string]struct {
		a      *custody.Asked
		r      pglog.Receipt
		fields []string
	}{
		"no receipt":          {a, pglog.Receipt{}, []string{"phone", "email"}},
		"another record":      {other, good, []string{"phone", "email"}},
		"another's receipt":   {a, intend(other, "phone", "email"), []string{"phone", "email"}},
		"another decision":    {ask(one.ID, "phone", "email"), good, []string{"phone", "email"}},
		"an older revision":   {a.AtRevision(a.Revision() - 1), good, []string{"phone", "email"}},
		"a newer revision":    {a.AtRevision(a.Revision() + 1), good, []string{"phone", "email"}},
		"no decision":         {a.Undecided(), good, []string{"phone", "email"}},
		"fewer fields":        {a, good, []string{"phone"}},
		"no fields":           {a, good, nil},
		"more fields":         {a, good, []string{"phone", "email", "id_number"}},
		"another field":       {a, good, []string{"phone", "id_number"}},
		"an event's receipt":  {a, event, []string{"phone", "email"}},
		"a field twice":       {a, good, []string{"phone", "email", "email"}},
		"an unknown field":    {a, intend(a, "nickname"), []string{"nickname"}},
		"a denied field":      {a, intend(a, "whistle_report"), []string{"whistle_report"}},
		"a masked-only field": {a, intend(a, "respondent_name"), []string{"respondent_name"}},
	} {
		if n, err := h.OpenWith(ctx, try.a, try.r, try.fields...); err == nil || n != 0 {
			t.Errorf("%s: opened %d fields", what, n)
		}
	}
	if n := vault.unwraps.Load() - before; n != 0 {
		t.Errorf("refused openings asked Vault for %d keys", n)
	}
	if n, err := h.OpenWith(ctx, a, good, "email", "phone"); err != nil || n != 2 {
		t.Errorf("its own receipt: opened %d fields: %v", n, err)
	}
}

// TestNothingIsDecryptedUnrecorded: while the log cannot be written, every
// disclosure is refused in time and Vault is not asked for any key.
func TestNothingIsDecryptedUnrecorded(t *testing.T) {
	t.Parallel()
	h, vault := counted(t)
	c := h.fileFull(1)
	ctx := t.Context()
	h.keys.VoidAll("test")
	tx, err := h.admin.Begin(ctx)
	must(t, err)
	_, err = tx.Exec(ctx, "lock table audit.entry in exclusive mode") // it can be read, not written
	must(t, err)
	before := vault.unwraps.Load()
	text := "x"
	ivy, han, quinn := h.as("ivy"), h.as("han"), h.as("quinn")
	var group sync.WaitGroup
	for what, act := range map[string]func() error{
		"read": func() error {
			_, err := h.Read(ctx, ivy, custody.ReadRequest{ID: c.ID, Purpose: "handle"})
			return err
		},
		"reveal": func() error {
			_, err := h.Reveal(ctx, han, custody.RevealRequest{ID: c.ID, Purpose: "handle", Fields: []string{"phone"}, Reason: "call back"})
			return err
		},
		"search": func() error {
			_, err := h.Search(ctx, ivy, custody.SearchRequest{Purpose: "handle", Field: "phone", Value: full()["phone"]})
			return err
		},
		"amend": func() error {
			_, err := h.Amend(ctx, han, custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"demand": &text}})
			return err
		},
		"read metadata": func() error {
			_, err := h.Read(ctx, ivy, custody.ReadRequest{ID: c.ID, Purpose: "handle", MetaOnly: true})
			return err
		},
		"refusal": func() error {
			_, err := h.Reveal(ctx, quinn, custody.RevealRequest{ID: c.ID, Purpose: "quality", Fields: []string{"phone"}, Reason: "call back"})
			return err
		},
	} {
		group.Go(func() {
			began := time.Now()
			if err := act(); !errors.Is(err, custody.ErrUnrecorded) {
				t.Errorf("%s: got %v, want ErrUnrecorded", what, err)
			}
			if took := time.Since(began); took > 2900*time.Millisecond {
				t.Errorf("%s: said so after %s, want within 2 s", what, took)
			}
		})
	}
	group.Wait()
	if n := vault.unwraps.Load() - before; n != 0 {
		t.Errorf("unrecorded disclosures asked Vault for %d keys", n)
	}
	must(t, tx.Rollback(ctx))
	h.unlimited()
	h.sound("the log is back", c.ID)
}
