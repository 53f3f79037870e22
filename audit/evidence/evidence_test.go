package evidence_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/audit/evidence/evidencetest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// corpus is made once.
var corpus = sync.OnceValue(func() []evidencetest.Case { return evidencetest.Make(2) })

func optionsOf(c evidencetest.Case) evidence.Options {
	o := evidence.Options{Keys: c.Keys, Quorum: c.Quorum, Pinned: c.Pinned, Vocabulary: evidence.Vocabulary{Kinds: map[string]evidence.Kind{}}}
	if c.Witnesses != "" {
		o.Witnesses = strings.Split(c.Witnesses, "\n")
	}
	for _, k := range c.Opens {
		o.Vocabulary.Kinds[k] = evidence.Kind{Opens: true}
	}
	return o
}

// TestCorpus holds the verifier to the verdict that each bundle of the corpus deserves, and to the reason.
func TestCorpus(t *testing.T) {
	t.Parallel()
	cases := corpus()
	proofs, forgeries := evidencetest.Counts(cases)
	t.Logf("%d bundles, %d genuine proofs, %d forgeries of %d classes", len(cases), proofs, forgeries, len(evidencetest.Classes(cases)))
	if proofs < 400 || forgeries < 1400 {
		t.Errorf("%d genuine proofs and %d forgeries, promised are 400 and 1400", proofs, forgeries)
	}
	wrong := map[string]int{}
	for _, c := range cases {
		rep, _, err := evidence.VerifyFile(bytes.NewReader(c.Data), int64(len(c.Data)), optionsOf(c))
		if err != nil {
			t.Errorf("%s (%s): %v", c.File, c.Class, err)
			continue
		}
		step, code := 0, ""
		if s, f := rep.First(); f != nil {
			step, code = s.Number, f.Code
		}
		if rep.OK != c.OK || step != c.Step || code != c.Code {
			if _, class, _ := strings.Cut(c.Class, ": "); wrong[class] < 2 {
				t.Errorf("%s (%s): ok %v, step %d, %s; deserved ok %v, step %d, %s", c.File, c.Class, rep.OK, step, code, c.OK, c.Step, c.Code)
				wrong[class]++
			}
		}
	}
}

func TestSameBundleSameBytes(t *testing.T) {
	t.Parallel()
	a, b := corpus(), evidencetest.Make(2)
	for i := range a {
		if !bytes.Equal(a[i].Data, b[i].Data) {
			t.Fatalf("%s has other bytes when made again", a[i].Class)
		}
	}
	read, err := evidence.Open(bytes.NewReader(a[0].Data), int64(len(a[0].Data)))
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := evidence.Write(&again, read); err != nil || !bytes.Equal(again.Bytes(), a[0].Data) {
		t.Errorf("opened and written again: other bytes, %v", err)
	}
}

func TestWhatABundleConcludes(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"genuine: two years":    "opened 3 times through this service, up to size",
		"genuine: never opened": "nobody opened this record through this service, up to size",
		"genuine: absent":       "these 0 entries and no others",
		"genuine: withheld":     "2 entries are withheld, of which this says nothing",
	}
	for _, c := range corpus() {
		sentence, ok := want[c.Class]
		if !ok {
			continue
		}
		rep, _, err := evidence.VerifyFile(bytes.NewReader(c.Data), int64(len(c.Data)), optionsOf(c))
		if err != nil {
			t.Fatal(err)
		}
		delete(want, c.Class)
		if all := fmt.Sprint(rep.Result); !strings.Contains(all, sentence) && c.Class != "genuine: withheld" {
			t.Errorf("%s: %s", c.Class, all)
		}
		if all := fmt.Sprint(rep.Result); !strings.Contains(all, "by the service's clock; nothing is said of the") {
			t.Errorf("%s: how old the commitment is stays unsaid: %s", c.Class, all)
		}
		if strings.Contains(fmt.Sprint(rep.Steps), "%!") {
			t.Errorf("%s: a sentence with a hole", c.Class)
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the corpus: %v", want)
	}
}

func TestOptionsAreHeld(t *testing.T) {
	t.Parallel()
	c := corpus()[0]
	for name, o := range map[string]evidence.Options{"key": {Keys: "x"}, "witness": {Witnesses: []string{"x"}}, "pinned": {Pinned: [][]byte{{}}}, "quorum": {Quorum: 1}} {
		if _, _, err := evidence.VerifyFile(bytes.NewReader(c.Data), int64(len(c.Data)), o); !errors.Is(err, evidence.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	cases := corpus()
	for i := 0; i < len(cases); i += 40 {
		f.Add(cases[i].Data)
	}
	o := optionsOf(cases[0])
	f.Fuzz(func(t *testing.T, data []byte) {
		rep, b, err := evidence.VerifyFile(bytes.NewReader(data), int64(len(data)), o)
		if err != nil {
			t.Fatal(err)
		}
		if (b == nil) != (rep.Steps[0].Status == verify.Failed) {
			t.Fatal("a bundle that was refused was opened, or the other way round")
		}
		if b == nil {
			return
		}
		var again bytes.Buffer
		if err := evidence.Write(&again, b); err != nil {
			t.Fatalf("what was opened cannot be written: %v", err)
		}
		if rep2, _, err := evidence.VerifyFile(bytes.NewReader(again.Bytes()), int64(again.Len()), o); err != nil || rep2.OK != rep.OK {
			t.Fatalf("another verdict on the same content: %v", err)
		}
	})
}

func ExampleVerify() {
	c := corpus()[0] // a bundle from elsewhere
	report, _, err := evidence.VerifyFile(bytes.NewReader(c.Data), int64(len(c.Data)), evidence.Options{Keys: c.Keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.OK)
	// Output: true
}
