package custody_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/disclosure"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// recipient makes a key pair of whoever is to open a package.
func recipient(t *testing.T) (age.Identity, string) {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	must(t, err)
	return id, id.Recipient().String()
}

// asking is a request by the head for one record.
func (h *house) asking(complaint, key string) custody.Disclosure {
	return custody.Disclosure{Scope: "record", Complaint: complaint, Groups: []string{"identity", "contact"}, Recipient: key, RecipientName: "某区人民法院",
		Basis: "court_order", Purpose: "approve", ExpiresAt: time.Now().Add(24 * time.Hour)}
}

// opened reads a package to its end.
func openedPackage(t *testing.T, sealed []byte, id age.Identity) ([]disclosure.Item, *disclosure.Reader, error) {
	t.Helper()
	r, err := disclosure.Open(bytes.NewReader(sealed), id)
	if err != nil {
		return nil, nil, err
	}
	var items []disclosure.Item
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return items, r, nil
		}
		if err != nil {
			return items, r, err
		}
		items = append(items, item)
	}
}

func fieldOf(r *disclosure.Record, name string) string {
	i := slices.IndexFunc(r.Fields, func(f disclosure.Field) bool { return f.Name == name })
	if i < 0 {
		return ""
	}
	return string(r.Fields[i].Value)
}

func conflict(t *testing.T, err error, code string) {
	t.Helper()
	if c, ok := errors.AsType[*custody.ConflictError](err); !ok || c.Code != code {
		t.Errorf("want conflict %s, got %v", code, err)
	}
}

func refused(t *testing.T, err error, reason string) {
	t.Helper()
	if r, ok := errors.AsType[*custody.RefusedError](err); !ok || r.Decision.Reason != reason {
		t.Errorf("want refusal %s, got %v", reason, err)
	}
}

func TestPackageOfOneRecordNeedsTwo(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	c := h.file(1)
	h.walk(c, "accept", "classify")
	id, key := recipient(t)
	asked, err := h.RequestDisclosure(ctx, h.as("hedda"), h.asking(c.ID, key))
	must(t, err)
	if asked.State != "requested" || !asked.PostQuantum || asked.RecipientSHA256 == "" || !strings.HasPrefix(asked.Watermark, "wm-") {
		t.Errorf("asked: %+v", asked)
	}
	// Not yet, and not by herself.
	_, err = h.Produce(ctx, h.as("hedda"), asked.ID)
	conflict(t, err, "state_conflict")
	_, err = h.SettleDisclosure(ctx, h.as("hedda"), asked.ID, "confirm")
	refused(t, err, "own_request")
	// The head's own request needs the data protection officer only.
	_, err = h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "approve")
	conflict(t, err, "state_conflict")
	confirmed, err := h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "confirm")
	must(t, err)
	if confirmed.State != "confirmed" || confirmed.ConfirmedBy != "dora" {
		t.Errorf("confirmed: %+v", confirmed)
	}
	_, err = h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "refuse")
	conflict(t, err, "already_decided")

	pack, err := h.Produce(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	var sealed bytes.Buffer
	made, err := pack.Stream(ctx, &sealed)
	must(t, err)
	items, r, err := openedPackage(t, sealed.Bytes(), id)
	must(t, err)
	if len(items) != 1 || items[0].Record == nil {
		t.Fatalf("the package holds %+v", items)
	}
	rec := items[0].Record
	if fieldOf(rec, "phone") != "13800138000" || fieldOf(rec, "complainant_name") != "张三丰" || fieldOf(rec, "narrative") != "" || fieldOf(rec, "bank_card") != "" {
		t.Errorf("fields %+v", rec.Fields)
	}
	head := r.Header()
	if head.Watermark != asked.Watermark || head.Disclosure != asked.ID || head.LogEntry != confirmed.Audit.Entry || head.LogSHA256 != confirmed.Audit.BodySHA256 || head.RecipientName != "某区人民法院" {
		t.Errorf("header %+v", head)
	}
	// Once only; the log says what left.
	_, err = h.Produce(ctx, h.as("hedda"), asked.ID)
	conflict(t, err, "already_decided")
	shown, err := h.Disclosure(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	if shown.State != "produced" || shown.Records != 1 || shown.PackageSHA256 != hexOf(made.PackageSHA256) {
		t.Errorf("shown %+v", shown)
	}
	kinds := h.stagesOf(c.ID)
	for _, kind := range []string{"event disclosure.requested", "event disclosure.confirmed", "intent access.disclosed", "event disclosure.produced"} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("the trail lacks %s: %v", kind, kinds)
		}
	}
	if slices.Index(kinds, "intent access.disclosed") > slices.Index(kinds, "event disclosure.produced") {
		t.Errorf("the package was produced before its record's intent: %v", kinds)
	}
}

