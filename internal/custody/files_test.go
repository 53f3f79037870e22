package custody_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/filestore"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// cabinet is a house with a folder of files.
type cabinet struct {
	*house
	dir    string
	folder *filestore.Folder
	away   *faulty
}

// faulty is a file store that fails when it is told to.
type faulty struct {
	filestore.Store
	mu   sync.Mutex
	fail error
	cut  int64 // of a Get: bytes until the connection breaks; 0: never
}

func (f *faulty) set(err error) { f.mu.Lock(); f.fail = err; f.mu.Unlock() }
func (f *faulty) err() error    { f.mu.Lock(); defer f.mu.Unlock(); return f.fail }

func (f *faulty) Put(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := f.err(); err != nil {
		_, _ = io.CopyN(io.Discard, r, 100)
		return 0, err
	}
	return f.Store.Put(ctx, name, r)
}

func (f *faulty) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if err := f.err(); err != nil {
		return nil, err
	}
	r, err := f.Store.Get(ctx, name, offset, length)
	if err != nil || f.cut == 0 || length < f.cut {
		return r, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, f.cut), iotest.ErrReader(filestore.ErrUnavailable)), r}, nil
}

func openCabinet(t *testing.T, tap taps) *cabinet {
	t.Helper()
	a := &cabinet{dir: filepath.Join(t.TempDir(), "files")}
	a.folder = filestore.NewFolder(a.dir)
	t.Cleanup(func() { must(t, a.folder.Close()) })
	a.away = &faulty{Store: a.folder}
	tune := tap.config
	tap.config = func(c *custody.Config) {
		c.Files, c.MaxFile = a.away, 4<<20
		if tune != nil {
			tune(c)
		}
	}
	a.house = openOn(t, pgtest.New(t, "custody", migrate), vaulttest.New(t), tap)
	must(t, store.SetRequirements(t.Context(), a.db.Admin, a.institution, map[string]string{"reveals_per_hour": "500"}))
	return a
}

// pdf is a file of n bytes that says what it is.
func pdf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
	copy(b, "%PDF-1.7\n")
	return b
}

func (h *cabinet) attach(c *custody.Created, content []byte) (*custody.Attached, error) {
	got, err := h.Attach(h.t.Context(), h.as("han"), custody.AttachRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision,
		Field: "attachments", ContentType: "application/pdf", Name: "张三丰的合同.pdf"}, iotest.HalfReader(bytes.NewReader(content)))
	if err == nil {
		c.Revision = got.Revision
	}
	return got, err
}

func (h *cabinet) mustAttach(c *custody.Created, content []byte) *custody.Attached {
	h.t.Helper()
	got, err := h.attach(c, content)
	must(h.t, err)
	return got
}

// assigned is a complaint that han works on.
func (h *cabinet) assigned(n int) *custody.Created {
	h.t.Helper()
	c := h.file(n)
	h.walk(c, "accept", "classify", "assign")
	return c
}

func (h *cabinet) wants(c *custody.Created, file string) custody.OpenFileRequest {
	return custody.OpenFileRequest{ID: c.ID, Purpose: "handle", File: file, Reason: "核对合同内容"}
}

// fetch opens and reads a file to its end.
func (h *cabinet) fetch(who string, r custody.OpenFileRequest) ([]byte, *custody.OpenedFile, error) {
	f, err := h.OpenFile(h.t.Context(), h.as(who), r)
	if err != nil {
		return nil, nil, err
	}
	defer f.Body.Close()
	b, err := io.ReadAll(f.Body)
	return b, f, err
}

// entriesOf lists the newest entries of a complaint, newest first, as stage and
// kind.
func (h *cabinet) entriesOf(c *custody.Created, n int) []string {
	h.t.Helper()
	entries, err := h.log.Trail(h.t.Context(), "complaint:"+c.ID, n)
	must(h.t, err)
	var kinds []string
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		must(h.t, err)
		kinds = append(kinds, string(b.Stage)+" "+b.Kind)
	}
	return kinds
}

