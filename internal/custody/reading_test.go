package custody_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// searchable gives everything that is pending an index and fills the search index.
func (h *house) searchable() {
	h.t.Helper()
	ctx := h.t.Context()
	pool, err := pgxpool.New(ctx, h.db.App)
	must(h.t, err)
	defer pool.Close()
	seq, err := pglog.NewSequencer(ctx, pglog.SequencerConfig{Pool: pool, Institution: h.institution})
	must(h.t, err)
	x, err := pglog.NewIndexer(ctx, pglog.IndexerConfig{Pool: pool, Institution: h.institution})
	must(h.t, err)
	for _, step := range []func() (int, error){func() (int, error) { return seq.Step(ctx) }, func() (int, error) { return x.Step(ctx) }} {
		for {
			n, err := step()
			must(h.t, err)
			if n == 0 {
				break
			}
		}
	}
}

// answered waits until the outcomes of what was asked are in the log.
func (h *house) answered() {
	h.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for h.Owed() > 0 {
		if time.Now().After(deadline) {
			h.t.Fatal("outcomes are still owed after 10 s")
		}
		<-time.After(2 * time.Millisecond)
	}
}

func (h *house) read(person, id, purpose string) {
	h.t.Helper()
	_, err := h.Read(h.t.Context(), h.as(person), custody.ReadRequest{ID: id, Purpose: purpose})
	must(h.t, err)
}

func (h *house) searchLog(person, text string) *custody.LogPage {
	h.t.Helper()
	purpose := "audit"
	if person != "aud" {
		purpose = "incident"
	}
	page, err := h.SearchLog(h.t.Context(), h.as(person), custody.LogSearch{Purpose: purpose, Text: text, PageSize: 200})
	must(h.t, err)
	return page
}

func kinds(page *custody.LogPage) map[string]int {
	n := map[string]int{}
	for _, e := range page.Items {
		n[e.Kind]++
	}
	return n
}

// portal is the complainant of a complaint.
func (h *house) portal(id string) custody.Caller {
	c := h.as("portal")
	c.Kind, c.Roles, c.Subject = custody.Portal, []string{"portal"}, id
	return c
}

