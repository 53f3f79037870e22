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

// FuzzOpen: no bytes but those that Seal made open, and nothing panics. The
// header is put right, so that the fuzzer gets past it.
func FuzzOpen(f *testing.F) {
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
	k := randomKey(f)
	p := place()
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

// FuzzVerifyManifest: no bytes but those that BuildManifest made verify.
func FuzzVerifyManifest(f *testing.F) {
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
	in := field.ManifestInput{Institution: "i", Record: "r", Fields: []field.FieldDigest{{Path: "a", Revision: 1}, {Path: "b", Revision: 2}}}
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
