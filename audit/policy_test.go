package audit_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/audit"
)

// policyKeys makes n witness keys and a log's.
func policyKeys(t testing.TB, n int) (log string, witnesses []string) {
	t.Helper()
	for i := range n + 1 {
		_, vkey, err := note.GenerateKey(rand.Reader, fmt.Sprintf("key.example/%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			log = vkey
			continue
		}
		cosig, err := fnote.VKeyToCosignatureV1(vkey)
		if err != nil {
			t.Fatal(err)
		}
		witnesses = append(witnesses, cosig)
	}
	return log, witnesses
}

// The example of C2SP tlog-policy: two of three X and one of three Y.
func TestPolicyOfTheSpecification(t *testing.T) {
	t.Parallel()
	log, keys := policyKeys(t, 6)
	text := fmt.Sprintf("# ours\nlog %s https://log.example/\n\n \twitness X1 %s\nwitness X2 %s http://127.0.0.1:1\nwitness X3 %s\n  # 二级\ngroup X-witnesses 2 X1 X2 X3\n"+
		"witness Y1 %s\nwitness Y2 %s\nwitness Y3\t%s\ngroup Y-witnesses any Y1 Y2 Y3\n\ngroup X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
		log, keys[0], keys[1], keys[2], keys[3], keys[4], keys[5])
	p, err := audit.ParseWitnessPolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if l := p.Logs(); len(l) != 1 || l[0].VerifierKey != log || l[0].URL != "https://log.example/" {
		t.Errorf("logs %+v", l)
	}
	w := p.Witnesses()
	if len(w) != 6 || w[1].Label != "X2" || w[1].URL != "http://127.0.0.1:1" || w[0].URL != "" || w[2].Verifier().Name() != "key.example/3" {
		t.Errorf("witnesses %+v", w)
	}
	for set := range 1 << 6 {
		has := func(i int) bool { return set>>i&1 == 1 }
		x, y := 0, 0
		for i := range 3 {
			if has(i) {
				x++
			}
			if has(i + 3) {
				y++
			}
		}
		if got, want := p.Quorum(has), x >= 2 && y >= 1; got != want {
			t.Errorf("witnesses %06b: quorum %v, want %v", set, got, want)
		}
	}
	start := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	at := []time.Time{start, start.Add(time.Hour), start.Add(2 * time.Hour), {}, start.Add(90 * time.Minute), {}}
	if got, ok := p.Newest(func(i int) time.Time { return at[i] }); !ok || !got.Equal(start.Add(time.Hour)) {
		t.Errorf("newest %v, %v: want when X2 did, for X2, X3 and Y2 are the newest quorum", got, ok)
	}
	at[4] = time.Time{}
	if got, ok := p.Newest(func(i int) time.Time { return at[i] }); ok {
		t.Errorf("newest %v without any Y", got)
	}
}

// Newest is the greatest limit at which the quorum still holds, for any policy of k of n.
func TestNewestOfAQuorum(t *testing.T) {
	t.Parallel()
	_, keys := policyKeys(t, 6)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "n")
		k := rapid.IntRange(1, n).Draw(t, "k")
		p, err := audit.NewWitnessPolicy(k, keys[:n]...)
		if err != nil {
			t.Fatal(err)
		}
		times := make([]time.Time, n)
		var known []time.Time
		for i := range times {
			if s := rapid.IntRange(0, 5).Draw(t, "seconds"); s > 0 {
				times[i] = time.Unix(int64(s), 0)
				known = append(known, times[i])
			}
		}
		got, ok := p.Newest(func(i int) time.Time { return times[i] })
		if len(known) < k {
			if ok {
				t.Fatalf("%v although only %d of %d cosigned", got, len(known), k)
			}
			return
		}
		slices.SortFunc(known, func(a, b time.Time) int { return b.Compare(a) })
		if !ok || !got.Equal(known[k-1]) {
			t.Fatalf("got %v, want %v", got, known[k-1])
		}
	})
}

func TestShortFormsOfAPolicy(t *testing.T) {
	t.Parallel()
	_, keys := policyKeys(t, 3)
	none, err := audit.NewWitnessPolicy(0)
	if err != nil || none.NeedsWitnesses() || !none.Quorum(func(int) bool { return false }) {
		t.Errorf("no witness: %v", err)
	}
	for _, p := range []string{"quorum none\n", "quorum none", "witness a " + keys[0] + "\nquorum none\n"} {
		if got, err := audit.ParseWitnessPolicy([]byte(p)); err != nil || got.NeedsWitnesses() || !got.Quorum(func(int) bool { return false }) {
			t.Errorf("%q: %v", p, err)
		}
	}
	all, err := audit.NewWitnessPolicy(0, keys...)
	if err != nil || all.Quorum(func(i int) bool { return i < 2 }) || !all.Quorum(func(int) bool { return true }) {
		t.Errorf("all: %v", err)
	}
	for _, k := range []int{-1, 4} {
		if _, err := audit.NewWitnessPolicy(k, keys...); !errors.Is(err, audit.ErrPolicy) {
			t.Errorf("quorum %d of 3: %v", k, err)
		}
	}
	single, err := audit.ParseWitnessPolicy([]byte("witness a " + keys[0] + "\nwitness b " + keys[1] + "\nquorum b\n"))
	if err != nil || single.Quorum(func(i int) bool { return i == 0 }) || !single.Quorum(func(i int) bool { return i == 1 }) {
		t.Errorf("a single witness: %v", err)
	}
}

