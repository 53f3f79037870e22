package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/receipt"
)

const (
	gone    = "11111111-8b86-4011-b42d-00c04fc964ff" // irrecoverable
	going   = "22222222-8b86-4011-b42d-00c04fc964ff" // shredded
	staying = "33333333-8b86-4011-b42d-00c04fc964ff" // retained
	erasure = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
)

// act is one event of the erasures' log.
func act(kind, subject, actor string, facts audit.Facts) audit.Body {
	return audit.Body{Institution: "demo", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Stage: audit.StageEvent, Kind: kind, Subject: subject,
		Actor: audit.Actor{ID: actor}, Facts: facts, Nonce: [16]byte{1}}
}

func shreddedAct(id string) audit.Body {
	return act("erasure.shredded", "complaint:"+id, "d-1", audit.Facts{"erasure": erasure, "basis": "retention_ended", "requested_by": "r-1", "approved_by": "d-1",
		"generation": 1, "commitment": strings.Repeat("ab", 32), "wrapped_sha256": strings.Repeat("cd", 32), "key_version": 3})
}

// erasureLog is a log with one erasure of three records, from their closing to the second stage of the first.
func erasureLog(seed byte) *audittest.Log {
	l := audittest.New(audittest.Config{Seed: seed})
	for _, id := range []string{gone, going} {
		closed := act("complaint.closed", "complaint:"+id, "h-1", audit.Facts{"close_reason": "review_final"})
		closed.At = closed.At.AddDate(-4, 0, 0)
		l.Append(closed)
	}
	key := func(kind, actor string, more audit.Facts) audit.Body {
		facts := audit.Facts{"key": "demo-record", "version": 4}
		maps.Copy(facts, more)
		return act(kind, "key:demo-record", actor, facts)
	}
	l.Append(
		act("erasure.requested", "complaint:"+gone, "r-1", audit.Facts{"erasure": erasure, "scope": "subject", "basis": "retention_ended"}),
		act("erasure.approved", "complaint:"+gone, "d-1", audit.Facts{"erasure": erasure}),
		shreddedAct(gone), shreddedAct(going),
		act("erasure.kept", "complaint:"+staying, "d-1", audit.Facts{"erasure": erasure, "result": "retained", "until": "2029-01-01T00:00:00.000000Z"}),
		key("key.epoch_proposed", "c-1", nil),
		key("key.epoch_confirmed", "c-2", audit.Facts{"not_before": "2026-01-02T03:04:05.000000Z"}),
		key("key.epoch_closed", "s-1", audit.Facts{"min_decryption": 4, "min_available": 4, "restore_tested": strings.Repeat("ef", 32),
			"snapshots_destroyed_before": "2025-12-01T00:00:00.000000Z"}),
		act("erasure.irrecoverable", "complaint:"+gone, "s-1", audit.Facts{"erasure": erasure, "key": "demo-record", "key_version": 3, "min_available": 4,
			"epoch_entry": 10, "snapshots_destroyed_before": "2025-12-01T00:00:00.000000Z"}),
	)
	return l
}

// proof is what a receipt holds of one entry.
func proof(t testing.TB, l *audittest.Log, index uint64) *receipt.Proof {
	t.Helper()
	leaf, err := audit.ParseLeaf(l.Leaf(index))
	if err != nil {
		t.Fatal(err)
	}
	folder := l.Folder()
	path, err := audit.InclusionProof(index, l.Size(), func(level int, tile uint64, width int) ([]byte, error) {
		return fs.ReadFile(folder, audit.TilePath(level, tile, width%audit.TileWidth))
	})
	if err != nil {
		t.Fatal(err)
	}
	return &receipt.Proof{Entry: leaf.ID, Index: index, Leaf: l.Leaf(index), Path: path, Checkpoint: string(l.Checkpoint())}
}

