package receipt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/receipt"
)

const (
	erasure = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
	one     = "11111111-8b86-4011-b42d-00c04fc964ff"
	two     = "22222222-8b86-4011-b42d-00c04fc964ff"
	three   = "33333333-8b86-4011-b42d-00c04fc964ff"
)

func body(kind, id string, facts audit.Facts) audit.Body {
	b := audittest.Body(0)
	b.Stage, b.Kind, b.Subject, b.Facts, b.Institution = audit.StageEvent, kind, "complaint:"+id, facts, "demo"
	facts["erasure"] = erasure
	return b
}

func shredded(id string) audit.Body {
	return body("erasure.shredded", id, audit.Facts{"basis": "retention_ended", "requested_by": "a-1", "approved_by": "a-2", "generation": 1,
		"commitment": strings.Repeat("ab", 32), "wrapped_sha256": strings.Repeat("cd", 32), "key_version": 3})
}

func irrecoverable(id string, version, min int) audit.Body {
	return body("erasure.irrecoverable", id, audit.Facts{"key": "demo-record", "key_version": version, "min_available": min, "epoch_entry": 9,
		"snapshots_destroyed_before": "2026-11-01T00:00:00Z"})
}

func proof(t testing.TB, l *audittest.Log, index uint64) *receipt.Proof {
	t.Helper()
	leaf, err := audit.ParseLeaf(l.Leaf(index))
	if err != nil {
		t.Fatal(err)
	}
	folder := l.Folder()
	path, err := audit.InclusionProof(index, l.Size(), func(level int, tile uint64, width int) ([]byte, error) {
		partial := width
		if width == audit.TileWidth {
			partial = 0
		}
		return fs.ReadFile(folder, audit.TilePath(level, tile, partial))
	})
	if err != nil {
		t.Fatal(err)
	}
	return &receipt.Proof{Entry: leaf.ID, Index: index, Leaf: l.Leaf(index), Path: path, Checkpoint: string(l.Checkpoint())}
}

// sample is a log with the entries of one erasure of three records among others,
// and its receipt.
func sample(t testing.TB) (*audittest.Log, *receipt.Receipt) {
	t.Helper()
	l := audittest.New(audittest.Config{})
	l.Append(audittest.Bodies(5)...)
	kept := body("erasure.kept", three, audit.Facts{"result": "retained", "until": "2029-01-01T00:00:00Z"})
	l.Append(shredded(one), shredded(two), kept, irrecoverable(one, 3, 4))
	l.Append(audittest.Bodies(5)...)
	l.Publish()
	return l, &receipt.Receipt{Format: receipt.Format, Institution: "demo", Erasure: erasure, Items: []receipt.Item{
		{Complaint: one, Result: receipt.Irrecoverable, Stage1: proof(t, l, 5), Stage2: proof(t, l, 8)},
		{Complaint: two, Result: receipt.Shredded, Stage1: proof(t, l, 6)},
		{Complaint: three, Result: receipt.Retained, Stage1: proof(t, l, 7)},
	}}
}