// stagesOf lists the entries of a complaint's trail, oldest first.
func (h *house) stagesOf(id string) []string {
	h.t.Helper()
	var kinds []string
	entries, err := h.log.Trail(h.t.Context(), "complaint:"+id, 500)
	must(h.t, err)
	slices.SortFunc(entries, func(a, b trailEntry) int { return int(int64(a.ID) - int64(b.ID)) })
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		must(h.t, err)
		kinds = append(kinds, string(b.Stage)+" "+b.Kind)
	}
	return kinds
}

func TestHeadAndOfficerAssentInOrder(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	c := h.file(1)
	_, key := recipient(t)
	r := h.asking(c.ID, key)
	r.Groups, r.Purpose, r.Basis = []string{"narrative"}, "regulator_report", "supervisor"
	asked, err := h.RequestDisclosure(ctx, h.as("cora"), r)
	must(t, err)
	_, err = h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "confirm")
	if err == nil {
		t.Fatal("confirmed before it was approved")
	}
	approved, err := h.SettleDisclosure(ctx, h.as("hedda"), asked.ID, "approve")
	must(t, err)
	if approved.State != "approved" || approved.ApprovedBy != "hedda" {
		t.Errorf("approved: %+v", approved)
	}
	_, err = h.Produce(ctx, h.as("cora"), asked.ID)
	conflict(t, err, "state_conflict")
	if _, err = h.SettleDisclosure(ctx, h.as("hedda"), asked.ID, "confirm"); err == nil {
		t.Error("the same person gave both assents")
	}
	_, err = h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "confirm")
	must(t, err)
	pack, err := h.Produce(ctx, h.as("cora"), asked.ID)
	must(t, err)
	if _, err := pack.Stream(ctx, io.Discard); err != nil {
		t.Error(err)
	}
	// Handlers neither ask nor assent nor take packages away.
	_, err = h.RequestDisclosure(ctx, h.as("han"), h.asking(c.ID, key))
	if _, ok := errors.AsType[*custody.RefusedError](err); !ok {
		t.Errorf("a handler asked: %v", err)
	}
	if _, err = h.Produce(ctx, h.as("han"), asked.ID); err == nil {
		t.Error("a handler takes a package away")
	}
}

func TestRefusedAndExpiredRequestsProduceNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	c := h.file(1)
	_, key := recipient(t)
	asked, err := h.RequestDisclosure(ctx, h.as("hedda"), h.asking(c.ID, key))
	must(t, err)
	_, err = h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "refuse")
	must(t, err)
	_, err = h.Produce(ctx, h.as("hedda"), asked.ID)
	conflict(t, err, "already_decided")

	asked = h.confirmed(c.ID, key)
	h.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	_, err = h.Produce(ctx, h.as("hedda"), asked.ID)
	conflict(t, err, "disclosure_expired")
	h.now = time.Now
	pack, err := h.Produce(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	// It expires while it streams: no whole package.
	h.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	if _, err = pack.Stream(ctx, io.Discard); err == nil {
		t.Error("an expired package was produced")
	}
}

// confirmed asks for a package and has it confirmed.
func (h *house) confirmed(complaint, key string) *custody.Disclosure {
	h.t.Helper()
	asked, err := h.RequestDisclosure(h.t.Context(), h.as("hedda"), h.asking(complaint, key))
	must(h.t, err)
	asked, err = h.SettleDisclosure(h.t.Context(), h.as("dora"), asked.ID, "confirm")
	must(h.t, err)
	return asked
}

