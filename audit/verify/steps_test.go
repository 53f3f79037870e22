package verify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// misbehaving returns a log of 20 good entries, what add appends, and one good entry more.
func misbehaving(t *testing.T, add func(l *audittest.Log)) *audittest.Log {
	t.Helper()
	l := audittest.New(audittest.Config{})
	l.PutBlob([]byte(policyBundle))
	l.Append(audittest.Bodies(20)...)
	add(l)
	l.Append(audittest.Body(30))
	return l
}

// canonical returns the bytes of a body.
func canonical(t *testing.T, b audit.Body) []byte {
	t.Helper()
	raw, err := b.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestWriterThatBreaksTheRules signs and publishes whatever it likes: steps 5 and 6 name the entry all the same.
func TestWriterThatBreaksTheRules(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)
	body := audittest.Body(100)
	good := audit.Position{ID: 100, Index: 20, Log: "sealtrail.example/demo/2026", SeqAt: at, TrailN: 1}
	for _, c := range []struct {
		name, code string
		step       int
		leaf       func(p audit.Position) []byte
	}{
		{"not canonical", "not_canonical", verify.StepEntries, func(p audit.Position) []byte {
			return []byte(strings.Replace(string(audit.AssembleLeaf(canonical(t, body), p)), `"v":1}`, `"v":1 }`, 1))
		}},
		{"not JSON", "not_canonical", verify.StepEntries, func(audit.Position) []byte { return []byte("hello") }},
		{"empty", "not_canonical", verify.StepEntries, func(audit.Position) []byte { return nil }},
		{"index twice", "index", verify.StepEntries, func(p audit.Position) []byte { p.Index = 19; return audit.AssembleLeaf(canonical(t, body), p) }},
		{"another log", "origin", verify.StepEntries, func(p audit.Position) []byte { p.Log = "other"; return audit.AssembleLeaf(canonical(t, body), p) }},
		{"another institution", "institution", verify.StepEntries, func(p audit.Position) []byte {
			b := body
			b.Institution = "other"
			return audit.AssembleLeaf(canonical(t, b), p)
		}},
		{"back in time", "time_order", verify.StepEntries, func(p audit.Position) []byte {
			p.SeqAt = at.Add(-time.Hour)
			return audit.AssembleLeaf(canonical(t, body), p)
		}},
		{"trail begins at 2", "trail_broken", verify.StepTrails, func(p audit.Position) []byte {
			p.TrailN = 2
			return audit.AssembleLeaf(canonical(t, body), p)
		}},
		{"first of a trail with a former one", "trail_broken", verify.StepTrails, func(p audit.Position) []byte {
			p.TrailPrev = [32]byte{1}
			return audit.AssembleLeaf(canonical(t, body), p)
		}},
		{"trail begins anew", "trail_broken", verify.StepTrails, func(p audit.Position) []byte {
			b := audittest.Body(19)
			return audit.AssembleLeaf(canonical(t, b), p)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := misbehaving(t, func(l *audittest.Log) { l.AppendLeaf(c.leaf(good), "nobody") })
			rep := check(t, l.Folder(), verify.Options{VerifierKey: l.VerifierKey()})
			step := rep.Step(c.step)
			if step.Status != verify.Failed || len(step.Findings) == 0 {
				t.Fatalf("want %s, got %s", c.code, statuses(rep))
			}
			if f := step.Findings[0]; f.Code != c.code || f.From == nil || *f.From != 20 {
				t.Errorf("want %s at entry 20, got\n%s", c.code, findings(rep))
			}
			for _, n := range []int{verify.StepSignature, verify.StepTree, verify.StepCheckpoints} {
				if rep.Step(n).Status != verify.OK {
					t.Errorf("step %d failed for no reason:\n%s", n, findings(rep))
				}
			}
		})
	}
}

