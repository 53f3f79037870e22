package field_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/field"
)

// FuzzOpen and FuzzOpenSM4: no bytes but those that Seal made open, and nothing
// panics. The header is put right, so that the fuzzer gets past it.
func FuzzOpen(f *testing.F) { fuzzOpen(f, field.Suite1) }

func FuzzOpenSM4(f *testing.F) { fuzzOpen(f, field.Suite2) }

func fuzzOpen(f *testing.F, suite byte) {
	needSuite(f, suite)
	seedEnvelopes(f)
	k := randomKey(f)
	p := placeIn(suite)
	genuine, err := field.Seal(k, p, []byte("genuine"), field.Short)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genuine, p.Generation, p.Revision)
	f.Fuzz(func(t *testing.T, env []byte, generation uint32, revision uint64) {
		q := p
		q.Generation, q.Revision = generation, revision
		tryOpen(t, k, q, env, genuine)
		if len(env) >= 20 {
			copy(env[4:20], genuine[4:20])
			copy(env[:2], genuine[:2])
			tryOpen(t, k, p, env, genuine)
		}
	})
}

// seedEnvelopes adds all published envelopes, whole and broken, of both suites.
func seedEnvelopes(f *testing.F) {
	f.Helper()
	vs, err := cryptotest.LoadVectors(os.DirFS("../testdata"))
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range vs.Fields {
		f.Add([]byte(v.Envelope), uint32(1), uint64(1))
	}
	for _, v := range vs.RefusedFields {
		f.Add([]byte(v.Envelope), uint32(1), uint64(1))
	}
}

// FuzzReseal: whatever bytes and places come, Reseal gives an envelope only for
// what opens, and that one opens at the new place to the same value.
func FuzzReseal(f *testing.F) {
	needSuite(f, field.Suite2)
	seedEnvelopes(f)
	k, next := randomKey(f), otherKey(f)
	value := []byte("genuine")
	for _, suite := range []byte{field.Suite1, field.Suite2} {
		genuine, err := field.Seal(k, placeIn(suite), value, field.Text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(genuine, place().Generation, place().Revision)
	}
	f.Fuzz(func(t *testing.T, env []byte, generation uint32, revision uint64) {
		o, s := resealer(t, k, next)
		for _, from := range []byte{field.Suite1, field.Suite2} {
			for _, suite := range []byte{field.Suite1, field.Suite2} {
				old, to := placeIn(from), renewedIn(suite)
				to.Generation, to.Revision = generation, revision
				_, openErr := field.Open(k, old, env)
				again, err := field.Reseal(o, old, env, s, to)
				if (err == nil) != (openErr == nil) || err != nil && (again != nil || !errors.Is(err, field.ErrIntegrity)) {
					t.Fatalf("suite %d to %d: Reseal %v, Open %v", from, suite, err, openErr)
				}
				if err != nil {
					continue
				}
				got, err := field.Open(next, to, again)
				if err != nil || !bytes.Equal(got.Expose(), value) || len(again) != len(env) {
					t.Fatalf("suite %d to %d: opened %d bytes, %v", from, suite, got.Len(), err)
				}
			}
		}
	})
}

// randomKey is one per process: the fuzzer's workers are processes, and what
// one sealed must not open in another.
func randomKey(f *testing.F) *field.Key {
	f.Helper()
	dek := make([]byte, field.KeySize)
	_, _ = rand.Read(dek)
	k, err := field.NewKey(dek)
	if err != nil {
		f.Fatal(err)
	}
	return k
}

func tryOpen(t *testing.T, k *field.Key, p field.Place, env, genuine []byte) {
	t.Helper()
	got, err := field.Open(k, p, env)
	switch {
	case err == nil && !bytes.Equal(env, genuine):
		t.Fatalf("%x opened", env)
	case err != nil && (!errors.Is(err, field.ErrIntegrity) || got.Len() != 0):
		t.Fatalf("error %v with %d bytes", err, got.Len())
	}
}

// FuzzVerifyManifest and FuzzVerifyManifestSM4: no bytes but those that
// BuildManifest made verify.
func FuzzVerifyManifest(f *testing.F) { fuzzVerifyManifest(f, field.Suite1) }

func FuzzVerifyManifestSM4(f *testing.F) { fuzzVerifyManifest(f, field.Suite2) }

func fuzzVerifyManifest(f *testing.F, suite byte) {
	needSuite(f, suite)
	vs, err := cryptotest.LoadVectors(os.DirFS("../testdata"))
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range vs.Manifests {
		f.Add([]byte(v.Stored))
	}
	for _, v := range vs.RefusedManifest {
		f.Add([]byte(v.Stored))
	}
	k := randomKey(f)
	in := field.ManifestInput{Institution: "i", Record: "r", Suite: suite, Fields: []field.FieldDigest{{Path: "a", Revision: 1}, {Path: "b", Revision: 2}}}
	genuine, err := field.BuildManifest(k, in)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genuine)
	f.Fuzz(func(t *testing.T, stored []byte) {
		m, err := field.VerifyManifest(k, in, stored)
		if (err == nil) != bytes.Equal(stored, genuine) || err != nil && (!errors.Is(err, field.ErrIntegrity) || m != nil) {
			t.Fatalf("%x: %v", stored, err)
		}
	})
}
