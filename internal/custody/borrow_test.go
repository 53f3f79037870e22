package custody_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
	"github.com/sealtrail/sealtrail/policy"
	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

// trips notes the size of every call that unwraps keys, and its references.
type trips struct {
	keyring.Wrapper
	mu    sync.Mutex
	sizes []int
	refs  map[string]int
	fail  error
}

// Unwrap implements keyring.Wrapper.
func (c *trips) Unwrap(ctx context.Context, batch string, items []keyring.UnwrapItem) ([]keyring.UnwrapResult, error) {
	c.mu.Lock()
	c.sizes = append(c.sizes, len(items))
	for _, it := range items {
		c.refs[it.Reference]++
	}
	fail := c.fail
	c.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	return c.Wrapper.Unwrap(ctx, batch, items)
}

func (c *trips) take() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	sizes := c.sizes
	c.sizes, c.refs = nil, map[string]int{}
	return sizes
}

func (c *trips) failWith(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// tripping is a house that knows its calls to Vault, and its policy engine.
func tripping(t *testing.T) (*house, *trips, *policy.Engine) {
	t.Helper()
	c := &trips{refs: map[string]int{}}
	var engine *policy.Engine
	h := openOn(t, pgtest.New(t, "custody", migrate), vaulttest.New(t), taps{
		wrapper: func(w keyring.Wrapper) keyring.Wrapper { c.Wrapper = w; return c },
		config:  func(cfg *custody.Config) { engine = cfg.Policy },
	})
	return h, c, engine
}

// fill stores n complaints of one phone number.
func (h *house) fill(n int) []string {
	h.t.Helper()
	drafts := make([]intake.Draft, n)
	for i := range drafts {
		drafts[i] = draft(i)
	}
	res, err := h.CreateBatch(h.t.Context(), h.as("ivy"), "handle", drafts)
	must(h.t, err)
	ids := make([]string, n)
	for i, r := range res {
		if r.Err != nil {
			h.t.Fatal(r.Err)
		}
		ids[i] = r.Created.ID
	}
	return ids
}

func (h *house) page() (*custody.Page, error) {
	return h.Search(h.t.Context(), h.as("ivy"), custody.SearchRequest{Purpose: "handle", Field: "phone", Value: draft(0).Fields["phone"], PageSize: 50})
}

// TestColdPageOfFiftyIsOneCallToVault, each item of which stands for an intent
// of its own; a warm page is none.
func TestColdPageOfFiftyIsOneCallToVault(t *testing.T) {
	t.Parallel()
	h, vault, _ := tripping(t)
	h.fill(50)
	h.keys.VoidAll("test")
	vault.take()
	page, err := h.page()
	must(t, err)
	if len(page.Items) != 50 {
		t.Fatalf("%d hits, want 50", len(page.Items))
	}
	for _, item := range page.Items {
		if item.Broken || len(item.Fields) == 0 {
			t.Errorf("hit %s: broken %v, %d fields", item.ID, item.Broken, len(item.Fields))
		}
	}
	vault.mu.Lock()
	references := len(vault.refs)
	vault.mu.Unlock()
	if sizes := vault.take(); len(sizes) != 1 || sizes[0] != 50 || references != 50 {
		t.Errorf("calls of %v items with %d references, want one call of 50", sizes, references)
	}
	if _, err := h.page(); err != nil || len(vault.take()) != 0 {
		t.Errorf("a warm page asked Vault: %v", err)
	}
	if n := h.keys.VoidAll("test"); n != 50 {
		t.Errorf("%d keys were live", n)
	}
}

// TestBrokenKeyOfAPageStaysWithItsRecord: one wrapped key changed by SQL, one
// gone; the others are shown, and it is still one call.
func TestBrokenKeyOfAPageStaysWithItsRecord(t *testing.T) {
	t.Parallel()
	h, vault, _ := tripping(t)
	ids := h.fill(6)
	h.sql(`update keys.wrapped w set wrapped = o.wrapped from keys.wrapped o where w.institution = $1 and w.complaint = $2 and o.institution = $1 and o.complaint = $3`, h.institution, ids[1], ids[0])
	h.sql(`update keys.wrapped set commitment = decode(repeat('00', 32), 'hex') where institution = $1 and complaint = $2`, h.institution, ids[4])
	h.keys.VoidAll("test")
	vault.take()
	page, err := h.page()
	must(t, err)
	for _, item := range page.Items {
		if want := item.ID == ids[1] || item.ID == ids[4]; item.Broken != want || want == (len(item.Fields) > 0) {
			t.Errorf("hit %s: broken %v with %d fields, want broken %v", item.ID, item.Broken, len(item.Fields), want)
		}
	}
	if sizes := vault.take(); len(page.Items) != 6 || len(sizes) != 1 || sizes[0] != 6 {
		t.Errorf("%d hits, calls of %v items, want 6 in one call", len(page.Items), sizes)
	}
	vault.failWith(&keyring.UnavailableError{Cause: keyring.CauseSealed, Op: "unwrap"})
	h.keys.VoidAll("test")
	if _, err := h.page(); !errors.Is(err, custody.ErrKeysUnavailable) {
		t.Errorf("a sealed Vault: %v, want ErrKeysUnavailable", err)
	}
	vault.failWith(nil)
	if _, err := h.page(); err != nil {
		t.Errorf("unsealed: %v", err)
	}
}

// TestRevokedGrantWithdrawsTheKeyOfItsRecord, after it is committed, and of no
// other record.
func TestRevokedGrantWithdrawsTheKeyOfItsRecord(t *testing.T) {
	t.Parallel()
	h, vault, _ := tripping(t)
	one, two := h.fileFull(1), h.fileFull(2)
	g, err := h.RequestGrant(t.Context(), h.as("aud"), custody.Grant{Complaint: one.ID, Purpose: "audit", Groups: []string{"contact"}, Reason: "sampling", Minutes: 10})
	must(t, err)
	_, err = h.ReviewGrant(t.Context(), h.as("dora"), g.ID, true)
	must(t, err)
	for _, id := range []string{one.ID, two.ID} {
		_, err = h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: id, Purpose: "handle"})
		must(t, err)
	}
	vault.take()
	_, err = h.RevokeGrant(t.Context(), h.as("dora"), g.ID)
	must(t, err)
	for i, id := range []string{two.ID, one.ID} {
		_, err = h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: id, Purpose: "handle"})
		must(t, err)
		if n := len(vault.take()); n != i {
			t.Errorf("reading record %d asked Vault %d times, want %d", i, n, i)
		}
	}
}