func TestSchemaNamesTheEntry(t *testing.T) {
	t.Parallel()
	l := newLog(t, 40, audittest.Config{})
	refuse := errors.New("not in the schema")
	rep := check(t, l.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Schema: func(v *audit.LeafView) error {
		if v.Index == 17 {
			return refuse
		}
		return nil
	}})
	if f := rep.Step(verify.StepEntries).Findings; len(f) != 1 || f[0].Code != "schema" || *f[0].From != 17 {
		t.Errorf("got\n%s", findings(rep))
	}
}

// A leader that signs two logs of one size: the stored checkpoint convicts it.
func TestTwoRootsOfOneSize(t *testing.T) {
	t.Parallel()
	l := newLog(t, 60, audittest.Config{}) // checkpoints at 20, 30, 60
	forged := l.Rewrite(func(i uint64, b *audit.Body) bool { b.Sim = i == 25; return true })
	folder := forged.Folder()
	folder[audit.CheckpointSizePath(30)] = l.Folder()[audit.CheckpointSizePath(30)]
	rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey()})
	step := rep.Step(verify.StepCheckpoints)
	if step.Status != verify.Failed || step.Findings[0].Code != "history_changed" || step.Findings[0].Path != "checkpoints/30" {
		t.Errorf("got\n%s", findings(rep))
	}
}

// A checkpoint that was put back to an older one: the log is verified up to the newest that is stored.
func TestOlderHeadIsNoted(t *testing.T) {
	t.Parallel()
	l := newLog(t, 60, audittest.Config{})
	folder := l.Folder()
	folder[audit.CheckpointPath] = folder[audit.CheckpointSizePath(30)]
	rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey()})
	if !rep.OK() || rep.Size != 60 || len(rep.Step(verify.StepSignature).Notes) != 1 {
		t.Errorf("size %d, %s, notes %v", rep.Size, statuses(rep), rep.Step(verify.StepSignature).Notes)
	}
}

// A log that has grown past the head under verification: full files stand where partial ones are expected.
func TestGrownLogVerifiesAtItsHead(t *testing.T) {
	t.Parallel()
	l := newLog(t, 300, audittest.Config{})
	small := l.Checkpoint()
	l.Append(audittest.Bodies(900)[300:]...)
	folder := l.Folder()
	for _, name := range audittest.Files(folder) {
		if strings.Contains(name, ".p/") || strings.HasPrefix(name, audit.CheckpointsDir) {
			delete(folder, name)
		}
	}
	folder[audit.CheckpointPath] = &fstest.MapFile{Data: small}
	folder[audit.TilePath(1, 0, 1)] = &fstest.MapFile{Data: l.Folder()[audit.TilePath(1, 0, 3)].Data[:32]}
	rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey()})
	if !rep.OK() || rep.Counts.Entries != 300 {
		t.Errorf("%s, %d entries\n%s", statuses(rep), rep.Counts.Entries, findings(rep))
	}
}

func TestSavedCheckpointsThatProveNothing(t *testing.T) {
	t.Parallel()
	l := newLog(t, 30, audittest.Config{})
	other := newLog(t, 30, audittest.Config{Origin: "other/log"})
	stranger := newLog(t, 30, audittest.Config{Seed: 9})
	for _, c := range []struct {
		name, code string
		step       int
		opts       verify.Options
	}{
		{"of another log", "other_log", verify.StepPinned, verify.Options{Pinned: [][]byte{other.Checkpoint()}}},
		{"by another key", "saved_signature", verify.StepPinned, verify.Options{Pinned: [][]byte{stranger.Checkpoint()}}},
		{"without cosignature", "saved_cosignature", verify.StepWitnesses, verify.Options{Witnesses: []string{l.WitnessKey()}, WitnessCheckpoints: [][]byte{l.Checkpoint()}}},
	} {
		c.opts.VerifierKey = l.VerifierKey()
		rep := check(t, l.Folder(), c.opts)
		if step := rep.Step(c.step); step.Status != verify.Failed || step.Findings[0].Code != c.code {
			t.Errorf("%s: got\n%s", c.name, findings(rep))
		}
	}
}

