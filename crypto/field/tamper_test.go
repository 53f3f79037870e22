package field_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// moves are all ways to put a ciphertext where it does not belong.
func moves(p field.Place) map[string]field.Place {
	out := map[string]field.Place{}
	move := func(name string, change func(*field.Place)) {
		q := p
		change(&q)
		out[name] = q
	}
	move("institution", func(q *field.Place) { q.Institution += "b" })
	move("row", func(q *field.Place) { q.Record += "b" })
	move("record type", func(q *field.Place) { q.RecordType += "b" })
	move("field", func(q *field.Place) { q.Path += "b" })
	move("schema", func(q *field.Place) { q.SchemaVersion++ })
	move("generation", func(q *field.Place) { q.Generation++ })
	move("revision", func(q *field.Place) { q.Revision++ })
	move("older revision", func(q *field.Place) { q.Revision-- })
	// The injectivity of the AAD: bytes moved over the edge of a name.
	move("edge", func(q *field.Place) { q.Institution, q.Record = q.Institution+q.Record[:1], q.Record[1:]+"x" })
	move("edge 2", func(q *field.Place) { q.RecordType, q.Path = q.RecordType+q.Path[:1], q.Path[1:]+"x" })
	return out
}

func drawPlace(t *rapid.T, suite byte) field.Place {
	name := rapid.StringMatching(`[a-z][a-z0-9-]{0,20}`)
	return field.Place{Institution: name.Draw(t, "institution"), Record: name.Draw(t, "record"), RecordType: name.Draw(t, "type"),
		Path: name.Draw(t, "path"), SchemaVersion: rapid.Uint32().Draw(t, "schema"), Generation: rapid.Uint32().Draw(t, "generation"),
		Revision: rapid.Uint64().Draw(t, "revision"), Suite: suite}
}

// TestMovedCiphertextNeverOpens: with the header as it is, and with the header
// rewritten to look right at the new place.
func TestMovedCiphertextNeverOpens(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		k := newKey(t)
		rapid.Check(t, func(t *rapid.T) {
			p := drawPlace(t, suite)
			shape := rapid.SampledFrom([]field.Shape{field.Exact, field.Short, field.Text, field.Null}).Draw(t, "shape")
			var value []byte
			if shape != field.Null {
				value = rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "value")
			}
			env, err := field.Seal(k, p, value, shape)
			if err != nil {
				t.Fatal(err)
			}
			for name, q := range moves(p) {
				if _, err := field.Open(k, q, env); !errors.Is(err, field.ErrIntegrity) {
					t.Fatalf("moved to another %s: %v, want ErrIntegrity", name, err)
				}
				there, err := field.Seal(k, q, value, shape)
				if err != nil {
					t.Fatal(err)
				}
				forged := slices.Concat(there[:20], env[20:])
				if _, err := field.Open(k, q, forged); !errors.Is(err, field.ErrIntegrity) {
					t.Fatalf("moved to another %s with its header: %v, want ErrIntegrity", name, err)
				}
			}
		})
	})
}

// TestEveryFlippedBitIsRefused goes through every bit of an envelope.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		k := newKey(t)
		for _, shape := range []field.Shape{field.Exact, field.Short, field.Text, field.Null} {
			value := []byte("some value")
			if shape == field.Null {
				value = nil
			}
			env, err := field.Seal(k, placeIn(suite), value, shape)
			if err != nil {
				t.Fatal(err)
			}
			for i := range len(env) * 8 {
				bad := bytes.Clone(env)
				bad[i/8] ^= 1 << (i % 8)
				if p, err := field.Open(k, placeIn(suite), bad); !errors.Is(err, field.ErrIntegrity) || p.Len() != 0 {
					t.Fatalf("shape %d, bit %d of byte %d: %v, want ErrIntegrity", shape, i%8, i/8, err)
				}
			}
			for n := range env {
				if _, err := field.Open(k, placeIn(suite), env[:n]); !errors.Is(err, field.ErrIntegrity) {
					t.Fatalf("cut to %d bytes: %v, want ErrIntegrity", n, err)
				}
			}
			if _, err := field.Open(k, placeIn(suite), append(bytes.Clone(env), 0)); !errors.Is(err, field.ErrIntegrity) {
				t.Fatalf("one byte more: %v, want ErrIntegrity", err)
			}
		}
	})
}

func TestOtherKeyDoesNotOpen(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		k := newKey(t)
		other, err := field.NewKey(bytes.Repeat([]byte{8}, field.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		env, err := field.Seal(k, placeIn(suite), []byte("v"), field.Exact)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := field.Open(other, placeIn(suite), env); !errors.Is(err, field.ErrIntegrity) {
			t.Errorf("other key: %v, want ErrIntegrity", err)
		}
	})
}

// sealed is a record with its manifest, to be tampered with.
func sealed(t *testing.T, suite byte) (r record, k *field.Key, envs [][]byte, stored []byte) {
	t.Helper()
	r, k = newRecordOf(suite), newKey(t)
	envs = make([][]byte, len(r.places))
	stored, err := r.seal(k, envs, make([]field.FieldDigest, len(r.places)))
	if err != nil {
		t.Fatal(err)
	}
	return r, k, envs, stored
}