func verdicts(t testing.TB, l *audittest.Log, r *receipt.Receipt) []receipt.Verdict {
	t.Helper()
	list, err := r.Verify(l.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestReceiptProvesItself(t *testing.T) {
	t.Parallel()
	l, r := sample(t)
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = receipt.Parse(raw); err != nil {
		t.Fatal(err)
	}
	list := verdicts(t, l, r)
	if !receipt.OK(list) {
		t.Fatalf("findings: %+v", list)
	}
	r.Erasure = three
	for i := range r.Items {
		r.Items[i].Erasure = erasure
	}
	if list := verdicts(t, l, r); !receipt.OK(list) {
		t.Errorf("records that an earlier erasure had erased: %+v", list)
	}
	v := list[0]
	if v.KeyVersion != 3 || v.MinAvailable != 4 || v.Basis != "retention_ended" || v.SnapshotsBefore != "2026-11-01T00:00:00Z" ||
		v.RequestedBy != "a-1" || v.ApprovedBy != "a-2" || v.At.IsZero() || v.IrrecoverableAt.IsZero() {
		t.Errorf("got %+v", v)
	}
	if list[2].Until != "2029-01-01T00:00:00Z" {
		t.Errorf("kept until %q", list[2].Until)
	}
}

// TestEveryLieIsFound changes the receipt in each way that would make it claim
// more than the log says.
func TestEveryLieIsFound(t *testing.T) {
	t.Parallel()
	other := audittest.New(audittest.Config{Seed: 1})
	other.Append(shredded(one))
	other.Publish()
	early := audittest.New(audittest.Config{})
	early.Append(irrecoverable(one, 3, 4), shredded(one), irrecoverable(one, 3, 3), irrecoverable(one, 2, 4))
	early.Publish()
	for name, lie := range map[string]struct {
		want   string
		change func(t *testing.T, l *audittest.Log, r *receipt.Receipt)
	}{
		"kept sold as shredded":         {"no erasure.shredded", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[2].Result = receipt.Shredded }},
		"held sold as retained":         {"another reason", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[2].Result = receipt.Held }},
		"shredded sold as final":        {"stage 2: missing", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1].Result = receipt.Irrecoverable }},
		"final understated":             {"does not say irrecoverable", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[0].Result = receipt.Shredded }},
		"another record":                {"another record", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1].Complaint = three + "0" }},
		"same record twice":             {"twice", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1] = r.Items[0] }},
		"another erasure":               {"another erasure", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Erasure = one }},
		"another erasure of the record": {"another erasure", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1].Erasure = one }},
		"another institution":           {"another institution", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Institution = "other" }},
		"no stage 1":                    {"stage 1: missing", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1].Stage1 = nil }},
		"another id":                    {"id or index", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1].Stage1.Entry++ }},
		"another index":                 {"path does not lead", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1].Stage1.Index++ }},
		"unknown result":                {"not one of", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1].Result = "gone" }},
		"leaf with another fact": {"path does not lead", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) {
			swap(r.Items[1].Stage1, `"key_version":3`, `"key_version":2`)
		}},
		"leaf that is none":       {"no entry of a log", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1].Stage1.Leaf = []byte("{}") }},
		"checkpoint that is none": {"not signed", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[1].Stage1.Checkpoint = "x\n" }},
		"checkpoint of another key": {"not signed", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) {
			r.Items[1].Stage1.Checkpoint = string(other.Checkpoint())
		}},
		"stage 2 before stage 1": {"before stage 1", func(t *testing.T, _ *audittest.Log, r *receipt.Receipt) {
			r.Items[0].Stage1, r.Items[0].Stage2 = proof(t, early, 1), proof(t, early, 0)
		}},
		"version still available": {"still available", func(t *testing.T, _ *audittest.Log, r *receipt.Receipt) {
			r.Items[0].Stage1, r.Items[0].Stage2 = proof(t, early, 1), proof(t, early, 2)
		}},
		"stage 2 of another version": {"another key version", func(t *testing.T, _ *audittest.Log, r *receipt.Receipt) {
			r.Items[0].Stage1, r.Items[0].Stage2 = proof(t, early, 1), proof(t, early, 3)
		}},
		"kept and final": {"cannot be irrecoverable", func(_ *testing.T, _ *audittest.Log, r *receipt.Receipt) { r.Items[2].Stage2 = r.Items[0].Stage2 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, r := sample(t)
			lie.change(t, l, r)
			list := verdicts(t, l, r)
			var all []string
			for _, v := range list {
				all = append(all, v.Findings...)
			}
			if receipt.OK(list) || !strings.Contains(strings.Join(all, "\n"), lie.want) {
				t.Errorf("findings %q, want one with %q", all, lie.want)
			}
		})
	}
}

func swap(p *receipt.Proof, was, now string) {
	p.Leaf = bytes.Replace(p.Leaf, []byte(was), []byte(now), 1)
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{}", "[]", `{"format":"sealtrail/erasure-receipt/v2"}`, `{"format":"sealtrail/erasure-receipt/v1"}`,
		`{"format":"sealtrail/erasure-receipt/v1","institution":"d","erasure":"e","items":[]}`,
		`{"format":"sealtrail/erasure-receipt/v1","institution":"d","erasure":"e","items":[{}],"more":1}`,
		`{"format":"sealtrail/erasure-receipt/v1","institution":"d","erasure":"e","items":[{}]}{}`,
		`{"format":"sealtrail/erasure-receipt/v1","institution":"d","erasure":"e","items":[{}],"erasure":"f"}`,
		`{"format":"sealtrail/erasure-receipt/v1","institution":"d","erasure":"e","items":[{"result":"held","result":"shredded"}]}`,
		`{"format":"sealtrail/erasure-receipt/v1","institution":"d","erasure":"e","items":[{"Result":"held"}]}`,
		`{"format":"sealtrail/erasure-receipt/v1","Institution":"d","erasure":"e","items":[{}]}`} {
		if _, err := receipt.Parse([]byte(text)); !errors.Is(err, receipt.ErrMalformed) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestVerifyNeedsAKey(t *testing.T) {
	t.Parallel()
	_, r := sample(t)
	for _, keys := range []string{"", "# none\n", "no key"} {
		if _, err := r.Verify(keys); err == nil {
			t.Errorf("keys %q were taken", keys)
		}
	}
}

func FuzzVerify(f *testing.F) {
	l, r := sample(f)
	raw, err := json.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":"sealtrail/erasure-receipt/v1","institution":"d","erasure":"e","items":[{"stage1":{"leaf":"","path":[""]}}]}`))
	want := verdicts(f, l, r)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := receipt.Parse(data)
		if err != nil {
			return
		}
		list := verdicts(t, l, r)
		if !receipt.OK(list) {
			return
		}
		// Whatever is proved is one of the three things that happened.
		for _, v := range list {
			if v.Complaint != want[0].Complaint && v.Complaint != want[1].Complaint && v.Complaint != want[2].Complaint {
				t.Errorf("proved for a record that the log does not know")
			}
			if v.At.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
				t.Errorf("proved without a time")
			}
		}
	})
}

func ExampleReceipt_Verify() {
	r, err := receipt.Parse([]byte(`{"format":"sealtrail/erasure-receipt/v1"}`))
	if err != nil {
		// A receipt that cannot be read proves nothing.
		return
	}
	list, err := r.Verify("sealtrail.example/demo/2026+...")
	if err != nil || !receipt.OK(list) {
		return
	}
	// Output:
}