// Cosignatures may lag behind: what they cover is said.
func TestWitnessThatLagsBehind(t *testing.T) {
	t.Parallel()
	l := newLog(t, 60, audittest.Config{Witness: true})
	plain := newLog(t, 60, audittest.Config{})
	folder := l.Folder()
	folder[audit.CheckpointPath], folder[audit.CheckpointSizePath(60)] = plain.Folder()[audit.CheckpointPath], plain.Folder()[audit.CheckpointPath]
	rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey(), Witnesses: []string{l.WitnessKey()}})
	step := rep.Step(verify.StepWitnesses)
	if !rep.OK() || rep.Counts.Cosigned != 30 || step.Status != verify.NotChecked || !rep.Counts.CosignedAt.Equal(start) {
		t.Errorf("%s, cosigned %d at %s\n%s", statuses(rep), rep.Counts.Cosigned, rep.Counts.CosignedAt, findings(rep))
	}
	for lang, notes := range map[string][]string{
		"en": {"cosigned up to size 30, at 2026-01-02 03:04:05 UTC", "not checked: the 30 entries after it, up to size 60, the last of 2026-01-02T03:04:05.059000Z, are not cosigned"},
		"zh": {"已联署至规模 30,时间 2026-01-02 03:04:05 UTC", "未检查:其后 30 条(至规模 60,末条定序时间 2026-01-02T03:04:05.059000Z)尚未联署"},
	} {
		var got []string
		for _, n := range step.Notes {
			got = append(got, n.In(lang))
		}
		if diff := cmp.Diff(notes, got); diff != "" {
			t.Errorf("notes (-want +got):\n%s", diff)
		}
	}
	rep = check(t, l.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Witnesses: []string{l.WitnessKey()}})
	if step := rep.Step(verify.StepWitnesses); step.Status != verify.OK || rep.Counts.Cosigned != 60 || step.Notes[0].EN != "all 60 entries are cosigned, last at 2026-01-02 03:04:05 UTC" {
		t.Errorf("a log whose head is cosigned: %s, %v", statuses(rep), step.Notes)
	}
}

// start is the time of the first entry of the test logs, and, to the second, of their cosignatures.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// An older genuine checkpoint in place of the last, and what came after it deleted: the files alone are without fault. The time of
// the newest cosignature gives it away to whoever says how old it may be.
func TestRolledBackLogIsTooOld(t *testing.T) {
	t.Parallel()
	l := newLog(t, 40, audittest.Config{Witness: true})
	folder := l.Folder() // as it was at size 40
	l.Append(audittest.Bodies(45)[40:]...)
	opts := verify.Options{VerifierKey: l.VerifierKey(), Witnesses: []string{l.WitnessKey()}, MaxAge: time.Hour}
	for _, test := range []struct {
		now  time.Time
		want verify.Status
	}{{start.Add(time.Hour), verify.OK}, {start.Add(time.Hour + time.Second), verify.Failed}, {time.Time{}, verify.Failed}} {
		opts.Now = test.now
		rep := check(t, folder, opts)
		if step := rep.Step(verify.StepWitnesses); step.Status != test.want {
			t.Errorf("at %s: %s, want %s\n%s", test.now, step.Status, test.want, findings(rep))
		} else if test.want == verify.Failed && step.Findings[0].Code != "cosignature_old" {
			t.Errorf("at %s: finding %+v", test.now, step.Findings[0])
		}
	}
	opts.MaxAge, opts.WitnessCheckpoints = 0, [][]byte{l.Checkpoint()} // what the witness says when it is asked
	rep := check(t, folder, opts)
	if step := rep.Step(verify.StepWitnesses); rep.OK() || step.Findings[0].Code != "log_shorter" || step.Notes[0].EN != "newest cosignature: of size 40, at 2026-01-02 03:04:05 UTC" {
		t.Errorf("the witness's own checkpoint: %s, %v", statuses(rep), step.Notes)
	}
	for name, o := range map[string]verify.Options{
		"no witness": {VerifierKey: l.VerifierKey(), MaxAge: time.Hour},
		"negative":   {VerifierKey: l.VerifierKey(), Witnesses: []string{l.WitnessKey()}, MaxAge: -1},
	} {
		if _, err := verify.Verify(t.Context(), folder, o); !errors.Is(err, verify.ErrOptions) {
			t.Errorf("%s: %v, want ErrOptions", name, err)
		}
	}
}