func TestMalformedPolicies(t *testing.T) {
	t.Parallel()
	log, keys := policyKeys(t, 3)
	good := fmt.Sprintf("log %s\nwitness a %s\nwitness b %s\ngroup g 1 a b\nquorum g\n", log, keys[0], keys[1])
	if _, err := audit.ParseWitnessPolicy([]byte(good)); err != nil {
		t.Fatal(err)
	}
	asLog := strings.Split(keys[0], "+")
	for name, bad := range map[string]string{
		"empty":                    "",
		"no quorum":                strings.Replace(good, "quorum g\n", "", 1),
		"two quorums":              good + "quorum g\n",
		"quorum none and another":  good + "quorum none\n",
		"quorum of nobody":         strings.Replace(good, "quorum g", "quorum h", 1),
		"quorum before its group":  "quorum g\n" + strings.Replace(good, "quorum g\n", "", 1),
		"quorum with two names":    strings.Replace(good, "quorum g", "quorum a b", 1),
		"unknown keyword":          good + "cosigner a\n",
		"a log as witness":         strings.Replace(good, "group", "witness c "+asLog[0]+"+"+asLog[1]+"+AAAA\ngroup", 1),
		"a witness key as log":     strings.Replace(good, log, keys[2], 1),
		"duplicate log":            "log " + log + "\n" + good,
		"duplicate witness":        strings.Replace(good, "group", "witness c "+keys[0]+"\ngroup", 1),
		"name taken":               strings.Replace(good, "witness b", "witness a", 1),
		"group named as witness":   strings.Replace(good, "group g", "group a", 1),
		"witness named none":       strings.Replace(good, "witness a", "witness none", 1),
		"member none":              strings.Replace(good, "1 a b", "1 a none", 1),
		"member not defined":       strings.Replace(good, "1 a b", "1 a c", 1),
		"member twice":             strings.Replace(good, "1 a b", "1 a a", 1),
		"member of two groups":     strings.Replace(good, "quorum", "group h any a\nquorum", 1),
		"group of itself":          strings.Replace(good, "1 a b", "1 a g", 1),
		"no members":               strings.Replace(good, "1 a b", "1", 1),
		"0 of 2":                   strings.Replace(good, "1 a b", "0 a b", 1),
		"3 of 2":                   strings.Replace(good, "1 a b", "3 a b", 1),
		"padded number":            strings.Replace(good, "1 a b", "01 a b", 1),
		"huge number":              strings.Replace(good, "1 a b", "99999999999999999999 a b", 1),
		"carriage returns":         strings.ReplaceAll(good, "\n", "\r\n"),
		"a NUL":                    good + "# \x00\n",
		"DEL":                      good + "# \x7f\n",
		"witness without key":      strings.Replace(good, "witness a "+keys[0], "witness a", 1),
		"too much behind the log":  strings.Replace(good, log, log+" http://x y", 1),
		"another key id":           strings.Replace(good, "+"+asLog[1]+"+", "+00000000+", 1),
		"a file of a million byte": good + strings.Repeat("#", 1<<20),
	} {
		if _, err := audit.ParseWitnessPolicy([]byte(bad)); !errors.Is(err, audit.ErrPolicy) {
			t.Errorf("%s: %v, want ErrPolicy", name, err)
		}
	}
}

// Names and comments are octets: a Kelvin sign is no K, and what is no UTF-8 is allowed.
func TestPolicyNamesAreOctets(t *testing.T) {
	t.Parallel()
	_, keys := policyKeys(t, 2)
	text := "witness K " + keys[0] + "\nwitness \u212a " + keys[1] + "\n# \xff\xfe\ngroup \xe4\xb8 all K \u212a\nquorum \xe4\xb8\n"
	p, err := audit.ParseWitnessPolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if p.Quorum(func(i int) bool { return i == 0 }) {
		t.Error("K alone makes the quorum of K and the Kelvin sign")
	}
	if _, err := audit.ParseWitnessPolicy([]byte("witness a\u00a0b " + keys[0] + "\nquorum a\u00a0b\n")); err != nil {
		t.Errorf("a no-break space is no space here: %v", err)
	}
}

func FuzzParseWitnessPolicy(f *testing.F) {
	log, keys := policyKeys(f, 2)
	f.Add([]byte(fmt.Sprintf("log %s\nwitness a %s\nwitness b %s\ngroup g 1 a b\nquorum g\n", log, keys[0], keys[1])))
	f.Add([]byte("quorum none\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := audit.ParseWitnessPolicy(data)
		if err != nil {
			if !errors.Is(err, audit.ErrPolicy) {
				t.Fatal(err)
			}
			return
		}
		if p.NeedsWitnesses() && (p.Quorum(func(int) bool { return false }) || !p.Quorum(func(int) bool { return true })) {
			t.Fatalf("a quorum of nobody, or none of everybody: %q", data)
		}
	})
}

// Two of the bank's own three witnesses must have cosigned.
func ExampleParseWitnessPolicy() {
	p, err := audit.ParseWitnessPolicy([]byte("quorum none\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(p.Witnesses()), p.NeedsWitnesses())
	// Output: 0 false
}