// receiptOf is the honest receipt of the log's erasure.
func receiptOf(t testing.TB, l *audittest.Log) *receipt.Receipt {
	t.Helper()
	return &receipt.Receipt{Format: receipt.Format, Institution: "demo", Erasure: erasure, Items: []receipt.Item{
		{Complaint: gone, Result: receipt.Irrecoverable, Stage1: proof(t, l, 4), Stage2: proof(t, l, 10)},
		{Complaint: going, Result: receipt.Shredded, Stage1: proof(t, l, 5)},
		{Complaint: staying, Result: receipt.Retained, Stage1: proof(t, l, 6)},
	}}
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestReceiptIsProvedOffline(t *testing.T) {
	t.Parallel()
	l := erasureLog(0)
	name := file(t, encoded(t, receiptOf(t, l)))
	code, out, errs := call(t, "verify", "--key", l.VerifierKey(), name)
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "✓ "+gone+"  erased and irrecoverable", "as declared, that are older than 2025-12-01", "✓ "+going+"  erased: the data key was destroyed",
		"✓ "+staying+"  kept: statutory retention", "kept until 2029-01-01", "requested by r-1, approved by d-1", "– not compared with the logs", "✓ the receipt is proved")

	code, out, errs = call(t, "verify", "--key", l.VerifierKey(), "--lang", "zh", name, write(t, l))
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "已删除且不可恢复", "✓ 记录均在所给日志中", "✓ 回执由所给公钥证实")
	if code, out, _ := call(t, "verify", "--key", l.VerifierKey(), "-o", "json", name, write(t, l)); code != exitcode.OK {
		t.Errorf("code %d\n%s", code, out)
	} else if want(t, out, `"logs": "ok"`, `"min_available": 4`, `"proved": true`); !json.Valid([]byte(out)) {
		t.Error("no JSON")
	}
}

// TestEveryFieldOfAReceiptIsHeld changes each value of the honest receipt by itself; none may stay without consequence.
func TestEveryFieldOfAReceiptIsHeld(t *testing.T) {
	t.Parallel()
	l := erasureLog(0)
	var doc any
	if err := json.Unmarshal(encoded(t, receiptOf(t, l)), &doc); err != nil {
		t.Fatal(err)
	}
	forged := 0
	forge(doc, "", func(at string) {
		forged++
		code, out, _ := call(t, "verify", "--key", l.VerifierKey(), file(t, encoded(t, doc)))
		if code != exitcode.Integrity {
			t.Errorf("%s was changed: code %d\n%s", at, code, out)
		}
	})
	if forged < 100 {
		t.Errorf("only %d receipts were forged", forged)
	}
	t.Logf("%d forged receipts", forged)
}

// forge changes every value below v in several ways, one at a time, and puts it back.
func forge(v any, at string, try func(at string)) {
	set := func(was any, put func(any), at string) {
		for _, now := range others(was) {
			put(now)
			try(at)
		}
		put(was)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			was, at := v[name], at+"/"+name
			set(was, func(now any) { v[name] = now }, at)
			delete(v, name)
			try(at + " (left out)")
			v[name] = was
			forge(was, at, try)
		}
	case []any:
		for i, was := range v {
			at := fmt.Sprintf("%s/%d", at, i)
			set(was, func(now any) { v[i] = now }, at)
			forge(was, at, try)
		}
	}
}

// others are values near one: for text one character more, less, and another at the beginning, the middle and the end; for bytes one
// bit at each of some places.
func others(v any) []any {
	s, ok := v.(string)
	if !ok || s == "" {
		return []any{nil}
	}
	out := []any{s + "0", s[:len(s)-1], ""}
	for _, i := range []int{0, len(s) / 2, len(s) - 1} {
		out = append(out, s[:i]+string('0'+(s[i]+1)%10)+s[i+1:])
	}
	if raw, err := base64.StdEncoding.DecodeString(s); err == nil && len(raw) >= 32 {
		for i := 0; i < len(raw); i += 7 {
			flipped := bytes.Clone(raw)
			flipped[i] ^= 1 << (i % 8)
			out = append(out, base64.StdEncoding.EncodeToString(flipped))
		}
	}
	return slices.DeleteFunc(out, func(now any) bool { return now == v })
}

