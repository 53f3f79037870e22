package blindindex_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
)

var update = flag.Bool("update", false, "rewrite the golden vectors' results from their inputs")

const vectorFile = "../testdata/blindindex.json"

// vector is one golden case: either Out or Rule is set. Inputs are invented;
// identity numbers have valid check digits and belong to nobody known.
type vector struct {
	Kind blindindex.Kind `json:"kind"`
	In   string          `json:"in"`
	Out  string          `json:"out,omitempty"`
	Rule string          `json:"rule,omitempty"`
	Note string          `json:"note,omitempty"`
}

type vectors struct {
	Version int      `json:"version"`
	Vectors []vector `json:"vectors"`
}

func load(tb testing.TB) vectors {
	tb.Helper()
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		tb.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

func apply(v *vector) {
	out, err := blindindex.Normalise(v.Kind, v.In)
	v.Out, v.Rule = string(out), ""
	var rule *blindindex.RuleError
	if errors.As(err, &rule) {
		v.Rule = rule.Rule
	}
}

// TestGoldenVectors: a change here is a new Version and a new index epoch,
// since every stored token was computed by the old rule.
func TestGoldenVectors(t *testing.T) {
	v := load(t)
	if *update {
		for i := range v.Vectors {
			apply(&v.Vectors[i])
		}
		v.Version = blindindex.Version
		raw, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if v.Version != blindindex.Version {
		t.Fatalf("vectors of version %d, code of version %d", v.Version, blindindex.Version)
	}
	kinds := map[blindindex.Kind]int{}
	for _, want := range v.Vectors {
		got := want
		apply(&got)
		if got != want {
			t.Errorf("%s %q: got %q (rule %q), want %q (rule %q)", want.Kind, want.In, got.Out, got.Rule, want.Out, want.Rule)
		}
		kinds[want.Kind]++
	}
	for _, k := range blindindex.Kinds() {
		if kinds[k] < 8 {
			t.Errorf("%d vectors of kind %s", kinds[k], k)
		}
	}
}

func TestNormaliseIsIdempotent(t *testing.T) {
	t.Parallel()
	for _, v := range load(t).Vectors {
		if v.Rule != "" {
			continue
		}
		again, err := blindindex.Normalise(v.Kind, v.Out)
		if err != nil || string(again) != v.Out {
			t.Errorf("%s: normalising %q again gives %q, %v", v.Kind, v.Out, again, err)
		}
	}
}

// TestErrorsNameRuleNotValue: canary in every kind.
func TestErrorsNameRuleNotValue(t *testing.T) {
	t.Parallel()
	for _, k := range append(blindindex.Kinds(), "other") {
		for _, v := range []string{"CANARY\x00 13800138000", "\xffCANARY", strings.Repeat("CANARY", 100), ""} {
			_, err := blindindex.Normalise(k, v)
			if !errors.Is(err, blindindex.ErrInvalid) || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "CANARY") {
				t.Errorf("%s: error %v", k, err)
			}
		}
	}
}

// TestCheckDigitsCatchTypos: every single wrong digit, every swap of neighbours.
func TestCheckDigitsCatchTypos(t *testing.T) {
	t.Parallel()
	for kind, good := range map[blindindex.Kind]string{
		blindindex.IDNumber: "11010519491231002X",
		blindindex.Card:     "6222021234567890128",
	} {
		base, err := blindindex.Normalise(kind, good)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		for i := range base {
			for d := byte('0'); d <= '9'; d++ {
				bad := []byte(string(base))
				bad[i] = d
				if bad[i] == base[i] {
					continue
				}
				if _, err := blindindex.Normalise(kind, string(bad)); !errors.Is(err, blindindex.ErrInvalid) {
					t.Errorf("%s with digit %d wrong was accepted", kind, i)
				}
			}
		}
	}
}

func TestInputIsInjective(t *testing.T) {
	t.Parallel()
	short := rapid.StringMatching(`[ab]{1,3}`)
	type all struct {
		inst, field, value string
		epoch              uint32
	}
	draw := func(t *rapid.T) all {
		return all{short.Draw(t, "i"), short.Draw(t, "f"), short.Draw(t, "v"), rapid.Uint32Range(0, 1).Draw(t, "e")}
	}
	input := func(a all) string {
		return string(blindindex.Input(a.inst, blindindex.Item{Field: a.field, Epoch: a.epoch, Normalised: []byte(a.value)}))
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		if (input(a) == input(b)) != (a == b) {
			t.Fatalf("%+v and %+v: equal input %v", a, b, input(a) == input(b))
		}
	})
}

// FuzzNormalise: no panic, a value has one form, errors are typed.
func FuzzNormalise(f *testing.F) {
	for _, v := range load(f).Vectors {
		f.Add(string(v.Kind), v.In)
	}
	f.Fuzz(func(t *testing.T, kind, value string) {
		out, err := blindindex.Normalise(blindindex.Kind(kind), value)
		if err != nil {
			if !errors.Is(err, blindindex.ErrInvalid) || out != nil {
				t.Fatalf("error %v with result %q", err, out)
			}
			return
		}
		again, err := blindindex.Normalise(blindindex.Kind(kind), string(out))
		if err != nil || string(again) != string(out) {
			t.Fatalf("%s: %q normalises to %q, then to %q, %v", kind, value, out, again, err)
		}
	})
}

func ExampleNormalise() {
	for _, in := range []string{"138 0013 8000", "+86 138-0013-8000", "008613800138000", "１３８００１３８０００"} {
		out, err := blindindex.Normalise(blindindex.Phone, in)
		fmt.Println(string(out), err)
	}
	_, err := blindindex.Normalise(blindindex.Card, "6222 0212 3456 7890 129")
	fmt.Println(err)
	// Output:
	// +8613800138000 <nil>
	// +8613800138000 <nil>
	// +8613800138000 <nil>
	// +8613800138000 <nil>
	// card breaks rule check_digit
}

func ExampleInput() {
	fmt.Printf("%q\n", blindindex.Input("acme", blindindex.Item{Field: "phone", Epoch: 1, Normalised: []byte("+8613800138000")}))
	// Output: "stx1\x00\x00\x00\x04acme\x00\x00\x00\x05phone\x00\x00\x00\x01+8613800138000"
}
