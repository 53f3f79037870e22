package cryptotest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

var update = flag.Bool("update", false, "rewrite crypto/testdata/vectors.json from the reference implementation")

const dir = "../testdata"

func load(tb testing.TB) *cryptotest.Vectors {
	tb.Helper()
	v, err := cryptotest.LoadVectors(os.DirFS(dir))
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// TestVectorsAreTheReferences: the file is what the reference implementation
// of this test (crypto/hkdf, cipher.NewGCM, no code of ours) computes.
func TestVectorsAreTheReferences(t *testing.T) {
	needChosenNonce(t)
	want, err := json.MarshalIndent(reference(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(dir+"/"+cryptotest.VectorFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(dir + "/" + cryptotest.VectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the format changed; if that is meant, it needs a new version (-want +got):\n%s", diff)
	}
}

func key(t *testing.T, dek []byte) *field.Key {
	t.Helper()
	k, err := field.NewKey(bytes.Clone(dek))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func placeOf(p cryptotest.Place) field.Place {
	return field.Place{Suite: p.Suite, Kind: p.Kind, Institution: p.Institution, Record: p.Record, RecordType: p.RecordType,
		Path: p.Path, SchemaVersion: p.SchemaVersion, Generation: p.Generation, Revision: p.Revision}
}

// eachSuite runs test with the vectors of one suite; fips140=only refuses 0x02.
func eachSuite(t *testing.T, test func(t *testing.T, vs *cryptotest.Vectors, suite byte)) {
	t.Helper()
	vs := load(t)
	for _, suite := range []byte{field.Suite1, field.Suite2} {
		t.Run(fmt.Sprintf("suite%d", suite), func(t *testing.T) {
			t.Parallel()
			if errors.Is(field.CheckSuite(suite), field.ErrSuiteForbidden) {
				t.Skip("fips140=only: suite 0x02")
			}
			test(t, vs, suite)
		})
	}
}

func TestFieldsOpen(t *testing.T) {
	t.Parallel()
	shapes := map[string]field.Shape{"exact": field.Exact, "short": field.Short, "text": field.Text, "null": field.Null}
	eachSuite(t, func(t *testing.T, vs *cryptotest.Vectors, suite byte) {
		opened := 0
		for _, v := range vs.Fields {
			if v.Place.Suite != suite {
				continue
			}
			opened++
			k := key(t, v.DEK)
			p, err := field.Open(k, placeOf(v.Place), v.Envelope)
			if err != nil || !bytes.Equal(p.Expose(), v.Value) || p.Null() != (v.Shape == "null") {
				t.Errorf("%s: %v", v.Name, err)
			}
			// The nonce is random: what we seal differs, but not in length or header.
			env, err := field.Seal(k, placeOf(v.Place), v.Value, shapes[v.Shape])
			if err != nil || len(env) != len(v.Envelope) || !bytes.Equal(env[:20], v.Envelope[:20]) {
				t.Errorf("%s: sealed as %x, %v", v.Name, env, err)
			}
		}
		if opened != 9 {
			t.Errorf("%d vectors opened", opened)
		}
	})
}

func TestRefusedFieldsDoNotOpen(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, vs *cryptotest.Vectors, suite byte) {
		refused := 0
		for _, v := range vs.RefusedFields {
			if v.Place.Suite != suite {
				continue
			}
			refused++
			_, err := field.Open(key(t, v.DEK), placeOf(v.Place), v.Envelope)
			if got := finding(err); got != v.Finding {
				t.Errorf("%s: finding %q (%v), want %q", v.Name, got, err, v.Finding)
			}
		}
		if refused != 28 {
			t.Errorf("%d vectors refused", refused)
		}
	})
}

func finding(err error) string {
	if e, ok := errors.AsType[*field.IntegrityError](err); ok {
		return e.What
	}
	return ""
}

func input(v cryptotest.ManifestVector) field.ManifestInput {
	in := field.ManifestInput{Institution: v.Institution, Record: v.Record, Revision: v.Revision, SchemaVersion: v.SchemaVersion,
		Suite: v.Suite, Attrs: v.Attrs}
	for _, f := range v.Fields {
		in.Fields = append(in.Fields, field.FieldDigest{Path: f.Path, Revision: f.Revision, Suite: f.Suite, Digest: [32]byte(f.Digest)})
	}
	return in
}

func TestManifestsAreReproduced(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, vs *cryptotest.Vectors, suite byte) {
		built := 0
		for _, v := range vs.Manifests {
			if v.Suite == suite {
				built++
				reproduce(t, v)
			}
		}
		if built != 2 {
			t.Errorf("%d manifests built", built)
		}
	})
}

func reproduce(t *testing.T, v cryptotest.ManifestVector) {
	t.Helper()
	k := key(t, v.DEK)
	stored, err := field.BuildManifest(k, input(v))
	if err != nil || !bytes.Equal(stored, v.Stored) {
		t.Errorf("%s: built %x, %v", v.Name, stored, err)
	}
	m, err := field.VerifyManifest(k, input(v), v.Stored)
	if err != nil {
		t.Errorf("%s: %v", v.Name, err)
		return
	}
	for _, f := range v.Fields {
		if d, ok := m.Field(f.Path); !ok || !bytes.Equal(d.Digest[:], f.Digest) || d.Revision != f.Revision {
			t.Errorf("%s: field %q is %+v, %v", v.Name, f.Path, d, ok)
		}
	}
}

func TestRefusedManifestsDoNotVerify(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, vs *cryptotest.Vectors, suite byte) {
		byName, refused := map[string]cryptotest.ManifestVector{}, 0
		for _, v := range vs.Manifests {
			byName[v.Name] = v
		}
		for _, v := range vs.RefusedManifest {
			if v.Suite != suite {
				continue
			}
			refused++
			against := byName[v.Against]
			against.Suite = v.Suite
			_, err := field.VerifyManifest(key(t, against.DEK), input(against), v.Stored)
			if got := finding(err); got != v.Finding {
				t.Errorf("%s: finding %q (%v), want %q", v.Name, got, err, v.Finding)
			}
		}
		if refused != 13 {
			t.Errorf("%d manifests refused", refused)
		}
	})
}