func (h *cabinet) newest(c *custody.Created, kind string, stage audit.Stage) audit.Body {
	h.t.Helper()
	entries, err := h.log.Trail(h.t.Context(), "complaint:"+c.ID, 100)
	must(h.t, err)
	for _, e := range entries { // newest first
		b, err := audit.ParseBody(e.Body)
		must(h.t, err)
		if b.Kind == kind && b.Stage == stage {
			return b
		}
	}
	h.t.Fatalf("no %s %s in the trail", stage, kind)
	return audit.Body{}
}

// blob is the path of a stored file.
func (h *cabinet) blob(c *custody.Created, id string) string {
	return filepath.Join(h.dir, h.institution, c.ID, id, "1")
}

func TestAFileComesBackAsItWasAttached(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	for _, n := range []int{9, 16383, 16384 - 1024, 16384, 100_000, 4 << 20} {
		content := pdf(n)
		added := h.mustAttach(c, content)
		got, f, err := h.fetch("han", h.wants(c, added.File.ID))
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes: %d came back, %v", n, len(got), err)
		}
		want := custody.FileView{ID: added.File.ID, Field: "attachments", MediaType: "application/pdf", Size: int64(n), SHA256: added.File.SHA256}
		if diff := cmp.Diff(want, f.FileView); diff != "" || f.Name != "张三丰的合同.pdf" || f.Length != int64(n) {
			t.Errorf("%d bytes: name %q, length %d (-want +got):\n%s", n, f.Name, f.Length, diff)
		}
		stored, err := os.ReadFile(h.blob(c, added.File.ID))
		must(t, err)
		if bytes.Contains(stored, []byte("%PDF")) || bytes.Contains(stored, []byte("合同")) {
			t.Error("the stored file holds its content or its name in clear")
		}
	}
	list, err := h.Files(t.Context(), h.as("han"), custody.FilesRequest{ID: c.ID, Purpose: "handle"})
	if err != nil || len(list.Files) != 6 || list.Revision != c.Revision {
		t.Errorf("listed %+v, %v", list, err)
	}
	view, err := h.Read(t.Context(), h.as("han"), custody.ReadRequest{ID: c.ID, Purpose: "handle"})
	if err != nil || len(view.Files) != 6 {
		t.Errorf("the view has %+v, %v", view, err)
	}
}

// The event names what is stored by digest; the opening's intent is durable
// before it and names the same.
func TestTheLogKnowsEachFileByItsDigest(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	added := h.mustAttach(c, pdf(5000))
	event := h.newest(c, "complaint.file_added", audit.StageEvent)
	stored, err := os.ReadFile(h.blob(c, added.File.ID))
	must(t, err)
	if sum, _ := event.Facts.Text("sha256"); sum != digestOf(stored) || sum != added.File.SHA256 || event.Revision != c.Revision {
		t.Errorf("the event says %v at revision %d, stored is %s", event.Facts, event.Revision, digestOf(stored))
	}
	if _, _, err := h.fetch("han", h.wants(c, added.File.ID)); err != nil {
		t.Fatal(err)
	}
	intent := h.newest(c, "access.file", audit.StageIntent)
	if sum, _ := intent.Facts.Text("sha256"); sum != added.File.SHA256 || len(intent.Commit["reason"]) == 0 || !cmp.Equal(intent.Fields, []string{"attachments"}) {
		t.Errorf("the intent says %v, fields %v, commits to %v", intent.Facts, intent.Fields, intent.Commit)
	}
}

