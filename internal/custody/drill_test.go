package custody_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/backup"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/keeping"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

type parts = map[backup.Part]string

// backup writes the house's database in parts.
func (h *house) backup() parts {
	h.t.Helper()
	dir, folders := h.t.TempDir(), parts{}
	for _, p := range backup.Parts() {
		folders[p] = filepath.Join(dir, string(p))
	}
	conn, err := pgx.Connect(h.t.Context(), h.db.Admin)
	must(h.t, err)
	defer conn.Close(context.Background())
	_, err = backup.Write(h.t.Context(), conn, folders, time.Now())
	must(h.t, err)
	return folders
}

// restored opens a door on a new database filled from parts, in front of the
// same Vault, at the time of the older part.
func (h *house) restored(at time.Time, data, log, keys parts) (*house, backup.Report) {
	h.t.Helper()
	db := pgtest.New(h.t, "custody", migrate)
	conn, err := pgx.Connect(h.t.Context(), db.Admin)
	must(h.t, err)
	defer conn.Close(context.Background())
	must(h.t, backup.Read(h.t.Context(), conn, parts{backup.Data: data[backup.Data], backup.Log: log[backup.Log], backup.Keys: keys[backup.Keys]}))
	reports, err := backup.Reports(h.t.Context(), conn)
	must(h.t, err)
	r := openOn(h.t, db, vaulttest.New(h.t), taps{restored: h.institution})
	r.now = func() time.Time { return at }
	return r, reports[0]
}

// rewrapAll moves every key to a new version of the master key.
func (h *house) rewrapAll(key vaultserver.RecordKey) {
	h.t.Helper()
	must(h.t, key.Rotate(h.t.Context()))
	_, err := keeping.Rewrap(h.t.Context(), keeping.RewrapConfig{Door: h.Door})
	must(h.t, err)
}

// TestDrill restores an old backup of the data with the newest keys, then with
// the oldest ones, before and after the epoch closed: everything can be read but
// what was shredded, and in the end nobody can read that any more.
func TestDrill(t *testing.T) {
	t.Parallel()
	h := openArchive(t)
	h.unlimited()
	vault := vaulttest.New(t)
	kept, shredded, amended := h.file(1), h.file(2), h.fileFull(3)
	for _, c := range []*custody.Created{kept, shredded} {
		h.refuse(c)
	}
	h.sequence()
	then := h.at
	old := h.backup()

	number := "13900139000"
	_, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: amended.ID, Purpose: "handle", Revision: amended.Revision, Fields: map[string]*string{"phone": &number}})
	must(t, err)
	h.later(4, 0)
	if e := h.approve(h.request(shredded.ID, "record")); e.State != "executed" {
		t.Fatalf("the erasure is %s", e.State)
	}
	h.sequence()
	key := vaultserver.RecordKey{Client: vault.Client(vault.RootToken), Institution: h.institution}
	h.rewrapAll(key)
	newest := h.backup()

	opens := func(h *house, what, id string, want error) {
		t.Helper()
		h.keys.VoidAll("test")
		who, purpose := h.as("ivy"), "handle"
		if errors.Is(want, custody.ErrShredded) { // only who may see a restricted record hears that it was erased
			who, purpose = h.by("lea", "legal"), "legal"
		}
		_, err := h.Read(t.Context(), who, custody.ReadRequest{ID: id, Purpose: purpose})
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}

	// 1 old data, newest keys: everything but what was shredded, and no loss.
	a, report := h.restored(then, old, old, newest)
	if report.Records != 3 || report.Readable != 2 || report.Erased != 1 || report.Lost != 0 || report.Superseded != 0 {
		t.Errorf("old data with the newest keys: %+v", report)
	}
	opens(a, "kept, old data with newest keys", kept.ID, nil)
	opens(a, "amended since, old data with newest keys", amended.ID, nil)
	opens(a, "shredded, old data with newest keys", shredded.ID, custody.ErrShredded)

	// 2 old data, newest keys, newest log: what the log knows better is refused.
	b, report := h.restored(then, old, newest, newest)
	if report.Stale != 2 {
		t.Errorf("old data with the newest log: %+v, want the amended and the shredded one stale", report)
	}
	opens(b, "kept, beside the newest log", kept.ID, nil)
	opens(b, "amended since, beside the newest log", amended.ID, custody.ErrIntegrity)
	opens(b, "shredded, beside the newest log", shredded.ID, custody.ErrShredded)

	// 3 the oldest keys, before the epoch closed: shredded is a word as long as
	// copies of the keys are left. The receipt's second stage is still missing.
	c, _ := h.restored(then, old, old, old)
	opens(c, "shredded, oldest keys, epoch open", shredded.ID, nil)

	// 4 the epoch is closed: Vault has given up the version.
	must(t, key.SetMinimum(t.Context(), 2, 2))
	must(t, key.Trim(t.Context(), 2))
	d, _ := h.restored(then, old, old, old)
	opens(d, "shredded, oldest keys, epoch closed", shredded.ID, custody.ErrIntegrity)
	e, _ := h.restored(then, old, old, newest)
	opens(e, "kept, newest keys, epoch closed", kept.ID, nil)
}
