package custody_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sealedintake "github.com/sealtrail/sealtrail/crypto/intake"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// intakeKey makes the institution's intake key, or the next version of it.
func (h *house) intakeKey(rotate bool) *sealedintake.PublicKey {
	h.t.Helper()
	var published []byte
	k, err := h.EnsureIntakeKey(h.t.Context(), rotate, func(_ context.Context, bundle []byte) error { published = bundle; return nil })
	must(h.t, err)
	if published != nil && !bytes.Equal(published, k.Bundle) {
		h.t.Error("another key was published than is answered")
	}
	public, err := sealedintake.ParsePublicKey(k.Bundle)
	must(h.t, err)
	return public
}

func sealDraft(t *testing.T, k *sealedintake.PublicKey, d intake.Draft, at time.Time) []byte {
	t.Helper()
	raw, err := json.Marshal(d)
	must(t, err)
	e, _, err := k.Seal(sealedintake.Draft{Source: d.Source, SourceID: d.SourceID, Body: raw}, at)
	must(t, err)
	return e.Bytes()
}

func (h *house) ingest(envelopes ...[]byte) []custody.BatchItem {
	h.t.Helper()
	items, err := h.Ingest(h.t.Context(), h.as("ivy"), "handle", envelopes)
	must(h.t, err)
	return items
}

func TestSealedDraftsComeInLateAndOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	k := h.intakeKey(false)
	if again := h.intakeKey(false); again.Fingerprint() != k.Fingerprint() || k.Version() != 1 {
		t.Error("a second key was made")
	}
	received := time.Now().Add(-30 * time.Hour).UTC().Truncate(time.Second)
	sealedAt := time.Now().Add(-29 * time.Hour).UTC().Truncate(time.Microsecond)
	d := draft(1)
	d.ReceivedAt = received
	envelope := sealDraft(t, k, d, sealedAt)
	items := h.ingest(envelope, envelope)
	if items[0].Err != nil || items[1].Err != nil || items[0].Created.Existing || !items[1].Created.Existing || items[0].Created.ID != items[1].Created.ID {
		t.Fatalf("answers %+v %+v", items[0], items[1])
	}
	// The clocks start when it was received, not when it came in.
	in := h.file(2)
	if late, now := items[0].Created.Due[0].DueAt, in.Due[0].DueAt; !late.Before(now.Add(-20 * time.Hour)) {
		t.Errorf("due %s, a new one %s", late, now)
	}
	// Once more, and once more under another intake agent's request.
	again := h.ingest(envelope)
	if again[0].Err != nil || again[0].Created.ID != items[0].Created.ID || !again[0].Created.Existing {
		t.Errorf("again: %+v", again[0])
	}
	entries, err := h.log.Trail(ctx, "complaint:"+items[0].Created.ID, 50)
	must(t, err)
	recorded := 0
	for _, e := range entries {
		var b struct {
			Kind  string
			Facts map[string]any
		}
		must(t, json.Unmarshal(e.Body, &b))
		if b.Kind != "complaint.recorded" {
			continue
		}
		recorded++
		var sum [32]byte
		env, err := sealedintake.ParseEnvelope(envelope)
		must(t, err)
		sum = env.SHA256()
		if b.Facts["late"] != true || b.Facts["envelope_sha256"] != hex.EncodeToString(sum[:]) ||
			b.Facts["sealed_at"] != sealedAt.Format(time.RFC3339Nano) || b.Facts["received_at"] != received.Format(time.RFC3339Nano) {
			t.Errorf("facts %v", b.Facts)
		}
	}
	if recorded != 1 {
		t.Errorf("%d entries complaint.recorded", recorded)
	}
}

func TestBadEnvelopesConcernThemselvesOnly(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.intakeKey(false)
	good := sealDraft(t, k, draft(1), time.Now())
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	foreign, err := sealedintake.NewPrivateKey("other-bank", 1, sealedintake.DefaultKEM(), bytes.Repeat([]byte{1}, 32))
	must(t, err)
	forged, err := sealedintake.NewPrivateKey(h.institution, 9, sealedintake.DefaultKEM(), bytes.Repeat([]byte{1}, 32))
	must(t, err)
	c3 := draft(3)
	c3.Fields["narrative"] = "卡片背面 CVN2 是 123,请退款"
	noJSON, _, err := k.Seal(sealedintake.Draft{Source: "app", SourceID: "x", Body: []byte(`{"source":"app","Fields":{}}`)}, time.Now())
	must(t, err)
	items := h.ingest([]byte("no envelope"), flipped, sealDraft(t, foreign.Public(), draft(4), time.Now()), sealDraft(t, forged.Public(), draft(5), time.Now()),
		sealDraft(t, k, c3, time.Now()), noJSON.Bytes(), sealDraft(t, k, draft(6), time.Now().Add(time.Hour)), good)
	for i, want := range []string{"envelope_malformed", "envelope_unopened", "envelope_foreign", "envelope_version", "c3_cvn", "unknown_field", "envelope_in_future", ""} {
		invalid, _ := errors.AsType[*custody.InvalidError](items[i].Err)
		switch {
		case want == "" && items[i].Err != nil:
			t.Errorf("the good one: %v", items[i].Err)
		case want != "" && (invalid == nil || invalid.Problems[0].Code != want):
			t.Errorf("item %d: %v, want %s", i, items[i].Err, want)
		case want != "" && invalid.Problems[0].EN == "":
			t.Errorf("%s has no sentence", want)
		}
	}
	if items[7].Created == nil || items[7].Created.Existing {
		t.Errorf("the good one: %+v", items[7])
	}
}