// TestActivatedPolicyWithdrawsKeys: the first act under a new policy finds no
// key that was opened under the old one, though nobody told the keyring.
func TestActivatedPolicyWithdrawsKeys(t *testing.T) {
	t.Parallel()
	h, vault, engine := tripping(t)
	c := h.fileFull(1)
	read := func() {
		t.Helper()
		_, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: c.ID, Purpose: "handle"})
		must(t, err)
	}
	read()
	vault.take()
	read()
	if n := len(vault.take()); n != 0 {
		t.Errorf("a warm read asked Vault %d times", n)
	}
	must(t, engine.Activate(t.Context(), confidentiality.Files()))
	read()
	if n := len(vault.take()); n != 1 || h.keys.Policy() != engine.Sequence() {
		t.Errorf("after an activation a read asked Vault %d times, keys are of generation %d", n, h.keys.Policy())
	}
}

// TestRevokedGrantWithdrawsTheKeysOfFiles of its record, too.
func TestRevokedGrantWithdrawsTheKeysOfFiles(t *testing.T) {
	t.Parallel()
	c := &trips{refs: map[string]int{}}
	h := openCabinet(t, taps{wrapper: func(w keyring.Wrapper) keyring.Wrapper { c.Wrapper = w; return c }})
	one := h.assigned(1)
	file := h.mustAttach(one, pdf(1000)).File
	g, err := h.RequestGrant(t.Context(), h.as("aud"), custody.Grant{Complaint: one.ID, Purpose: "audit", Groups: []string{"narrative"}, Reason: "sampling", Minutes: 10})
	must(t, err)
	_, err = h.ReviewGrant(t.Context(), h.as("dora"), g.ID, true)
	must(t, err)
	asked := func() (n int) {
		t.Helper()
		_, _, err = h.fetch("han", h.wants(one, file.ID))
		must(t, err)
		for _, size := range c.take() {
			n += size
		}
		return n
	}
	asked()
	if n := asked(); n != 0 {
		t.Errorf("a warm file asked Vault for %d keys", n)
	}
	_, err = h.RevokeGrant(t.Context(), h.as("dora"), g.ID)
	must(t, err)
	if n := asked(); n != 2 {
		t.Errorf("after the revocation a file asked Vault for %d keys, want the record's and the file's", n)
	}
}
