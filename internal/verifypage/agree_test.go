package verifypage_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

// forged is a bundle of the corpus of these tests with what its reader brings.
type forged struct {
	name string
	zip  []byte
	job  job
}

// goVerdict is what package evidence makes of a bundle.
func goVerdict(t *testing.T, f *forged) verdict {
	t.Helper()
	opts := evidence.Options{Keys: f.job.Keys, Quorum: f.job.Quorum, Pinned: f.job.Pinned, Vocabulary: vocabulary()}
	if f.job.Witnesses != "" {
		opts.Witnesses = strings.Fields(f.job.Witnesses)
	}
	rep, _, err := evidence.VerifyFile(bytes.NewReader(f.zip), int64(len(f.zip)), opts)
	if err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	v := verdict{OK: rep.OK}
	if s, finding := rep.First(); s != nil {
		v.Step, v.Code = s.Number, finding.Code
	}
	for _, s := range rep.Steps {
		v.Steps = append(v.Steps, string(s.Status))
	}
	return v
}

func vocabulary() evidence.Vocabulary {
	v := evidence.Vocabulary{Kinds: map[string]evidence.Kind{}}
	for _, k := range complaint.Registry().Events {
		v.Kinds[k.ID] = evidence.Kind{EN: k.EN, ZH: k.ZH, Opens: k.Opens}
	}
	return v
}

func (v verdict) String() string {
	return fmt.Sprintf("ok %v, step %d, %s, %s", v.OK, v.Step, v.Code, strings.Join(v.Steps, " "))
}

// forgeries makes bundles of the sample: one bit of the zip, one byte of each file, one value of evidence.json, one file missing or
// too many, and readers who bring other things.
func forgeries(t *testing.T) []*forged {
	t.Helper()
	s := newSample(t)
	reader := job{Keys: s.log.VerifierKey(), Witnesses: s.log.WitnessKey(), Pinned: [][]byte{s.log.Checkpoint()}}
	genuine := s.zip(t)
	out := []*forged{{"genuine", genuine, reader}}
	add := func(name string, raw []byte) { out = append(out, &forged{name, raw, reader}) }
	bring := func(name string, j job) { out = append(out, &forged{name, genuine, j}) }
	bring("no key", job{})
	bring("another key", job{Keys: otherKey(t, s)})
	bring("a witness without key of the log", job{Witnesses: reader.Witnesses})
	bring("a kept checkpoint without key", job{Pinned: reader.Pinned})
	bring("a witness that did not cosign", job{Keys: reader.Keys, Witnesses: reader.Witnesses + "\n" + otherKey(t, s), Quorum: 2})
	bring("one of two witnesses", job{Keys: reader.Keys, Witnesses: reader.Witnesses + "\n" + otherKey(t, s), Quorum: 1})

	random := rand.New(rand.NewPCG(1, 2))
	for range 250 {
		bad := slices.Clone(genuine)
		at := random.IntN(len(bad))
		bad[at] ^= 1 << random.IntN(8)
		add(fmt.Sprintf("bit of byte %d", at), bad)
	}
	for range 60 {
		at := random.IntN(len(genuine))
		add(fmt.Sprintf("cut at %d", at), slices.Clone(genuine[:at]))
		add(fmt.Sprintf("a byte more at %d", at), slices.Insert(slices.Clone(genuine), at, byte(at)))
	}
	names := make([]string, 0, len(s.files))
	for name := range s.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		with := func(data []byte) []byte {
			files := map[string][]byte{}
			for n, d := range s.files {
				files[n] = d
			}
			if files[name] = data; data == nil {
				delete(files, name)
			}
			return packed(t, files)
		}
		add("without "+name, with(nil))
		add("empty "+name, with([]byte{}))
		add("doubled "+name, with(append(slices.Clone(s.files[name]), s.files[name]...)))
		for range 22 {
			data := slices.Clone(s.files[name])
			at := random.IntN(len(data))
			data[at] ^= 1 << random.IntN(8)
			add(fmt.Sprintf("byte %d of %s", at, name), with(data))
		}
		for _, other := range names {
			if filepath.Dir(other) == filepath.Dir(name) && other < name {
				add(name+" as "+other, with(s.files[other]))
			}
		}
	}
	for _, more := range []string{"log/0/entries/4.json", "log/1/checkpoint", "blob/sha256/" + strings.Repeat("0", 64), "stamp/0/9.tsr", "other.txt", "log/0/entries/04.json"} {
		files := map[string][]byte{more: []byte("x")}
		for n, d := range s.files {
			files[n] = d
		}
		add("with "+more, packed(t, files))
	}
	for _, name := range names { // streams that two readers could read in two ways
		for what, alter := range map[string]func([]byte) []byte{
			"a byte behind the stream of":  func(b []byte) []byte { return append(b, 0) },
			"a block behind the stream of": func(b []byte) []byte { return append(b, 1, 0, 0, 0xff, 0xff) },
			"a stream cut short of":        func(b []byte) []byte { return b[:len(b)-1] },
			"an empty stream of":           func([]byte) []byte { return nil },
		} {
			add(what+" "+name, packedWith(t, s.files, func(n string, method uint16, data []byte) []byte {
				if n != name || method != zip.Deflate {
					return data
				}
				return alter(data)
			}))
		}
	}
	for i, change := range jsonChanges(t, s.files["evidence.json"], random) {
		files := map[string][]byte{}
		for n, d := range s.files {
			files[n] = d
		}
		files["evidence.json"] = change
		add(fmt.Sprintf("evidence.json %d", i), packed(t, files))
	}
	return out
}