func TestManifestRefusesEveryFlippedBit(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		r, k, _, stored := sealed(t, suite)
		for i := range len(stored) * 8 {
			bad := bytes.Clone(stored)
			bad[i/8] ^= 1 << (i % 8)
			if _, err := field.VerifyManifest(k, r.input, bad); !errors.Is(err, field.ErrIntegrity) {
				t.Fatalf("bit %d of byte %d: %v, want ErrIntegrity", i%8, i/8, err)
			}
		}
		for n := range stored {
			if _, err := field.VerifyManifest(k, r.input, stored[:n]); !errors.Is(err, field.ErrIntegrity) {
				t.Fatalf("cut to %d: %v, want ErrIntegrity", n, err)
			}
		}
	})
}

func TestManifestRefusesAnotherRecord(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		r, k, _, stored := sealed(t, suite)
		for name, change := range map[string]func(*field.ManifestInput){
			"institution":    func(in *field.ManifestInput) { in.Institution = "bank-b" },
			"record":         func(in *field.ManifestInput) { in.Record += "0" },
			"revision":       func(in *field.ManifestInput) { in.Revision++ },
			"older revision": func(in *field.ManifestInput) { in.Revision-- },
			"schema":         func(in *field.ManifestInput) { in.SchemaVersion++ },
			"attributes":     func(in *field.ManifestInput) { in.Attrs = append(bytes.Clone(in.Attrs[1:]), 'b') },
			"no attributes":  func(in *field.ManifestInput) { in.Attrs = nil },
			"edge": func(in *field.ManifestInput) {
				in.Institution, in.Record = in.Institution+in.Record[:1], in.Record[1:]
			},
		} {
			in := r.input
			change(&in)
			if _, err := field.VerifyManifest(k, in, stored); !errors.Is(err, field.ErrIntegrity) {
				t.Errorf("another %s: %v, want ErrIntegrity", name, err)
			}
		}
		if _, err := field.VerifyManifest(k, r.input, stored); err != nil {
			t.Errorf("unchanged: %v", err)
		}
	})
}

func TestManifestFindsSwappedRemovedAndAddedFields(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		r, k, envs, stored := sealed(t, suite)
		m, err := field.VerifyManifest(k, r.input, stored)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for i, p := range r.places {
			paths = append(paths, p.Path)
			for j := range envs {
				err := m.Check(p.Path, envs[j])
				if (err == nil) != (i == j) || err != nil && !errors.Is(err, field.ErrIntegrity) {
					t.Errorf("envelope %d as field %d: %v", j, i, err)
				}
			}
			if d, ok := m.Field(p.Path); !ok || d != field.DigestOf(p, envs[i]) {
				t.Errorf("field %q: %+v, %v", p.Path, d, ok)
			}
		}
		if err := m.CheckSet(paths); err != nil {
			t.Errorf("full set: %v", err)
		}
		for name, set := range map[string][]string{"removed": paths[1:], "added": append(slices.Clone(paths), "extra"), "none": nil} {
			if err := m.CheckSet(set); !errors.Is(err, field.ErrIntegrity) {
				t.Errorf("%s: %v, want ErrIntegrity", name, err)
			}
		}
		if err := m.Check("extra", envs[0]); !errors.Is(err, field.ErrIntegrity) {
			t.Errorf("unlisted field: %v, want ErrIntegrity", err)
		}
	})
}

// TestManifestIsCanonical: the order of the input does not matter, and the next
// revision can be built from the verified list.
func TestManifestIsCanonical(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		r, k, envs, stored := sealed(t, suite)
		m, err := field.VerifyManifest(k, r.input, stored)
		if err != nil {
			t.Fatal(err)
		}
		in := r.input
		for i := range slices.Backward(r.places) {
			in.Fields = append(in.Fields, field.DigestOf(r.places[i], envs[i]))
		}
		again, err := field.BuildManifest(k, in)
		if err != nil || !bytes.Equal(again, stored) {
			t.Errorf("order matters (%v)", err)
		}
		in.Fields = slices.Collect(m.Fields())
		if again, err = field.BuildManifest(k, in); err != nil || !bytes.Equal(again, stored) {
			t.Errorf("list does not round trip (%v)", err)
		}
		if field.ManifestDigest(again) != field.ManifestDigest(stored) {
			t.Error("digests differ")
		}
	})
}

func TestManifestRefusesBadInput(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	good := field.ManifestInput{Institution: "i", Record: "r"}
	if _, err := field.BuildManifest(k, good); err != nil {
		t.Errorf("no fields: %v", err)
	}
	for name, change := range map[string]func(*field.ManifestInput){
		"institution": func(in *field.ManifestInput) { in.Institution = "" },
		"record":      func(in *field.ManifestInput) { in.Record = "" },
		"twice":       func(in *field.ManifestInput) { in.Fields = []field.FieldDigest{{Path: "a"}, {Path: "a"}} },
		"path":        func(in *field.ManifestInput) { in.Fields = []field.FieldDigest{{}} },
		"suite":       func(in *field.ManifestInput) { in.Fields = []field.FieldDigest{{Path: "a", Suite: 2}} },
		"row's suite": func(in *field.ManifestInput) { in.Suite = 3 },
		"many":        func(in *field.ManifestInput) { in.Fields = make([]field.FieldDigest, field.MaxFields+1) },
	} {
		in := good
		change(&in)
		if _, err := field.BuildManifest(k, in); !errors.Is(err, field.ErrPlace) {
			t.Errorf("%s: %v, want ErrPlace", name, err)
		}
	}
}
