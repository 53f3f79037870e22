package supervision

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// publish writes leaves as a published log with the blobs that they name.
func publish(t testing.TB, leaves []audit.Leaf) *audittest.Log {
	t.Helper()
	l := audittest.New(audittest.Config{Origin: "demo-bank/2026", Start: leaves[0].Body.At})
	for _, p := range testPublications() {
		l.PutBlob(p.data)
	}
	l.PutBlob([]byte("bundle"))
	for _, leaf := range leaves {
		l.Append(leaf.Body)
	}
	return l
}

func fromFolder(t *testing.T, folder fstest.MapFS, key string) (Report, error) {
	t.Helper()
	return FromFolder(t.Context(), folder, key, period(t, "2026-01"))
}

// What FromFolder reads in a published folder is what the fold says over the same entries, but for how far the two clocks
// part (audittest sequences by its own clock) and the norm's adoption, which here is the log's own entry.
func TestReportOfPublishedFolder(t *testing.T) {
	t.Parallel()
	leaves := january(t)
	log := publish(t, leaves)
	got, err := fromFolder(t, log.Folder(), log.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	if h := got.Header; len(h.Logs) != 1 || h.Logs[0].Origin != "demo-bank/2026" || h.Logs[0].Size != strconv.Itoa(len(leaves)) {
		t.Errorf("logs: %+v", h.Logs)
	}
	want := report(t, "2026-01", leaves)
	for _, f := range want.Figures {
		id := f.Definition.ID
		if g := got.Figure(id); id != "M01" && id != "M02" && id != "M03" && id != "M04" && id != "M05" && id != "M06" && nud(g.Value) != nud(f.Value) {
			t.Errorf("%s: folder gives %s, fold %s", id, nud(g.Value), nud(f.Value))
		}
	}
	// Complaint I came on 31 December, before the norm was adopted on 1 January: no promise binds it.
	if v := nud(got.Figure("M01").Value); v != "6/7 0" {
		t.Errorf("M01 under a norm adopted on 1 January: got %s, want 6/7 0", v)
	}
	if want := digestOf(embedded); got.Header.Definitions.SHA256 != want {
		t.Errorf("definitions: got %s, want %s", got.Header.Definitions.SHA256, want)
	}
}

func TestSameFolderSameBytes(t *testing.T) {
	t.Parallel()
	log := publish(t, january(t))
	a, err := fromFolder(t, log.Folder(), log.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	b, err := fromFolder(t, log.Folder(), log.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	if d, same := Compare([]byte(reportBytes(t, a)), []byte(reportBytes(t, b))); !same {
		t.Error(d)
	}
}

// A report made when the log was smaller is made again from the grown log.
func TestEarlierReportOfGrownLog(t *testing.T) {
	t.Parallel()
	leaves := january(t)
	early := publish(t, leaves[:60])
	want, err := fromFolder(t, early.Folder(), early.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	grown := publish(t, leaves)
	source := Source{Folder: grown.Folder(), Options: verify.Options{VerifierKey: grown.VerifierKey()}, Size: 60}
	got, err := FromFolders(t.Context(), period(t, "2026-01"), source)
	if err != nil {
		t.Fatal(err)
	}
	if d, same := Compare([]byte(reportBytes(t, want)), []byte(reportBytes(t, got.Report))); !same {
		t.Error(d)
	}
	source.Size = 10_000
	if _, err := FromFolders(t.Context(), period(t, "2026-01"), source); !errors.Is(err, ErrNotNamed) {
		t.Errorf("size beyond the log: got %v, want ErrNotNamed", err)
	}
}

// One entry changed and the whole log signed again: the bytes differ and the difference names the figure. The same entry
// changed in the published bundle: verification names the entry.
func TestChangedEntryIsNamed(t *testing.T) {
	t.Parallel()
	log := publish(t, january(t))
	before, err := fromFolder(t, log.Folder(), log.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	var changed uint64
	forged := log.Rewrite(func(i uint64, b *audit.Body) bool {
		if b.Kind == "complaint.notified" && b.Subject == "complaint:b" {
			changed, b.At = i, at(t, "2026-01-20 10:00") // in time by law
		}
		return true
	})
	folder := forged.Folder()
	for name, f := range log.Folder() {
		if strings.HasPrefix(name, "blob/") {
			folder[name] = f
		}
	}
	after, err := fromFolder(t, folder, log.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	d, same := Compare([]byte(reportBytes(t, before)), []byte(reportBytes(t, after)))
	if same || d.Figure != "M07" || !strings.Contains(d.Pointer, "/figures/6/") {
		t.Errorf("forged log: got %v (same %v), want a difference in M07", d, same)
	}

	broken := log.Folder()
	for name, f := range broken {
		if strings.HasPrefix(name, "tile/entries/") {
			f.Data = bytes.ReplaceAll(f.Data, []byte("2026-01-30T02:00:00.000000Z"), []byte("2026-01-20T02:00:00.000000Z"))
			broken[name] = f
		}
	}
	_, err = fromFolder(t, broken, log.VerifierKey())
	var un *UnverifiedError
	if !errors.As(err, &un) || !errors.Is(err, ErrNotVerified) {
		t.Fatalf("changed bundle: got %v, want UnverifiedError", err)
	}
	_, f := un.Verification.FirstFinding()
	if f == nil || f.From == nil || *f.From > changed || f.To != nil && *f.To < changed {
		t.Errorf("finding %+v does not hold entry %d", f, changed)
	}
}

// Calendar and definitions are the blobs' own: other bytes give another report, missing or false ones none.
func TestInputsComeFromTheLog(t *testing.T) {
	t.Parallel()
	leaves := january(t)
	log := publish(t, leaves)
	folder := log.Folder()
	delete(folder, audit.BlobPath(digestOf(embedded)))
	if _, err := fromFolder(t, folder, log.VerifierKey()); err == nil {
		t.Error("a folder without the definitions gave a report")
	}
	folder = log.Folder()
	folder[audit.BlobPath(digestOf(embedded))].Data = []byte("{}")
	if _, err := fromFolder(t, folder, log.VerifierKey()); !errors.Is(err, ErrNotVerified) {
		t.Errorf("false blob: got %v, want ErrNotVerified", err)
	}
	if _, err := fromFolder(t, publish(t, leaves[:1]).Folder(), log.VerifierKey()); !errors.Is(err, ErrNotNamed) {
		t.Errorf("calendar only: got %v, want ErrNotNamed", err)
	}
	if _, err := fromFolder(t, publish(t, leaves[5:]).Folder(), log.VerifierKey()); !errors.Is(err, ErrNotNamed) {
		t.Errorf("nothing named: got %v, want ErrNotNamed", err)
	}

	var d map[string]any
	if err := json.Unmarshal(embedded, &d); err != nil {
		t.Fatal(err)
	}
	d["satisfied_from"] = 2
	lenient, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{t: t, leaves: leaves}
	j.event("2026-02-01 01:00", "definitions.loaded", "service", "service-1", audit.Facts{"digest": digestOf(lenient), "what": "figures"})
	relaxed := publish(t, j.leaves)
	relaxed.PutBlob(lenient)
	r, err := fromFolder(t, relaxed.Folder(), relaxed.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	if got := nud(r.Figure("M16").Value); got != "2/2 0" {
		t.Errorf("M16 under the definitions loaded last: got %s, want 2/2 0", got)
	}
}

// Logs of two years, trails running on: December's complaint falls due in January.
func TestLogsOfTwoYears(t *testing.T) {
	t.Parallel()
	leaves := january(t)
	cut := 8 // adoption and the first steps of complaint I
	old := audittest.New(audittest.Config{Origin: "demo-bank/2025", Start: leaves[0].Body.At})
	for _, p := range testPublications() {
		old.PutBlob(p.data)
	}
	for _, l := range leaves[:cut] {
		old.Append(l.Body)
	}
	next := audittest.New(audittest.Config{Origin: "demo-bank/2026", Start: leaves[cut].Body.At, FirstID: uint64(cut) + 1, Trails: old.Trails()})
	next.PutBlob([]byte("bundle"))
	next.Append(old.Opening())
	for _, l := range leaves[cut:] {
		next.Append(l.Body)
	}
	both := fstest.MapFS{}
	for name, f := range old.Folder() {
		both["2025/"+name] = f
	}
	for name, f := range next.Folder() {
		both["2026/"+name] = f
	}
	got, err := fromFolder(t, both, old.VerifierKey()+"\n"+next.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	one := publish(t, leaves)
	want, err := fromFolder(t, one.Folder(), one.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range want.Figures {
		if g := got.Figure(f.Definition.ID); nud(g.Value) != nud(f.Value) {
			t.Errorf("%s: two logs give %s, one %s", f.Definition.ID, nud(g.Value), nud(f.Value))
		}
	}
	if len(got.Header.Logs) != 2 || got.Header.Logs[0].Origin != "demo-bank/2025" {
		t.Errorf("logs: %+v", got.Header.Logs)
	}
}