func TestSmallFormats(t *testing.T) {
	t.Parallel()
	vs := load(t)
	for _, v := range vs.Contexts {
		if got := (keyring.RecordID{Institution: v.Institution, Record: v.Record, Generation: v.Generation, Kind: v.Kind}).Context(); !bytes.Equal(got, v.Context) {
			t.Errorf("context %x, want %x", got, []byte(v.Context))
		}
	}
	for _, v := range vs.Commitments {
		if got := field.Commitment(v.DEK); !bytes.Equal(got[:], v.Commitment) {
			t.Errorf("commitment %x, want %x", got, []byte(v.Commitment))
		}
	}
	for _, v := range vs.IndexInputs {
		got := blindindex.Input(v.Institution, blindindex.Item{Field: v.Field, Epoch: v.Epoch, Normalised: []byte(v.Normalised)})
		if !bytes.Equal(got, v.Input) {
			t.Errorf("index input %x, want %x", got, []byte(v.Input))
		}
	}
	if len(vs.Contexts)*len(vs.Commitments)*len(vs.IndexInputs)*len(vs.Fields)*len(vs.RefusedFields)*len(vs.Manifests)*len(vs.RefusedManifest) == 0 {
		t.Error("a kind of vector is missing")
	}
}

func TestLoadVectorsReportsBadFiles(t *testing.T) {
	t.Parallel()
	if _, err := cryptotest.LoadVectors(os.DirFS(t.TempDir())); err == nil {
		t.Error("a missing file was loaded")
	}
	bad := t.TempDir()
	if err := os.WriteFile(bad+"/"+cryptotest.VectorFile, []byte(`{"commitments":[{"dek":"zz"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cryptotest.LoadVectors(os.DirFS(bad)); err == nil {
		t.Error("bad hexadecimal was loaded")
	}
}