func TestRangesOfAFileAreSlices(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	content := pdf(70_000)
	added := h.mustAttach(c, content)
	for _, row := range []struct {
		r        custody.ByteRange
		from, to int
	}{
		{custody.ByteRange{From: 0, Last: 0}, 0, 1}, {custody.ByteRange{From: 16383, Last: 16384}, 16383, 16385}, {custody.ByteRange{From: 15000, Last: 50000}, 15000, 50001},
		{custody.ByteRange{From: 69_999, Last: -1}, 69_999, 70_000}, {custody.ByteRange{From: 60_000, Last: 90_000}, 60_000, 70_000},
		{custody.ByteRange{Suffix: 10}, 69_990, 70_000}, {custody.ByteRange{Suffix: 100_000}, 0, 70_000}, {custody.ByteRange{From: 0, Last: -1}, 0, 70_000},
	} {
		r := h.wants(c, added.File.ID)
		r.Range = &row.r
		got, f, err := h.fetch("han", r)
		if err != nil || !bytes.Equal(got, content[row.from:row.to]) || f.Offset != int64(row.from) {
			t.Errorf("%+v: %d bytes from %d, %v", row.r, len(got), row.from, err)
		}
	}
	for _, none := range []custody.ByteRange{{From: 70_000, Last: -1}, {From: 5, Last: 4}, {From: -1, Last: 3}} {
		r := h.wants(c, added.File.ID)
		r.Range = &none
		var want *custody.RangeError
		if _, _, err := h.fetch("han", r); !errors.As(err, &want) || want.Size != 70_000 {
			t.Errorf("%+v: %v", none, err)
		}
	}
}

// Whoever may not see the group sees no file of it; the refusal is an entry.
func TestFilesFollowThePermissionOfTheirField(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	added := h.mustAttach(c, pdf(100))
	var refused *custody.RefusedError
	for who, purpose := range map[string]string{"quinn": "quality", "aud": "audit"} {
		r := h.wants(c, added.File.ID)
		r.Purpose = purpose
		if _, _, err := h.fetch(who, r); !errors.As(err, &refused) {
			t.Errorf("%s opens a file: %v", who, err)
		}
		_, err := h.Attach(t.Context(), h.as(who), custody.AttachRequest{ID: c.ID, Purpose: purpose, Revision: c.Revision, Field: "attachments", ContentType: "application/pdf"}, bytes.NewReader(pdf(10)))
		if !errors.As(err, &refused) {
			t.Errorf("%s attaches a file: %v", who, err)
		}
	}
	before := len(h.entriesOf(c, 100))
	unknown := h.wants(c, "00000000-0000-4000-8000-000000000001")
	if _, _, err := h.fetch("han", unknown); !errors.Is(err, custody.ErrNotFound) || len(h.entriesOf(c, 100)) != before+1 {
		t.Errorf("a file that nobody attached: %v, %v", err, h.entriesOf(c, 2))
	}
	short := h.wants(c, added.File.ID)
	short.Reason = "  "
	var invalid *custody.InvalidError
	if _, _, err := h.fetch("han", short); !errors.As(err, &invalid) {
		t.Errorf("without a reason: %v", err)
	}
}

func TestOpeningAFileTakesFromTheBudget(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	must(t, store.SetRequirements(t.Context(), h.db.Admin, h.institution, map[string]string{"reveals_per_hour": "2"}))
	c := h.assigned(1)
	added := h.mustAttach(c, pdf(100))
	var refused *custody.RefusedError
	for i := range 3 {
		_, _, err := h.fetch("han", h.wants(c, added.File.ID))
		if i < 2 && err != nil || i == 2 && (!errors.As(err, &refused) || refused.Decision.Reason != "budget_spent") {
			t.Errorf("opening %d: %v", i+1, err)
		}
	}
}

// What is refused before the intent leaves no trace but the question's.
func TestContentThatIsNotWhatItSaysIsRefused(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	before := h.entriesOf(c, 100)
	for _, row := range []struct {
		what, field, declared string
		content               []byte
		code                  string
	}{
		{"a program as a PDF", "attachments", "application/pdf", []byte("\x7fELF\x02\x01\x01"), "media_type_mismatch"},
		{"a PDF as a picture", "attachments", "image/png", pdf(100), "media_type_mismatch"},
		{"a type that is not taken", "attachments", "text/html", []byte("<html>"), "media_type_unknown"},
		{"no type", "attachments", "", pdf(100), "media_type_unknown"},
		{"a document among the recordings", "recordings", "application/pdf", pdf(100), "media_type_unknown"},
		{"nothing", "attachments", "application/pdf", nil, "file_empty"},
		{"too much", "attachments", "application/pdf", pdf(4<<20 + 1), "file_too_large"},
		{"a field that takes no files", "narrative", "application/pdf", pdf(100), "unknown_field"},
	} {
		_, err := h.Attach(t.Context(), h.as("han"), custody.AttachRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Field: row.field, ContentType: row.declared}, bytes.NewReader(row.content))
		var invalid *custody.InvalidError
		if !errors.As(err, &invalid) || invalid.Problems[0].Code != row.code || invalid.Problems[0].ZH == "" {
			t.Errorf("%s: %v", row.what, err)
		}
	}
	h.nothingStored()
	if got := h.entriesOf(c, 100); len(got) != len(before)+1 { // the intent of the one that was too long
		t.Errorf("entries %v, before %v", got, before)
	}
}