// Years that are over get no new cosignature: only the last one must be fresh.
func TestOnlyTheLastYearMustBeFresh(t *testing.T) {
	t.Parallel()
	root := fstest.MapFS{}
	first := audittest.New(audittest.Config{Origin: "sealtrail.example/demo/2025", Start: start.AddDate(-1, 0, 0), Witness: true})
	first.Append(audittest.Bodies(5)...)
	second := audittest.New(audittest.Config{Witness: true, Trails: first.Trails(), FirstID: 6})
	second.Append(audittest.Bodies(9)[5:]...)
	for name, l := range map[string]*audittest.Log{"demo/2025": first, "demo/2026": second} {
		for path, file := range l.Folder() {
			root[name+"/"+path] = file
		}
	}
	opts := verify.Options{VerifierKey: first.VerifierKey() + "\n" + second.VerifierKey(), Witnesses: []string{first.WitnessKey()}, MaxAge: time.Hour}
	for now, want := range map[time.Time][2]verify.Status{start.Add(time.Minute): {verify.OK, verify.OK}, start.Add(2 * time.Hour): {verify.OK, verify.Failed}} {
		opts.Now = now
		reports, err := verify.VerifyAll(t.Context(), root, opts)
		if err != nil || len(reports) != 2 {
			t.Fatal(reports, err)
		}
		if got := [2]verify.Status{reports[0].Step(verify.StepWitnesses).Status, reports[1].Step(verify.StepWitnesses).Status}; got != want {
			t.Errorf("at %s: %v, want %v\n%s", now, got, want, findings(reports[1]))
		}
	}
}

func TestOpenRequestsAndSimulationAreSaid(t *testing.T) {
	t.Parallel()
	bodies := audittest.Bodies(7) // 1 and 5 are intents, 2 and 6 their outcomes
	for i := range bodies {
		bodies[i].Sim = true
	}
	l := audittest.New(audittest.Config{})
	l.PutBlob([]byte(policyBundle))
	l.Append(bodies[:6]...)
	rep := check(t, l.Folder(), verify.Options{VerifierKey: l.VerifierKey()})
	if c := rep.Counts; c.Intents != 2 || c.Outcomes != 1 || c.OpenRequests != 1 || c.Trails != 2 || !rep.Simulated {
		t.Errorf("counts %+v, simulated %v", c, rep.Simulated)
	}
	text := ""
	for _, n := range rep.Step(verify.StepLimits).Notes {
		text += n.In("en") + "\n" + n.In("zh") + "\n"
	}
	for _, want := range []string{"1 requests have an intent and no outcome", "simulated", "模拟数据", "no log can show"} {
		if !strings.Contains(text, want) {
			t.Errorf("step 9 does not say %q:\n%s", want, text)
		}
	}
}

func TestEntriesAreYieldedInOrder(t *testing.T) {
	t.Parallel()
	l := newLog(t, 600, audittest.Config{})
	seq, report := verify.Entries(context.Background(), l.Folder(), verify.Options{VerifierKey: l.VerifierKey()})
	next := uint64(0)
	for leaf, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		if leaf.Index != next || string(audit.AssembleLeaf(leaf.RawBody, leaf.Position)) != string(l.Leaf(next)) {
			t.Fatalf("entry %d is not entry %d of the log", leaf.Index, next)
		}
		next++
	}
	if next != 600 || report() == nil || !report().OK() {
		t.Errorf("%d entries, report %v", next, report())
	}
	seq, report = verify.Entries(context.Background(), l.Folder(), verify.Options{VerifierKey: l.VerifierKey()})
	for _, err := range seq {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if report() != nil {
		t.Error("a report although the entries were not read to the end")
	}
	seq, _ = verify.Entries(context.Background(), fstest.MapFS{}, verify.Options{VerifierKey: l.VerifierKey()})
	for _, err := range seq {
		if !errors.Is(err, verify.ErrNoLog) {
			t.Errorf("got %v, want ErrNoLog", err)
		}
	}
}