// TestForgedReceipts puts together what is genuine by itself.
func TestForgedReceipts(t *testing.T) {
	t.Parallel()
	other := erasureLog(1)
	for name, lie := range map[string]func(r *receipt.Receipt){
		"stages swapped":         func(r *receipt.Receipt) { r.Items[0].Stage1, r.Items[0].Stage2 = r.Items[0].Stage2, r.Items[0].Stage1 },
		"stage 1 twice":          func(r *receipt.Receipt) { r.Items[0].Stage2 = r.Items[0].Stage1 },
		"another record's stage": func(r *receipt.Receipt) { r.Items[1].Stage1 = r.Items[0].Stage1 },
		"another record's end": func(r *receipt.Receipt) {
			r.Items[1].Result, r.Items[1].Stage2 = receipt.Irrecoverable, r.Items[0].Stage2
		},
		"another record's path":  func(r *receipt.Receipt) { r.Items[1].Stage1.Path = r.Items[0].Stage1.Path },
		"records swapped":        func(r *receipt.Receipt) { r.Items[0].Complaint, r.Items[1].Complaint = going, gone },
		"kept as erased":         func(r *receipt.Receipt) { r.Items[2].Result, r.Items[2].Stage1 = receipt.Shredded, r.Items[1].Stage1 },
		"of another log":         func(r *receipt.Receipt) { *r = *receiptOf(t, other) },
		"checkpoint of another":  func(r *receipt.Receipt) { r.Items[0].Stage1.Checkpoint = string(other.Checkpoint()) },
		"entry that is no stage": func(r *receipt.Receipt) { r.Items[0].Stage2 = proof(t, erasureLog(0), 9) },
		"one record more":        func(r *receipt.Receipt) { r.Items = append(r.Items, r.Items[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := erasureLog(0)
			r := receiptOf(t, l)
			lie(r)
			if code, out, _ := call(t, "verify", "--key", l.VerifierKey(), file(t, encoded(t, r))); code != exitcode.Integrity {
				t.Errorf("code %d\n%s", code, out)
			}
		})
	}
}

// TestReceiptOfOnePerson: an entry that names one person for both sides is genuine, and still no erasure under four eyes.
func TestReceiptOfOnePerson(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	b := shreddedAct(gone)
	b.Facts["requested_by"] = "d-1"
	l.Append(b)
	r := &receipt.Receipt{Format: receipt.Format, Institution: "demo", Erasure: erasure, Items: []receipt.Item{{Complaint: gone, Result: receipt.Shredded, Stage1: proof(t, l, 0)}}}
	code, out, _ := call(t, "verify", "--key", l.VerifierKey(), file(t, encoded(t, r)))
	if code != exitcode.Integrity {
		t.Errorf("code %d", code)
	}
	want(t, out, "requested and approved by one person")
}

// TestReceiptAgainstTheLogs: a receipt that is genuine by itself and does not fit the log that everybody else is shown.
func TestReceiptAgainstTheLogs(t *testing.T) {
	t.Parallel()
	honest := erasureLog(0)
	forked := audittest.New(audittest.Config{}) // the same key, another history
	forked.Append(audittest.Bodies(4)...)
	forked.Append(shreddedAct(gone))
	fork := &receipt.Receipt{Format: receipt.Format, Institution: "demo", Erasure: erasure, Items: []receipt.Item{{Complaint: gone, Result: receipt.Shredded, Stage1: proof(t, forked, 4)}}}
	name := file(t, encoded(t, fork))
	if code, out, _ := call(t, "verify", "--key", honest.VerifierKey(), name); code != exitcode.OK {
		t.Errorf("by itself: code %d\n%s", code, out)
	}
	code, out, _ := call(t, "verify", "--key", honest.VerifierKey(), name, write(t, honest))
	if code != exitcode.Integrity {
		t.Errorf("against the log: code %d", code)
	}
	want(t, out, "stage 1: the entry is not in the given logs")

	// An end that names an entry which closed nothing.
	l := erasureLog(0)
	l.Append(act("erasure.irrecoverable", "complaint:"+going, "s-1", audit.Facts{"erasure": erasure, "key": "demo-record", "key_version": 3, "min_available": 4, "epoch_entry": 3}))
	r := receiptOf(t, l)
	r.Items[1] = receipt.Item{Complaint: going, Result: receipt.Irrecoverable, Stage1: proof(t, l, 5), Stage2: proof(t, l, 11)}
	code, out, _ = call(t, "verify", "--key", l.VerifierKey(), file(t, encoded(t, r)), write(t, l))
	if code != exitcode.Integrity {
		t.Errorf("without an epoch: code %d", code)
	}
	want(t, out, "stage 2: the entry that it names closed no such key epoch", "✗ the given logs do not verify")
}

// TestReceiptThatAWitnessSaw: with a witness's key the checkpoints in the receipt must bear its statement.
func TestReceiptThatAWitnessSaw(t *testing.T) {
	t.Parallel()
	seen := audittest.New(audittest.Config{Witness: true})
	seen.Append(shreddedAct(gone))
	unseen := audittest.New(audittest.Config{})
	unseen.Append(shreddedAct(gone))
	for _, l := range []*audittest.Log{seen, unseen} {
		r := &receipt.Receipt{Format: receipt.Format, Institution: "demo", Erasure: erasure, Items: []receipt.Item{{Complaint: gone, Result: receipt.Shredded, Stage1: proof(t, l, 0)}}}
		code, out, errs := call(t, "verify", "--key", l.VerifierKey(), "--witness", l.WitnessKey(), file(t, encoded(t, r)))
		if (code == exitcode.OK) != (l == seen) {
			t.Errorf("code %d\n%s%s", code, out, errs)
		}
		if l == unseen {
			want(t, out, "stage 1: the checkpoint is not cosigned by the given witnesses")
		}
	}
}

func TestReceiptUsage(t *testing.T) {
	t.Parallel()
	l := erasureLog(0)
	name := file(t, encoded(t, receiptOf(t, l)))
	for _, c := range []struct {
		args []string
		want exitcode.Code
	}{
		{[]string{name}, exitcode.Usage},
		{[]string{"--key", "none", name}, exitcode.Usage},
		{[]string{"--key", l.VerifierKey(), "--pinned", file(t, l.Checkpoint()), name}, exitcode.Usage},
		{[]string{"--key", l.VerifierKey(), "--witness", "none", name}, exitcode.Usage},
		{[]string{"--key", l.VerifierKey(), "--witness", l.WitnessKey(), "--quorum", "2", name}, exitcode.Usage},
		{[]string{"--key", l.VerifierKey(), name, t.TempDir()}, exitcode.NotFound},
		{[]string{"--key", l.VerifierKey(), file(t, []byte("{}"))}, exitcode.Integrity},
		{[]string{"--key", l.VerifierKey(), file(t, nil)}, exitcode.Integrity},
		{[]string{"--key", erasureLog(1).VerifierKey(), name}, exitcode.Integrity},
	} {
		if code, _, errs := call(t, append([]string{"verify"}, c.args...)...); code != c.want {
			t.Errorf("%v: code %d, want %d: %s", c.args, code, c.want, errs)
		}
	}
}

// TestVerifyNamesABrokenErasure: the step of the folder's verification that follows erasures.
func TestVerifyNamesABrokenErasure(t *testing.T) {
	t.Parallel()
	l := erasureLog(0)
	code, out, errs := call(t, "verify", "--key", l.VerifierKey(), write(t, l))
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "10 ✓ erasures by two persons", "2 shredded, 0 reduced, 1 kept, 1 irrecoverable")
	l.Append(act("complaint.amended", "complaint:"+gone, "h-1", nil))
	code, out, _ = call(t, "verify", "--key", l.VerifierKey(), write(t, l))
	if code != exitcode.Integrity {
		t.Errorf("code %d", code)
	}
	want(t, out, "10 ✗", "entry 11 (complaint.amended) changes a record that entry 4 erased", "trailcheck explain")
}