// nothingStored checks that no blob is left, and none unfinished.
func (h *cabinet) nothingStored() {
	h.t.Helper()
	err := filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			h.t.Errorf("left behind: %s", path)
		}
		return err
	})
	must(h.t, err)
}

// A caller who hangs up, a store that fails, a disk that is full: no file, no
// blob, a clear error, and the complaint is what it was.
func TestABrokenUploadLeavesTheComplaintAlone(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	attach := func(content io.Reader) error {
		_, err := h.Attach(t.Context(), h.as("han"), custody.AttachRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Field: "attachments", ContentType: "application/pdf"}, content)
		return err
	}
	for _, cause := range []error{io.ErrUnexpectedEOF, custody.ErrIdle, errors.New("reset")} {
		for _, n := range []int{100, 50_000} {
			if err := attach(io.MultiReader(bytes.NewReader(pdf(n)), iotest.ErrReader(cause))); !errors.Is(err, cause) {
				t.Errorf("broken off after %d bytes with %v: %v", n, cause, err)
			}
		}
	}
	for cause, want := range map[error]error{filestore.ErrFull: custody.ErrFilesFull, filestore.ErrUnavailable: custody.ErrFilesUnavailable} {
		h.away.set(cause)
		if err := attach(bytes.NewReader(pdf(50_000))); !errors.Is(err, want) {
			t.Errorf("%v: %v", cause, err)
		}
	}
	h.away.set(nil)
	h.nothingStored()
	list, err := h.Files(t.Context(), h.as("han"), custody.FilesRequest{ID: c.ID, Purpose: "handle"})
	if err != nil || len(list.Files) != 0 || list.Revision != c.Revision {
		t.Errorf("afterwards: %+v, %v", list, err)
	}
	h.mustAttach(c, pdf(100))
}

// Two at once with the same revision: one is there, the other hears that the
// record has moved on, and nothing of it stays.
func TestOfTwoUploadsAtOnceOneWins(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	var group sync.WaitGroup
	errs := make([]error, 2)
	together := make(chan struct{})
	for i := range errs {
		caller := h.as("han")
		group.Go(func() {
			// Both have passed the first look at the revision before either commits.
			content := io.MultiReader(bytes.NewReader(pdf(20_000)), waiting{together, i == 0})
			_, errs[i] = h.Attach(t.Context(), caller, custody.AttachRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Field: "attachments", ContentType: "application/pdf"}, content)
		})
	}
	group.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), custody.ErrStale) {
		t.Fatalf("the two end with %v and %v", errs[0], errs[1])
	}
	list, err := h.Files(t.Context(), h.as("han"), custody.FilesRequest{ID: c.ID, Purpose: "handle"})
	if err != nil || len(list.Files) != 1 || list.Revision != c.Revision+1 {
		t.Errorf("afterwards: %+v, %v", list, err)
	}
	blobs := 0
	must(t, h.folder.List(t.Context(), func(filestore.Info) error { blobs++; return nil }))
	if blobs != 1 {
		t.Errorf("%d blobs are stored", blobs)
	}
}

// waiting gives nothing once the other upload got there, too.
type waiting struct {
	both  chan struct{}
	first bool
}

func (w waiting) Read([]byte) (int, error) {
	if w.first {
		<-w.both
	} else {
		close(w.both)
	}
	return 0, io.EOF
}