func TestWrongRequestsAreNamed(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	c := h.file(1)
	_, key := recipient(t)
	secret, err := age.GenerateX25519Identity()
	must(t, err)
	for name, change := range map[string]func(*custody.Disclosure){
		"/recipient recipient_ssh_key":    func(r *custody.Disclosure) { r.Recipient = "ssh-ed25519 AAAA" },
		"/recipient recipient_secret_key": func(r *custody.Disclosure) { r.Recipient = secret.String() },
		"/recipient recipient_passphrase": func(r *custody.Disclosure) { r.Recipient = "open sesame please" },
		"/groups unknown_value":           func(r *custody.Disclosure) { r.Groups = []string{"meta"} },
		"/groups required":                func(r *custody.Disclosure) { r.Groups = nil },
		"/groups duplicate":               func(r *custody.Disclosure) { r.Groups = []string{"contact", "contact"} },
		"/basis unknown_value":            func(r *custody.Disclosure) { r.Basis = "curiosity" },
		"/scope unknown_value":            func(r *custody.Disclosure) { r.Scope = "all" },
		"/expires_at out_of_range":        func(r *custody.Disclosure) { r.ExpiresAt = time.Now().AddDate(1, 0, 0) },
		"/recipient_name required":        func(r *custody.Disclosure) { r.RecipientName = " " },
		"/recipient_name malformed":       func(r *custody.Disclosure) { r.RecipientName = "致 13800138000" },
		"/recipient_name read_only":       func(r *custody.Disclosure) { r.Basis = "subject_access" },
		"/complaint required":             func(r *custody.Disclosure) { r.Complaint = "" },
		"/complaint read_only":            func(r *custody.Disclosure) { r.Scope, r.Basis = "institution", "migration" },
	} {
		r := h.asking(c.ID, key)
		change(&r)
		_, err := h.RequestDisclosure(ctx, h.as("hedda"), r)
		invalid, ok := errors.AsType[*custody.InvalidError](err)
		if !ok {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := invalid.Problems[0]
		if got := p.Pointer + " " + p.Code; got != name || p.ZH == "" || p.EN == "" {
			t.Errorf("got %s, want %s", got, name)
		}
	}
}

// TestForgedRequestsProduceNothing: whoever writes SQL can approve for others or
// change the recipient; the log does not bear it out.
func TestForgedRequestsProduceNothing(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"another recipient":  "update sealtrail.disclosure set recipient = $2 where id = $1",
		"more groups":        "update sealtrail.disclosure set groups = array['account','contact','identity'] where id = $1 and $2 <> ''",
		"a later end":        "update sealtrail.disclosure set expires_at = expires_at + interval '1 day' where id = $1 and $2 <> ''",
		"confirmed by SQL":   "update sealtrail.disclosure set state = 'confirmed', confirmed_by = 'dora', confirmed_at = now() where id = $1 and $2 <> ''",
		"produced once more": "update sealtrail.disclosure set state = 'confirmed' where id = $1 and $2 <> ''",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			ctx := t.Context()
			c := h.file(1)
			_, key := recipient(t)
			_, other := recipient(t)
			asked, err := h.RequestDisclosure(ctx, h.as("hedda"), h.asking(c.ID, key))
			must(t, err)
			if name != "confirmed by SQL" {
				_, err = h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "confirm")
				must(t, err)
			}
			if name == "produced once more" {
				pack, err := h.Produce(ctx, h.as("hedda"), asked.ID)
				must(t, err)
				_, err = pack.Stream(ctx, io.Discard)
				must(t, err)
			}
			_, err = h.admin.Exec(ctx, sql, asked.ID, other)
			must(t, err)
			if _, err = h.Produce(ctx, h.as("hedda"), asked.ID); !errors.Is(err, custody.ErrIntegrity) {
				t.Errorf("produced: %v", err)
			}
			if !slices.Contains(h.stagesOf(c.ID), "event access.integrity") {
				t.Error("the finding is no entry")
			}
		})
	}
}

// cut breaks off after n bytes, as a network does.
type cut struct{ n int }