func TestCallbackErrorAndCancelledContextEndTheVerification(t *testing.T) {
	t.Parallel()
	l := newLog(t, 600, audittest.Config{})
	stop := errors.New("stop")
	_, err := verify.Verify(context.Background(), l.Folder(), verify.Options{VerifierKey: l.VerifierKey(), Entries: func(*audit.LeafView) error { return stop }})
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want the callback's error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := verify.Verify(ctx, l.Folder(), verify.Options{VerifierKey: l.VerifierKey()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// TestLogsOfTwoYears: trails run on from one log to the next, and a gap between them shows.
func TestLogsOfTwoYears(t *testing.T) {
	t.Parallel()
	old := audittest.New(audittest.Config{Origin: "demo/2025"})
	old.PutBlob([]byte(policyBundle))
	old.Append(audittest.Bodies(30)...)
	old.Append(old.Closing())
	next := audittest.New(audittest.Config{Origin: "demo/2026", FirstID: 32, Trails: old.Trails(), Start: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)})
	next.PutBlob([]byte(policyBundle))
	next.Append(old.Opening())
	next.Append(audittest.Bodies(40)[29:]...)
	root := fstest.MapFS{}
	join := func(dir string, l *audittest.Log) {
		for name, f := range l.Folder() {
			root[dir+"/"+name] = f
		}
	}
	join("demo/2025", old)
	join("demo/2026", next)
	opts := verify.Options{VerifierKey: old.VerifierKey() + "\n# the second year\n\n" + next.VerifierKey(), Pinned: [][]byte{next.Checkpoint()}}

	reports, err := verify.VerifyAll(context.Background(), root, opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) != 2 || reports[0].Folder != "demo/2025" || reports[1].Folder != "demo/2026" || !reports[0].OK() || !reports[1].OK() {
		t.Fatalf("%d reports\n%s", len(reports), findings(reports[len(reports)-1]))
	}
	if reports[0].Step(verify.StepPinned).Status != verify.NotChecked || reports[1].Step(verify.StepPinned).Status != verify.OK {
		t.Error("the earlier checkpoint was not given to its own log")
	}

	// Alone, the second year cannot be checked against the first, and says so.
	alone := check(t, next.Folder(), verify.Options{VerifierKey: next.VerifierKey()})
	if !alone.OK() || !strings.Contains(alone.Step(verify.StepLimits).Notes[0].EN, "began in an earlier log") ||
		!strings.Contains(alone.Step(verify.StepCheckpoints).Notes[0].EN, "not checked: the log before this one, demo/2025 of 31 entries") {
		t.Errorf("%s, %v, %v", statuses(alone), alone.Step(verify.StepLimits).Notes, alone.Step(verify.StepCheckpoints).Notes)
	}

	// A first year that lost its last entries no longer joins the second.
	short := old.Rewrite(func(i uint64, _ *audit.Body) bool { return i < 29 })
	join("demo/2025", short)
	for name := range root {
		if strings.HasPrefix(name, "demo/2025/") && short.Folder()[strings.TrimPrefix(name, "demo/2025/")] == nil {
			delete(root, name)
		}
	}
	reports, err = verify.VerifyAll(context.Background(), root, verify.Options{VerifierKey: opts.VerifierKey})
	if err != nil {
		t.Fatal(err)
	}
	if !reports[0].OK() || reports[1].Step(verify.StepTrails).Status != verify.Failed {
		t.Errorf("the gap between the years is not found: %s / %s", statuses(reports[0]), statuses(reports[1]))
	}
	if _, err := verify.VerifyAll(context.Background(), fstest.MapFS{}, opts); !errors.Is(err, verify.ErrNoLog) {
		t.Errorf("empty root: %v", err)
	}
}