// Files that are exchanged, missing, cut or extended open nothing and are an
// entry, however valid each is by itself.
func TestExchangedAndDamagedFilesAreFindings(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	one, two := h.assigned(1), h.assigned(2)
	a, b, other := h.mustAttach(one, pdf(40_000)).File.ID, h.mustAttach(one, pdf(40_000)).File.ID, h.mustAttach(two, pdf(40_000)).File.ID
	whole, err := os.ReadFile(h.blob(one, a))
	must(t, err)
	sibling, err := os.ReadFile(h.blob(one, b))
	must(t, err)
	foreign, err := os.ReadFile(h.blob(two, other))
	must(t, err)
	flip := func(at int) []byte { c := bytes.Clone(whole); c[at] ^= 1; return c }
	for _, row := range []struct {
		what, code string
		stored     []byte
	}{
		{"another file of the record", "file.key", sibling}, {"a file of another record", "file.key", foreign}, {"cut", "file.size", whole[:len(whole)-20]}, {"extended", "file.size", append(bytes.Clone(whole), 0)},
		{"nothing", "file.size", nil}, {"a flipped salt", "file.key", flip(3)}, {"a flipped last chunk", "file.chunk", flip(len(whole) - 1)}, {"a flipped first chunk", "file.chunk", flip(100)},
		{"zeros", "file.key", make([]byte, len(whole))}, {"gone", "file.missing", whole},
	} {
		must(t, os.WriteFile(h.blob(one, a), row.stored, 0o600))
		if row.what == "gone" {
			must(t, os.Remove(h.blob(one, a)))
		}
		got, _, err := h.fetch("han", h.wants(one, a))
		if !errors.Is(err, custody.ErrIntegrity) || !strings.HasSuffix(fmt.Sprint(err), row.code) || len(got) > 0 {
			t.Errorf("%s: %d bytes, %v", row.what, len(got), err)
		}
		found := h.newest(one, "access.integrity", audit.StageEvent)
		if what, _ := found.Facts.Text("what"); what != row.code {
			t.Errorf("%s: the entry says %v", row.what, found.Facts)
		}
	}
	// A chunk in the middle: what was before it has left, nothing of it does.
	must(t, os.WriteFile(h.blob(one, a), flip(56+16400+500), 0o600))
	got, _, err := h.fetch("han", h.wants(one, a))
	if !errors.Is(err, custody.ErrIntegrity) || !bytes.Equal(got, pdf(40_000)[:16384-1024]) {
		t.Errorf("a flipped middle chunk: %d bytes, %v", len(got), err)
	}
	must(t, os.WriteFile(h.blob(one, a), whole, 0o600))
	if _, _, err := h.fetch("han", h.wants(one, a)); err != nil {
		t.Errorf("put back: %v", err)
	}
}

// What SQL can do to the list or the key of a file is found before any byte.
func TestFilesChangedInTheDatabaseAreFindings(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c, two := h.assigned(1), h.assigned(2)
	added := h.mustAttach(c, pdf(5000)).File
	other := h.mustAttach(two, pdf(5000)).File
	ctx := t.Context()
	for what, statement := range map[string]string{
		"size":       `update sealtrail.complaint set files = jsonb_set(files, '{0,size}', '4000') where id = '` + c.ID + `'`,
		"type":       `update sealtrail.complaint set files = jsonb_set(files, '{0,media_type}', '"text/html"') where id = '` + c.ID + `'`,
		"field":      `update sealtrail.complaint set files = jsonb_set(files, '{0,field}', '"recordings"') where id = '` + c.ID + `'`,
		"other list": `update sealtrail.complaint set files = (select files from sealtrail.complaint where id = '` + two.ID + `') where id = '` + c.ID + `'`,
		"key":        `update keys.wrapped_file w set wrapped = o.wrapped, commitment = o.commitment from keys.wrapped_file o where w.file = '` + added.ID + `' and o.file = '` + other.ID + `'`,
		"no key":     `delete from keys.wrapped_file where file = '` + added.ID + `'`,
	} {
		tx, err := h.admin.Begin(ctx)
		must(t, err)
		var files []byte
		must(t, tx.QueryRow(ctx, `select files from sealtrail.complaint where id = $1`, c.ID).Scan(&files))
		var wrapped string
		var commitment []byte
		var version int
		must(t, tx.QueryRow(ctx, `select wrapped, commitment, key_version from keys.wrapped_file where file = $1`, added.ID).Scan(&wrapped, &commitment, &version))
		_, err = tx.Exec(ctx, statement)
		must(t, err)
		must(t, tx.Commit(ctx))
		h.keys.VoidAll("test")
		file := added.ID
		if what == "other list" {
			file = other.ID
		}
		if got, _, err := h.fetch("han", h.wants(c, file)); !errors.Is(err, custody.ErrIntegrity) || len(got) > 0 {
			t.Errorf("%s: %d bytes, %v", what, len(got), err)
		}
		_, err = h.admin.Exec(ctx, `update sealtrail.complaint set files = $2 where id = $1`, c.ID, files)
		must(t, err)
		_, err = h.admin.Exec(ctx, `insert into keys.wrapped_file (institution, complaint, file, generation, wrapped, commitment, key_version) values ($1, $2, $3, 1, $4, $5, $6)
			on conflict on constraint wrapped_file_pkey do update set wrapped = excluded.wrapped, commitment = excluded.commitment`, h.institution, c.ID, added.ID, wrapped, commitment, version)
		must(t, err)
	}
	if _, _, err := h.fetch("han", h.wants(c, added.ID)); err != nil {
		t.Errorf("put back: %v", err)
	}
}