func (c *cut) Write(b []byte) (int, error) {
	if c.n -= len(b); c.n < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func TestAPackageThatBrokeOffMayBeProducedAgain(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	c := h.file(1)
	id, key := recipient(t)
	asked := h.confirmed(c.ID, key)
	pack, err := h.Produce(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	if _, err := pack.Stream(ctx, &cut{100}); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("into a broken pipe: %v", err)
	}
	// Two at once: one is whole, the other is not.
	var packs [2]bytes.Buffer
	var errs [2]error
	done := make(chan struct{})
	for i := range packs {
		one, err := h.Produce(ctx, h.as("hedda"), asked.ID)
		must(t, err)
		go func() {
			_, errs[i] = one.Stream(ctx, &packs[i])
			done <- struct{}{}
		}()
	}
	<-done
	<-done
	whole := 0
	for i := range packs {
		_, _, err := openedPackage(t, packs[i].Bytes(), id)
		if (err == nil) != (errs[i] == nil) {
			t.Errorf("package %d: produced with %v, reads with %v", i, errs[i], err)
		}
		if err == nil {
			whole++
		}
	}
	if whole != 1 {
		t.Errorf("%d whole packages", whole)
	}
}

type trailEntry = pglog.TrailEntry

func hexOf(sum [32]byte) string { return hex.EncodeToString(sum[:]) }

// leaving asks for everything and has it approved by two others.
func (h *house) leaving(key string) *custody.Disclosure {
	h.t.Helper()
	ctx := h.t.Context()
	r := custody.Disclosure{Scope: "institution", Groups: []string{"identity", "contact", "account", "narrative"}, Recipient: key, RecipientName: "本机构",
		Basis: "migration", Purpose: "legal", ExpiresAt: time.Now().Add(24 * time.Hour)}
	asked, err := h.RequestDisclosure(ctx, h.asLegal(), r)
	must(h.t, err)
	if _, err := h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "confirm"); err == nil {
		h.t.Error("everything was confirmed before it was approved")
	}
	_, err = h.SettleDisclosure(ctx, h.as("cora"), asked.ID, "approve")
	must(h.t, err)
	_, err = h.Produce(ctx, h.asLegal(), asked.ID)
	conflict(h.t, err, "state_conflict")
	asked, err = h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "confirm")
	must(h.t, err)
	return asked
}

// withLegal appoints a legal officer, who alone asks for everything.
func (h *house) withLegal() {
	h.t.Helper()
	ctx := h.t.Context()
	_, err := h.AddPerson(ctx, h.as("sec-a"), custody.Person{ID: "lena", Kind: custody.Human, Department: "legal", StaffID: "E-0900", Status: "active"})
	must(h.t, err)
	h.duty("lena", "legal", "major", "legal")
	h.train("lena")
	_, err = h.SignUndertaking(ctx, h.asLegal(), custody.Undertaking{Person: "lena", Version: "2026-1"})
	must(h.t, err)
}

func (h *house) asLegal() custody.Caller {
	c := h.as("lena")
	c.Roles = []string{"legal"}
	return c
}

func TestLeavingTakesEverythingUnderThreePersons(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.withLegal()
	ctx := t.Context()
	const n = 150 // more than two pages
	var drafts []intake.Draft
	for i := range n {
		d := draft(i)
		delete(d.Fields, "respondent_staff_id")
		drafts = append(drafts, d)
	}
	// One about the officer herself: she does not take it away.
	own := draft(n)
	own.Fields["respondent_staff_id"] = "E-0900"
	items, err := h.CreateBatch(ctx, h.as("ivy"), "handle", append(drafts, own))
	must(t, err)
	var ids []string
	for _, item := range items {
		must(t, item.Err)
		ids = append(ids, item.Created.ID)
	}
	// One that was changed behind the service's back.
	_, err = h.admin.Exec(ctx, "update sealtrail.complaint set phone_sealed = narrative_sealed where id = $1", ids[7])
	must(t, err)
	id, key := recipient(t)
	asked := h.leaving(key)
	before := h.keys.Stats().Calls
	pack, err := h.Produce(ctx, h.asLegal(), asked.ID)
	must(t, err)
	var sealed bytes.Buffer
	made, err := pack.Stream(ctx, &sealed)
	must(t, err)
	calls := h.keys.Stats().Calls - before
	got, r, err := openedPackage(t, sealed.Bytes(), id)
	must(t, err)
	seen, withheld := map[string]bool{}, map[string]string{}
	for _, item := range got {
		if item.Withheld != nil {
			withheld[item.Withheld.Name] = item.Withheld.Code
			continue
		}
		seen[item.Record.ID] = true
		if fieldOf(item.Record, "phone") != "13800138000" || fieldOf(item.Record, "bank_card") == "" || fieldOf(item.Record, "narrative") == "" {
			t.Fatalf("record %s: %+v", item.Record.ID, item.Record.Fields)
		}
	}
	if len(seen) != n-1 || withheld[ids[7]] != "integrity" || withheld[ids[n]] != "refused" || len(withheld) != 2 {
		t.Errorf("%d records, withheld %v", len(seen), withheld)
	}
	if r.Trailer().Withheld["integrity"] != 1 || made.Records != n-1 || made.Withheld != 2 {
		t.Errorf("counted %+v, %+v", r.Trailer(), made)
	}
	// One call to Vault for each page, not for each record.
	if calls > 10 {
		t.Errorf("%d calls to Vault for %d records", calls, n)
	}
	if !slices.Contains(h.stagesOf(ids[3]), "intent access.disclosed") || slices.Contains(h.stagesOf(ids[n]), "intent access.disclosed") {
		t.Error("the trails do not say which records left")
	}
}