func TestSearchOfTheLog(t *testing.T) {
	t.Parallel()
	h := open(t)
	one, two := h.file(1), h.file(2)
	h.walk(one, "accept", "classify", "assign")
	h.walk(two, "accept", "classify", "assign")
	h.read("han", one.ID, "handle")
	h.read("aud", two.ID, "audit")
	_, err := h.Reveal(t.Context(), h.as("quinn"), custody.RevealRequest{ID: one.ID, Purpose: "quality", Fields: []string{"phone"}, Reason: "a sample of ours"})
	if err == nil {
		t.Fatal("quality reveals")
	}
	h.answered()
	h.searchable()
	for text, want := range map[string]map[string]int{
		"actor:han action:access.read":                    {"access.read": 1},
		"操作人:han 动作:access.read 对象:" + one.ID:             {"access.read": 1},
		"action:reveal decision:deny":                     {"access.denied": 1},
		"action:access.* actor:quinn":                     {"access.denied": 1},
		"rule:R14":                                        {"access.denied": 1},
		"subject:" + two.ID + " role:auditor":             {"access.read": 1},
		"actor:han,aud action:access.read":                {"access.read": 2},
		"actor:nobody":                                    {},
		"action:access.read -actor:han":                   {"access.read": 1},
		"field:phone decision:deny":                       {"access.denied": 1},
		"action:access.read until:2020-01-01":             {},
		"action:access.read since:1h stage:intent":        {"access.read": 2},
		"subject:person:han action:duty.appointed":        {"duty.appointed": 2}, // appointed, and confirmed
		"purpose:audit action:access.read decision:allow": {"access.read": 1},
	} {
		if diff := cmp.Diff(want, kinds(h.searchLog("aud", text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	hit := h.searchLog("aud", "actor:han action:access.read").Items[0]
	if hit.Name != "han" || !strings.HasPrefix(hit.Actor, "a-") || hit.LeafHash == "" || hit.Decision.Rule == "" || hit.Subject != "complaint:"+one.ID {
		t.Errorf("a hit lacks what is clear in its entry: %+v", hit)
	}
	refusedSearches(t, h)
	searchIsAnEntry(t, h)
}

// refusedSearches: who may not search, and what is no query.
func refusedSearches(t *testing.T, h *house) {
	t.Helper()
	var refused *custody.RefusedError
	if _, err := h.SearchLog(t.Context(), h.as("han"), custody.LogSearch{Purpose: "handle", Text: "actor:aud"}); !errors.As(err, &refused) {
		t.Errorf("a handler searches the log: %v", err)
	}
	var wrong *custody.InvalidError
	for _, text := range []string{"han", "who:han", `actor:"han`} {
		if _, err := h.SearchLog(t.Context(), h.as("aud"), custody.LogSearch{Purpose: "audit", Text: text}); !errors.As(err, &wrong) || wrong.Problems[0].EN == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := h.SearchLog(t.Context(), h.as("aud"), custody.LogSearch{Purpose: "audit", Text: "actor:han", Codes: true}); !errors.As(err, &wrong) {
		t.Errorf("a person's name in an address: %v", err)
	}
	if _, err := h.SearchLog(t.Context(), h.as("aud"), custody.LogSearch{Text: "actor:han"}); !errors.Is(err, custody.ErrPurposeRequired) {
		t.Errorf("without a purpose: %v", err)
	}
}

// searchIsAnEntry: the search is in the log with its keys, its text committed to.
func searchIsAnEntry(t *testing.T, h *house) {
	t.Helper()
	page := h.searchLog("aud", "actor:han rule:R14")
	state, err := h.log.Entry(t.Context(), page.Audit.Entry)
	must(t, err)
	b, err := audit.ParseBody(state.Body)
	must(t, err)
	filters, _ := b.Facts.List("filters")
	if b.Kind != "access.log" || !slices.Equal(filters, []string{"actor", "rule"}) || b.Commit["q"] == "" || b.Purpose != "audit" {
		t.Errorf("the search's entry: %+v", b)
	}
	if strings.Contains(string(state.Body), "han") {
		t.Error("the entry says whom the search was for")
	}
}

// Pages of a search end as they began, however the log grows meanwhile.
func TestSearchPagesArePinned(t *testing.T) {
	t.Parallel()
	h := open(t)
	one := h.file(1)
	h.walk(one, "accept", "classify", "assign")
	for range 5 {
		h.read("han", one.ID, "handle")
	}
	h.answered()
	h.searchable()
	ask := custody.LogSearch{Purpose: "audit", Text: "action:access.read since:7d", PageSize: 2}
	var seen []uint64
	for {
		page, err := h.SearchLog(t.Context(), h.as("aud"), ask)
		must(t, err)
		for _, e := range page.Items {
			seen = append(seen, e.Index)
		}
		if page.Next == "" {
			break
		}
		ask.After = page.Next
		h.read("han", one.ID, "handle")
		h.answered()
		h.searchable()
	}
	if len(seen) != 5 || !slices.IsSortedFunc(seen, func(a, b uint64) int { return int(b) - int(a) }) {
		t.Errorf("indexes of the pages: %v", seen)
	}
}

// An export is what the search shows; its digest, its root and the commitment of
// its query hold.
func TestExportIsWhatTheSearchShows(t *testing.T) {
	t.Parallel()
	h := open(t)
	one := h.file(1)
	h.walk(one, "accept", "classify", "assign")
	h.read("han", one.ID, "handle")
	h.answered()
	h.searchable()
	const text = "操作人:han"
	shown := h.searchLog("aud", text)
	encode := func(list []custody.LogEntry) ([]byte, error) { return json.Marshal(list) }
	raw, m, err := h.ExportLog(t.Context(), h.as("aud"), custody.LogSearch{Purpose: "audit", Text: text}, shown.Size, encode)
	must(t, err)
	want, err := encode(shown.Items)
	must(t, err)
	if string(raw) != string(want) || m.Count != len(shown.Items) || m.Size != shown.Size {
		t.Errorf("the export has %d bytes, the search %d", len(raw), len(want))
	}
	root, err := h.log.RootAt(t.Context(), pglog.Place{Year: m.Log, Index: m.Size})
	must(t, err)
	if m.Root != hex.EncodeToString(root[:]) {
		t.Error("the manifest has another root")
	}
	state, err := h.log.Entry(t.Context(), m.Audit.Entry)
	must(t, err)
	b, err := audit.ParseBody(state.Body)
	must(t, err)
	salt, err := hex.DecodeString(m.Salt)
	must(t, err)
	if b.Commit["q"] != audit.Commit("q", [16]byte(salt), []byte(text)) {
		t.Error("the salt does not open the entry's commitment")
	}
	var wrong *custody.InvalidError
	if _, _, err := h.ExportLog(t.Context(), h.as("aud"), custody.LogSearch{Purpose: "audit", Text: text}, 1e9, encode); !errors.As(err, &wrong) {
		t.Errorf("a size that the log has not reached: %v", err)
	}
}

func TestSavedQueries(t *testing.T) {
	t.Parallel()
	h := open(t)
	saved, err := h.SaveQuery(t.Context(), h.as("aud"), custody.SavedQuery{Name: "refusals", Text: "decision:deny actor:han"}, "audit")
	must(t, err)
	var conflict *custody.ConflictError
	if _, err := h.SaveQuery(t.Context(), h.as("aud"), custody.SavedQuery{Name: "refusals", Text: "decision:deny"}, "audit"); !errors.As(err, &conflict) {
		t.Errorf("the same name again: %v", err)
	}
	list, err := h.SavedQueries(t.Context(), h.as("aud"))
	must(t, err)
	other, err := h.SavedQueries(t.Context(), h.as("cora"))
	must(t, err)
	if len(list.Items) != 1 || list.Items[0].Text != "decision:deny actor:han" || len(other.Items) != 0 {
		t.Errorf("saved: %+v, of another: %+v", list, other)
	}
	if _, err := h.DeleteQuery(t.Context(), h.as("cora"), saved.ID, "incident"); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("another deletes it: %v", err)
	}
	_, err = h.DeleteQuery(t.Context(), h.as("aud"), saved.ID, "audit")
	must(t, err)
	state, err := h.log.Entry(t.Context(), saved.Audit.Entry)
	must(t, err)
	if strings.Contains(string(state.Body), "han") || !strings.Contains(string(state.Body), `"kind":"query.saved"`) {
		t.Error("the entry of the saved query is another, or says whom it is for")
	}
}

// A clerk sees what the log holds about her own accesses and her account, and
// learns nothing by it that she was not told.
func TestOwnView(t *testing.T) {
	t.Parallel()
	h := open(t)
	mine := h.file(1)
	h.walk(mine, "accept", "classify", "assign")
	h.read("han", mine.ID, "handle")
	about := h.accusing(2) // names hugo
	for _, id := range []string{about.ID, "11111111-2222-4333-8444-555555555555"} {
		if _, err := h.Read(t.Context(), h.as("hugo"), custody.ReadRequest{ID: id, Purpose: "handle"}); !errors.Is(err, custody.ErrNotFound) {
			t.Fatalf("hugo reads %s: %v", id, err)
		}
	}
	h.answered()
	h.searchable()
	page, err := h.Own(t.Context(), h.as("han"), custody.OwnRequest{PageSize: 200})
	must(t, err)
	got := map[string]int{}
	for _, e := range page.Items {
		got[e.Kind]++
		if strings.Contains(e.Kind, "access.read") && (!e.Mine || e.Subject != "complaint:"+mine.ID) {
			t.Errorf("an access of hers: %+v", e)
		}
	}
	for kind, n := range map[string]int{"access.read": 1, "person.added": 1, "duty.appointed": 2, "training.passed": 1, "undertaking.signed": 1} {
		if got[kind] != n {
			t.Errorf("%d entries %s, want %d (all: %v)", got[kind], kind, n, got)
		}
	}
	raw, err := json.Marshal(page.Items)
	must(t, err)
	if strings.Contains(string(raw), "sec-a") {
		t.Error("her view names somebody else")
	}
	hiddenRefusalsAreAlike(t, h)
}

// accusing files a complaint that names hugo (E-0102) as respondent.
func (h *house) accusing(n int) *custody.Created {
	h.t.Helper()
	c, err := h.Create(h.t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: draft(n)})
	must(h.t, err)
	return c
}

// hiddenRefusalsAreAlike: what hugo was refused because it is about him looks as
// what does not exist.
func hiddenRefusalsAreAlike(t *testing.T, h *house) {
	t.Helper()
	page, err := h.Own(t.Context(), h.as("hugo"), custody.OwnRequest{PageSize: 200})
	must(t, err)
	var denied []string
	for _, e := range page.Items {
		if e.Kind != "access.denied" {
			continue
		}
		e.Entry, e.Index, e.LeafHash, e.At, e.Request = 0, 0, "", time.Time{}, ""
		raw, err := json.Marshal(e)
		must(t, err)
		denied = append(denied, string(raw))
	}
	if len(denied) != 2 || denied[0] != denied[1] {
		t.Errorf("refusals differ:\n%s", strings.Join(denied, "\n"))
	}
}

// The complainant learns which duties looked on which day, and no name.
func TestWhoLookedAtMyComplaint(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.file(1)
	h.walk(c, "accept", "classify", "assign")
	h.read("han", c.ID, "handle")
	h.read("han", c.ID, "handle")
	h.read("aud", c.ID, "audit")
	_, err := h.Reveal(t.Context(), h.as("han"), custody.RevealRequest{ID: c.ID, Purpose: "handle", Fields: []string{"phone"}, Reason: "to call back"})
	must(t, err)
	answer, err := h.Looked(t.Context(), h.portal(c.ID), c.ID, "subject_request", false)
	must(t, err)
	today := time.Now().In(time.FixedZone("", 8*3600)).Format(time.DateOnly)
	want := []custody.LookedGroup{{Date: today, Duty: "handler", What: "clear", Times: 1}, {Date: today, Duty: "auditor", What: "masked", Times: 1},
		{Date: today, Duty: "handler", What: "masked", Times: 2}}
	if diff := cmp.Diff(want, answer.Items); diff != "" || answer.Entries != 4 {
		t.Errorf("%d entries (-want +got):\n%s", answer.Entries, diff)
	}
	if _, err := h.Looked(t.Context(), h.portal("11111111-2222-4333-8444-555555555555"), c.ID, "subject_request", false); !errors.Is(err, custody.ErrNotFound) {
		t.Errorf("somebody else's complaint: %v", err)
	}
	if _, err := h.Looked(t.Context(), h.as("dora"), c.ID, "subject_request", false); err != nil {
		t.Errorf("the data protection officer, for the complainant: %v", err)
	}
	if _, err := h.Looked(t.Context(), h.as("han"), c.ID, "handle", false); err == nil {
		t.Error("a handler asks who looked")
	}
}

// Whoever a complaint is about finds no entry of it, whatever she may search.
func TestSearchHidesWhatIsAboutOneself(t *testing.T) {
	t.Parallel()
	h := open(t)
	about := draft(1)
	about.Fields["respondent_staff_id"] = "E-0107" // cora
	c, err := h.Create(t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: about})
	must(t, err)
	h.walk(c, "accept", "classify")
	h.answered()
	h.searchable()
	for _, text := range []string{"subject:" + c.ID, "action:complaint.*"} {
		if n := len(h.searchLog("cora", text).Items); n != 0 {
			t.Errorf("%s: cora finds %d entries about herself", text, n)
		}
		if n := len(h.searchLog("aud", text).Items); n == 0 {
			t.Errorf("%s: the auditor finds none", text)
		}
	}
}