// TestEveryFindingHasBothLanguages reads the reports of a badly damaged log.
func TestEveryFindingHasBothLanguages(t *testing.T) {
	t.Parallel()
	l := newLog(t, 600, audittest.Config{})
	folder := l.Folder()
	delete(folder, audit.BlobPath(audittest.Body(1).Decision.Bundle))
	delete(folder, audit.EntriesPath(0, 0))
	folder = audittest.Flip(folder, audit.EntriesPath(1, 0), 77777)
	folder = audittest.Flip(folder, audit.TilePath(1, 0, 2), 7)
	rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey(), Witnesses: []string{l.WitnessKey()}})
	n := 0
	for _, s := range rep.Steps {
		for _, f := range s.Findings {
			n++
			if f.Text.EN == "" || f.Text.ZH == "" || strings.Contains(f.Text.EN+f.Text.ZH, "%!") {
				t.Errorf("finding %s: %+v", f.Code, f.Text)
			}
		}
		if s.Text.In("zh") == "" || s.Text.In("en") == "" {
			t.Errorf("step %d has no text", s.Number)
		}
	}
	if n < 4 {
		t.Errorf("%d findings:\n%s", n, findings(rep))
	}
}

// What a publisher leaves beside the log: temporary files are no finding, evidence of a fork is said.
func TestFilesBesideTheLog(t *testing.T) {
	t.Parallel()
	l := newLog(t, 40, audittest.Config{})
	folder := l.Folder()
	for _, name := range []string{audit.BlobPath("ab.tmp-1"), audit.CheckpointsDir + "/40.tmp-1", audit.TilePath(0, 0, 0) + ".p/40.tmp-1", "evidence/fork-40.txt"} {
		folder[name] = &fstest.MapFile{Data: []byte("x")}
	}
	rep := check(t, folder, verify.Options{VerifierKey: l.VerifierKey()})
	notes := rep.Step(verify.StepCheckpoints).Notes
	if !rep.OK() || len(notes) != 2 || !strings.Contains(notes[0].EN, "evidence/fork-40.txt") {
		t.Errorf("%s, notes %v\n%s", statuses(rep), notes, findings(rep))
	}
}

// Of a log that somebody else made only the tree can be checked, and that is said.
func TestTreeOnlyLeavesContentsAlone(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	for i := range 300 {
		l.AppendLeaf(fmt.Appendf(nil, "anything %d", i), "x")
	}
	l.Publish()
	opts := verify.Options{VerifierKey: l.VerifierKey(), TreeOnly: true}
	rep, err := verify.Verify(t.Context(), l.Folder(), opts)
	if err != nil || !rep.OK() {
		t.Fatal(err, rep)
	}
	for _, step := range []int{verify.StepEntries, verify.StepTrails, verify.StepBlobs} {
		if s := rep.Step(step); s.Status != verify.NotChecked || len(s.Notes) == 0 {
			t.Errorf("step %d is %s", step, s.Status)
		}
	}
	for _, path := range []string{audit.EntriesPath(0, 256), audit.TilePath(0, 1, 44), audit.TilePath(1, 0, 1)} {
		rep, err := verify.Verify(t.Context(), audittest.Flip(l.Folder(), path, 99), opts)
		if err != nil || rep.OK() {
			t.Errorf("%s was changed and passes: %v", path, err)
		}
	}
	opts.TreeOnly = false
	if rep, err := verify.Verify(t.Context(), l.Folder(), opts); err != nil || rep.OK() {
		t.Errorf("entries of no known form pass: %v", err)
	}
}