func TestPackageOfOneComplainant(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	first, second := h.file(1), h.file(2)
	other := draft(3)
	other.Fields["id_number"], other.Fields["phone"] = "110101199003072316", "13900139000"
	_, err := h.Create(ctx, h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: other})
	must(t, err)
	id, key := recipient(t)
	r := h.asking(first.ID, key)
	r.Scope, r.Basis, r.RecipientName = "subject", "subject_access", ""
	asked, err := h.RequestDisclosure(ctx, h.as("hedda"), r)
	must(t, err)
	_, err = h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "confirm")
	must(t, err)
	pack, err := h.Produce(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	var sealed bytes.Buffer
	_, err = pack.Stream(ctx, &sealed)
	must(t, err)
	items, _, err := openedPackage(t, sealed.Bytes(), id)
	must(t, err)
	var got []string
	for _, item := range items {
		got = append(got, item.Record.ID)
	}
	slices.Sort(got)
	want := []string{first.ID, second.ID}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("packed %v, want %v", got, want)
	}
}

// TestVaultAwayForAMomentDelaysAPackage: a page whose keys cannot be borrowed is
// asked for again under new intents.
func TestVaultAwayForAMomentDelaysAPackage(t *testing.T) {
	t.Parallel()
	var w *limping
	h := openOn(t, pgtest.New(t, "custody", migrate), vaulttest.New(t), taps{wrapper: func(real keyring.Wrapper) keyring.Wrapper {
		w = &limping{Wrapper: real}
		return w
	}})
	ctx := t.Context()
	c := h.file(1)
	id, key := recipient(t)
	asked := h.confirmed(c.ID, key)
	h.keys.VoidAll("test")
	pack, err := h.Produce(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	w.away.Store(1)
	var sealed bytes.Buffer
	_, err = pack.Stream(ctx, &sealed)
	must(t, err)
	if items, _, err := openedPackage(t, sealed.Bytes(), id); err != nil || len(items) != 1 || items[0].Record == nil {
		t.Errorf("%d items, %v", len(items), err)
	}
	if n := strings.Count(strings.Join(h.stagesOf(c.ID), "\n"), "intent access.disclosed"); n != 2 {
		t.Errorf("%d intents for one try that failed and one that did not", n)
	}
	// Away for longer than a package waits: it breaks off, and may be had later.
	asked = h.confirmed(c.ID, key)
	h.keys.VoidAll("test")
	pack, err = h.Produce(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	short, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	w.away.Store(1000)
	if _, err = pack.Stream(short, io.Discard); err == nil {
		t.Error("a package was produced without Vault")
	}
	w.away.Store(0)
	shown, err := h.Disclosure(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	if shown.State != "confirmed" {
		t.Errorf("its state is %s", shown.State)
	}
}

// limping refuses so many calls.
type limping struct {
	keyring.Wrapper
	away atomic.Int64
}

func (l *limping) Unwrap(ctx context.Context, batch string, items []keyring.UnwrapItem) ([]keyring.UnwrapResult, error) {
	if l.away.Add(-1) >= 0 {
		return nil, &keyring.UnavailableError{Op: "unwrap", Cause: keyring.CauseUnreachable}
	}
	return l.Wrapper.Unwrap(ctx, batch, items)
}

// TestTheImplicatedTakeNoPackage: recusal holds for whoever fetches, before the
// approval is used up.
func TestTheImplicatedTakeNoPackage(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	d := draft(1)
	d.Fields["respondent_staff_id"] = "E-0103" // hedda
	c, err := h.Create(ctx, h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
	must(t, err)
	_, key := recipient(t)
	if _, err := h.RequestDisclosure(ctx, h.as("hedda"), h.asking(c.ID, key)); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("the implicated head asked: %v", err)
	}
	r := h.asking(c.ID, key)
	r.Groups, r.Purpose = []string{"narrative"}, "regulator_report"
	asked, err := h.RequestDisclosure(ctx, h.as("cora"), r)
	must(t, err)
	if _, err := h.SettleDisclosure(ctx, h.as("hedda"), asked.ID, "approve"); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("the implicated head approved: %v", err)
	}
	if _, err := h.Produce(ctx, h.as("hedda"), asked.ID); err == nil {
		t.Error("the implicated head takes the package away")
	}
	if _, err := h.Disclosure(ctx, h.as("hedda"), asked.ID); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("the implicated head sees the request: %v", err)
	}
}