func TestOlderKeysGoOnOpening(t *testing.T) {
	t.Parallel()
	h := open(t)
	first := h.intakeKey(false)
	early := sealDraft(t, first, draft(1), time.Now())
	second := h.intakeKey(true)
	if second.Version() != 2 || second.Fingerprint() == first.Fingerprint() {
		t.Fatalf("rotated to version %d", second.Version())
	}
	items := h.ingest(early, sealDraft(t, second, draft(2), time.Now()))
	for i, item := range items {
		if item.Err != nil || item.Created.Existing {
			t.Errorf("envelope of version %d: %+v", i+1, item)
		}
	}
	k, err := h.IntakeKey(t.Context())
	must(t, err)
	if k.Version != 2 {
		t.Errorf("published is version %d", k.Version)
	}
}

func TestAForeignIntakeKeyIsAFinding(t *testing.T) {
	t.Parallel()
	h := open(t)
	k := h.intakeKey(false)
	good := sealDraft(t, k, draft(1), time.Now())
	// Whoever writes SQL can give clients a key of his own; not secretly.
	forged, err := sealedintake.NewPrivateKey(h.institution, 1, sealedintake.DefaultKEM(), bytes.Repeat([]byte{1}, 32))
	must(t, err)
	_, err = h.admin.Exec(t.Context(), "update keys.intake set public = $2 where institution = $1", h.institution, forged.Public().Bundle())
	must(t, err)
	if _, err := h.Ingest(t.Context(), h.as("ivy"), "handle", [][]byte{good}); !errors.Is(err, custody.ErrIntegrity) {
		t.Errorf("brought in: %v", err)
	}
}

func TestNobodyElseBringsIn(t *testing.T) {
	t.Parallel()
	h := open(t)
	good := sealDraft(t, h.intakeKey(false), draft(1), time.Now())
	_, err := h.Ingest(t.Context(), h.as("aud"), "audit", [][]byte{good})
	if _, ok := errors.AsType[*custody.RefusedError](err); !ok {
		t.Errorf("an auditor brought in: %v", err)
	}
	_, err = h.Ingest(t.Context(), h.as("ivy"), "handle", nil)
	if _, ok := errors.AsType[*custody.InvalidError](err); !ok {
		t.Errorf("nothing brought in: %v", err)
	}
}

// TestAHundredSurviveATotalOutage: nobody is there; a client seals 100 drafts
// into a spool; the process ends; later everything is there and the spool is
// handed in twice.
func TestAHundredSurviveATotalOutage(t *testing.T) {
	t.Parallel()
	h := open(t)
	key := h.intakeKey(false).Bundle() // pinned before
	dir := filepath.Join(t.TempDir(), "spool")
	const marker = "独一无二的标记八一七三"
	sealHundred(t, key, dir, marker)
	again, err := sealedintake.OpenSpool(dir)
	must(t, err)
	ids := map[string]bool{}
	for range 2 {
		var batch [][]byte
		for kept, err := range again.Waiting() {
			must(t, err)
			batch = append(batch, kept.Envelope.Bytes())
		}
		if len(batch) != 100 {
			t.Fatalf("%d envelopes wait", len(batch))
		}
		for _, item := range h.ingest(batch...) {
			must(t, item.Err)
			ids[item.Created.ID] = true
		}
	}
	var stored int
	must(t, h.admin.QueryRow(t.Context(), "select count(*) from sealtrail.complaint where institution = $1", h.institution).Scan(&stored))
	if len(ids) != 100 || stored != 100 {
		t.Errorf("%d complaints answered, %d stored", len(ids), stored)
	}
	for _, file := range slices.Concat(files(t, dir), files(t, filepath.Join(dir, "done"))) {
		raw, err := os.ReadFile(file)
		must(t, err)
		if strings.Contains(string(raw), marker) || strings.Contains(string(raw), "13800138000") {
			t.Errorf("%s holds what was sealed", filepath.Base(file))
		}
	}
	var dump string
	must(t, h.admin.QueryRow(t.Context(), "select string_agg(c::text, '') from sealtrail.complaint c where institution = $1", h.institution).Scan(&dump))
	if strings.Contains(dump, marker) || strings.Contains(dump, hex.EncodeToString([]byte(marker))) || strings.Contains(dump, "13800138000") {
		t.Error("the database holds what was sealed")
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, f := range list {
		if !f.IsDir() {
			names = append(names, filepath.Join(dir, f.Name()))
		}
	}
	return names
}

// sealHundred is the client: it knows the pinned key and nobody's address.
func sealHundred(t *testing.T, bundle []byte, dir, marker string) {
	t.Helper()
	k, err := sealedintake.ParsePublicKey(bundle)
	must(t, err)
	s, err := sealedintake.OpenSpool(dir)
	must(t, err)
	for n := range 100 {
		d := draft(n)
		d.Fields["narrative"] = marker
		raw, err := json.Marshal(d)
		must(t, err)
		e, r, err := k.Seal(sealedintake.Draft{Source: d.Source, SourceID: d.SourceID, Body: raw}, time.Now())
		must(t, err)
		must(t, s.Put(e, r))
	}
}