// otherKey is a key of the same name that signed nothing here.
func otherKey(t *testing.T, s *sample) string {
	t.Helper()
	return newOther(s).VerifierKey()
}

// jsonChanges alters evidence.json in one place each: every value in several ways, every member and element taken away or doubled.
func jsonChanges(t *testing.T, raw []byte, random *rand.Rand) [][]byte {
	t.Helper()
	var out [][]byte
	var root any
	decode := func() {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&root); err != nil {
			t.Fatal(err)
		}
	}
	emit := func() {
		changed, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []string{"<", ">", "&"} {
			changed = bytes.ReplaceAll(changed, fmt.Appendf(nil, `\u%04x`, c[0]), []byte(c))
		}
		out = append(out, changed)
	}
	decode()
	var walk func(v any, set func(any))
	walk = func(v any, set func(any)) {
		try := func(others ...any) {
			for _, o := range others {
				set(o)
				emit()
			}
			set(v)
		}
		switch x := v.(type) {
		case string:
			flipped := []byte(x)
			if len(flipped) > 0 {
				flipped[random.IntN(len(flipped))] ^= 1
			}
			try(string(flipped), x+"0", "", json.Number("1"))
		case json.Number:
			n, _ := x.Int64()
			try(json.Number(fmt.Sprint(n+1)), json.Number(fmt.Sprint(n-1)), x.String(), json.Number("9007199254740992"))
		case []any:
			if len(x) > 0 {
				try(x[1:], x[:len(x)-1], append(slices.Clone(x), x[len(x)-1]), []any{})
			}
			for i := range x {
				walk(x[i], func(o any) { x[i] = o })
			}
		case map[string]any:
			names := make([]string, 0, len(x))
			for name := range x {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				was := x[name]
				delete(x, name)
				emit()
				x[name] = was
				walk(was, func(o any) { x[name] = o })
			}
			x["zzz"] = json.Number("1")
			emit()
			delete(x, "zzz")
			try(nil)
		}
	}
	walk(root, func(o any) { root = o })
	return append(out, append(slices.Clone(raw), '\n'), bytes.Replace(raw, []byte(":"), []byte(": "), 1), bytes.Replace(raw, []byte("demo"), []byte(`d\u0065mo`), 1))
}

// written puts the bundles into files and their names into the jobs.
func written(t *testing.T, all []*forged) jobs {
	t.Helper()
	dir := t.TempDir()
	var j jobs
	for i, f := range all {
		f.job.File = filepath.Join(dir, fmt.Sprintf("%05d.zip", i))
		if err := os.WriteFile(f.job.File, f.zip, 0o600); err != nil {
			t.Fatal(err)
		}
		j.Bundles = append(j.Bundles, f.job)
	}
	return j
}

// agree compares the page's verdicts with Go's.
func agree(t *testing.T, all []*forged, got []verdict) {
	t.Helper()
	good, differ, codes := 0, 0, map[string]int{}
	for i, f := range all {
		want := goVerdict(t, f)
		if want.OK {
			good++
		} else {
			codes[want.Code]++
		}
		if got[i].String() != want.String() {
			if differ++; differ <= 10 {
				t.Errorf("%s:\npage %v\n  Go %v", f.name, got[i], want)
			}
		}
	}
	if good == 0 || len(all)-good < 1000 || len(codes) < 25 {
		t.Errorf("%d genuine, %d forged, %d codes: too few to say anything", good, len(all)-good, len(codes))
	}
	t.Logf("%d genuine, %d forged of %d codes %v, %d differ", good, len(all)-good, len(codes), codes, differ)
}

// TestNodeAgreesWithGo: the same verdict, the same status of every step, the same first finding, for every forged bundle.
func TestNodeAgreesWithGo(t *testing.T) {
	t.Parallel()
	all := forgeries(t)
	agree(t, all, runNode[verdict](t, written(t, all)))
}