// The store goes away while a file is read: an error, not an end.
func TestAStoreThatGoesAwayIsNoFinding(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	added := h.mustAttach(c, pdf(200_000)).File
	h.away.set(filestore.ErrUnavailable)
	h.away.cut = 0
	before := len(h.entriesOf(c, 100))
	for range 2 { // Stat still answers: it is Get that fails
		if _, _, err := h.fetch("han", h.wants(c, added.ID)); !errors.Is(err, custody.ErrFilesUnavailable) || errors.Is(err, custody.ErrIntegrity) {
			t.Errorf("away: %v", err)
		}
	}
	h.away.set(nil)
	h.away.cut = 60_000
	got, _, err := h.fetch("han", h.wants(c, added.ID))
	if !errors.Is(err, custody.ErrFilesUnavailable) || len(got) == 0 || !bytes.HasPrefix(pdf(200_000), got) {
		t.Errorf("cut off: %d bytes, %v", len(got), err)
	}
	if kinds := h.entriesOf(c, 100); len(kinds) != before+3 {
		t.Errorf("only intents are entries of the record: %v", kinds)
	}
}

// A file that is being read ends when its key may not be borrowed any more.
func TestReadingEndsWhenTheKeyIsWithdrawn(t *testing.T) {
	t.Parallel()
	var vault *refusing
	h := openCabinet(t, taps{wrapper: func(w keyring.Wrapper) keyring.Wrapper { vault = &refusing{Wrapper: w}; return vault }})
	c := h.assigned(1)
	added := h.mustAttach(c, pdf(1<<20)).File
	var later time.Duration
	h.now = func() time.Time { return time.Now().Add(later) }
	f, err := h.OpenFile(t.Context(), h.as("han"), h.wants(c, added.ID))
	must(t, err)
	defer f.Body.Close()
	if _, err := io.ReadFull(f.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	h.keys.VoidAll("sealed")
	vault.sealed.Store(true)
	if _, err := io.ReadFull(f.Body, make([]byte, 100)); err != nil {
		t.Errorf("within the interval: %v", err)
	}
	later = 6 * time.Second
	if n, err := f.Body.Read(make([]byte, 100)); n != 0 || !errors.Is(err, custody.ErrKeysUnavailable) {
		t.Errorf("after it: %d bytes, %v", n, err)
	}
}

// A file that is being read ends when its key is destroyed, although the reader
// once had it wrapped.
func TestReadingEndsWhenTheKeyIsDestroyed(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	added := h.mustAttach(c, pdf(1<<20)).File
	var later time.Duration
	h.now = func() time.Time { return time.Now().Add(later) }
	f, err := h.OpenFile(t.Context(), h.as("han"), h.wants(c, added.ID))
	must(t, err)
	defer f.Body.Close()
	if _, err := io.ReadFull(f.Body, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	h.sql(`select keys.destroy($1, $2, $3, 1, 'shred', now())`, h.institution, c.ID, added.ID)
	h.keys.VoidAll("shred")
	later = 6 * time.Second
	if n, err := f.Body.Read(make([]byte, 100)); n != 0 || !errors.Is(err, custody.ErrShredded) {
		t.Errorf("after its key was destroyed: %d bytes, %v", n, err)
	}
}

// Rewrapping covers the keys of files, and what was sealed stays openable.
func TestRewrapCoversTheKeysOfFiles(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	added := h.mustAttach(c, pdf(5000)).File
	version := func() (v int) {
		t.Helper()
		must(t, h.admin.QueryRow(t.Context(), `select key_version from keys.wrapped_file where file = $1`, added.ID).Scan(&v))
		return v
	}
	before := version()
	h.rotateAndRewrap()
	if got := version(); got != before+1 {
		t.Errorf("the file's key is of version %d after a rewrap from %d", got, before)
	}
	h.keys.VoidAll("test")
	if got, _, err := h.fetch("han", h.wants(c, added.ID)); err != nil || !bytes.Equal(got, pdf(5000)) {
		t.Errorf("after the rewrap: %d bytes, %v", len(got), err)
	}
}

// A crash before the commit leaves a blob that nobody names; the sweep takes it
// once it is a day old, and nothing else.
func TestTheSweepTakesOrphansOnly(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	c := h.assigned(1)
	kept := h.mustAttach(c, pdf(5000)).File
	lostKey := h.mustAttach(c, pdf(5000)).File
	orphan := h.institution + "/" + c.ID + "/00000000-0000-4000-8000-00000000000a/1"
	stranger := "other-bank/" + c.ID + "/00000000-0000-4000-8000-00000000000b/1"
	for _, name := range []string{orphan, stranger} {
		_, err := h.folder.Put(t.Context(), name, strings.NewReader("x"))
		must(t, err)
	}
	_, err := h.admin.Exec(t.Context(), `delete from keys.wrapped_file where file = $1`, lostKey.ID)
	must(t, err)
	if got, err := h.SweepFiles(t.Context()); err != nil || got != (custody.Swept{Seen: 3}) {
		t.Errorf("on the first day: %+v, %v", got, err)
	}
	h.now = func() time.Time { return time.Now().Add(25 * time.Hour) }
	if got, err := h.SweepFiles(t.Context()); err != nil || got != (custody.Swept{Seen: 3, Removed: 1}) {
		t.Errorf("a day later: %+v, %v", got, err)
	}
	for name, want := range map[string]bool{orphan: false, stranger: true, h.institution + "/" + c.ID + "/" + kept.ID + "/1": true, h.institution + "/" + c.ID + "/" + lostKey.ID + "/1": true} {
		if _, err := h.folder.Stat(t.Context(), name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refusing is a Vault that answers that it is sealed once it is told to.
type refusing struct {
	keyring.Wrapper
	sealed atomic.Bool
}

func (r *refusing) Unwrap(ctx context.Context, batch string, items []keyring.UnwrapItem) ([]keyring.UnwrapResult, error) {
	if r.sealed.Load() {
		return nil, &keyring.UnavailableError{Cause: keyring.CauseSealed, Op: "unwrap"}
	}
	return r.Wrapper.Unwrap(ctx, batch, items)
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// rotateAndRewrap makes a new version of the master key and brings every
// wrapped key to it.
func (h *cabinet) rotateAndRewrap() {
	h.t.Helper()
	ctx := h.t.Context()
	vault := vaulttest.New(h.t)
	root, err := transit.NewClient(transit.ClientConfig{Address: vault.Addr, CACert: vault.CACert})
	must(h.t, err)
	root.SetToken(vault.RootToken)
	_, err = root.Logical().WriteWithContext(ctx, "transit/keys/"+h.institution+"-record/rotate", nil)
	must(h.t, err)
	run, err := h.BeginRewrap(ctx, "test")
	must(h.t, err)
	for {
		batch, err := h.ReadRewrap(ctx, run)
		must(h.t, err)
		if batch == nil {
			return
		}
		must(h.t, h.WriteRewrap(ctx, run, batch))
	}
}