// TestExplainShowsErasedAsErased: an entry about a record that is gone comes with the proof of that.
func TestExplainShowsErasedAsErased(t *testing.T) {
	t.Parallel()
	l := erasureLog(0)
	// The erasure of one record that only mentions another.
	other := shreddedAct("44444444-8b86-4011-b42d-00c04fc964ff")
	other.Request = "complaint:" + staying
	l.Append(other)
	l.Append(audittest.Bodies(300)...)
	dir := write(t, l)
	code, out, errs := call(t, "explain", "--key", l.VerifierKey(), dir, "0")
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "It is not missing", "✓ Entry 4:", "record shredded", "✓ Entry 10:", "record irrecoverable")
	code, out, _ = call(t, "explain", "--key", l.VerifierKey(), "-o", "json", dir, "1")
	var e explained
	if err := json.Unmarshal([]byte(out), &e); code != exitcode.OK || err != nil || len(e.Erased) != 1 || e.Erased[0].Index != 5 || !e.Erased[0].Included || len(e.Erased[0].Proof) == 0 {
		t.Errorf("code %d, %v: %+v", code, err, e.Erased)
	}
	if _, out, _ = call(t, "explain", "--key", l.VerifierKey(), dir, "40"); strings.Contains(out, "missing") {
		t.Errorf("a living record is called erased:\n%s", out)
	}
	if _, out, _ = call(t, "explain", "--key", l.VerifierKey(), dir, "6"); strings.Contains(out, "missing") {
		t.Errorf("a kept record is called erased:\n%s", out)
	}
}
