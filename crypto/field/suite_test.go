package field_test

import (
	"bytes"
	"crypto/fips140"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/field"
)

func suiteName(suite byte) string { return fmt.Sprintf("suite%d", suite) }

// needSuite skips by name what fips140=only refuses; cryptotest's TestFIPSModes
// counts these.
func needSuite(tb testing.TB, suite byte) {
	tb.Helper()
	if suite == field.Suite2 && fips140.Enforced() {
		tb.Skip("fips140=only: suite 0x02")
	}
}

// eachSuite runs one test under each suite.
func eachSuite(t *testing.T, test func(t *testing.T, suite byte)) {
	t.Helper()
	for _, suite := range []byte{field.Suite1, field.Suite2} {
		t.Run(suiteName(suite), func(t *testing.T) {
			t.Parallel()
			needSuite(t, suite)
			test(t, suite)
		})
	}
}

func wantFinding(t *testing.T, what string, err error, finding string) {
	t.Helper()
	e, _ := errors.AsType[*field.IntegrityError](err)
	if !errors.Is(err, field.ErrIntegrity) || e == nil || e.What != finding {
		t.Errorf("%s: %v, want %s", what, err, finding)
	}
}

// TestForbiddenSuiteIsRefused: under fips140=only every way to suite 0x02 ends
// in ErrSuiteForbidden, never in a panic; elsewhere none does.
func TestForbiddenSuiteIsRefused(t *testing.T) {
	t.Parallel()
	k, p := newKey(t), placeIn(field.Suite2)
	env, stored, in := make([]byte, 80), make([]byte, 80), field.ManifestInput{Institution: "i", Record: "r", Suite: field.Suite2}
	sealed, err := field.Seal(k, place(), []byte("v"), field.Short)
	if err != nil {
		t.Fatal(err)
	}
	o, s := resealer(t, k, k)
	for name, try := range map[string]func() error{
		"CheckSuite":     func() error { return field.CheckSuite(field.Suite2) },
		"Seal":           func() error { _, err := field.Seal(k, p, []byte("v"), field.Short); return err },
		"Open":           func() error { _, err := field.Open(k, p, env); return err },
		"Verify":         func() error { return o.Verify(p, env) },
		"Reseal to":      func() error { _, err := field.Reseal(o, place(), sealed, s, p); return err },
		"Reseal from":    func() error { _, err := field.Reseal(o, p, env, s, place()); return err },
		"BuildManifest":  func() error { _, err := field.BuildManifest(k, in); return err },
		"VerifyManifest": func() error { _, err := field.VerifyManifest(k, in, stored); return err },
	} {
		if err := try(); errors.Is(err, field.ErrSuiteForbidden) != fips140.Enforced() {
			t.Errorf("%s: %v; enforced %v", name, err, fips140.Enforced())
		}
	}
	if field.DigestOf(p, env).Suite != field.Suite2 { // a digest is not worth a refusal
		t.Error("DigestOf lost the suite")
	}
}

func TestCheckSuite(t *testing.T) {
	t.Parallel()
	for suite := range 256 {
		err := field.CheckSuite(byte(suite))
		if unknown := suite > 2; errors.Is(err, field.ErrPlace) != unknown {
			t.Errorf("suite 0x%02x: %v", suite, err)
		}
		if suite > 2 && !strings.Contains(err.Error(), fmt.Sprintf("suite 0x%02x is unknown", suite)) {
			t.Errorf("suite 0x%02x: unclear %v", suite, err)
		}
	}
}

// TestSuitesDoNotMix: the suite byte of the envelope, the suite of the row and
// the manifest are changed, alone and together, in both directions.
func TestSuitesDoNotMix(t *testing.T) {
	t.Parallel()
	needSuite(t, field.Suite2)
	k := newKey(t)
	for _, from := range []byte{field.Suite1, field.Suite2} {
		to := field.Suite1 + field.Suite2 - from
		name := fmt.Sprintf("%s as %s", suiteName(from), suiteName(to))
		env, err := field.Seal(k, placeIn(from), []byte("13800138000"), field.Short)
		if err != nil {
			t.Fatal(err)
		}
		swapped := bytes.Clone(env)
		swapped[1] = to
		_, err = field.Open(k, placeIn(from), swapped)
		wantFinding(t, name+", envelope", err, "envelope.suite")
		_, err = field.Open(k, placeIn(to), env)
		wantFinding(t, name+", row", err, "envelope.suite")
		_, err = field.Open(k, placeIn(to), swapped)
		wantFinding(t, name+", both", err, "envelope.tag")

		in := field.ManifestInput{Institution: "i", Record: "r", Revision: 1, SchemaVersion: 1, Suite: from}
		other := in
		other.Suite = to
		none, err := field.BuildManifest(k, in) // an empty list names no suite at all
		if err != nil {
			t.Fatal(err)
		}
		_, err = field.VerifyManifest(k, other, none)
		wantFinding(t, name+", empty manifest", err, "manifest.mac")
		in.Fields = []field.FieldDigest{field.DigestOf(placeIn(from), env)}
		stored, err := field.BuildManifest(k, in)
		if err != nil {
			t.Fatal(err)
		}
		_, err = field.VerifyManifest(k, other, stored)
		wantFinding(t, name+", manifest", err, "manifest.mac")
		m, err := field.VerifyManifest(k, in, stored)
		if err != nil {
			t.Fatal(err)
		}
		wantFinding(t, name+", envelope behind the manifest", m.Check("phone", swapped), "manifest.digest")

		other.Fields = in.Fields // the digest of one suite in a manifest of the other
		if _, err := field.BuildManifest(k, other); !errors.Is(err, field.ErrPlace) {
			t.Errorf("%s, mixed manifest: %v, want ErrPlace", name, err)
		}
	}
}

// TestResealAcrossSuites: there and back again, with every shape.
func TestResealAcrossSuites(t *testing.T) {
	t.Parallel()
	needSuite(t, field.Suite2)
	old, next := newKey(t), otherKey(t)
	o, s := resealer(t, old, next)
	back, s2 := resealer(t, next, old)
	for _, shape := range []field.Shape{field.Exact, field.Short, field.Text, field.Null} {
		value := bytes.Repeat([]byte("值"), 50)
		if shape == field.Null {
			value = nil
		}
		env, err := field.Seal(old, place(), value, shape)
		if err != nil {
			t.Fatal(err)
		}
		sm4, err := field.Reseal(o, place(), env, s, renewedIn(field.Suite2))
		if err != nil || len(sm4) != len(env) || sm4[1] != field.Suite2 || sm4[2] != env[2] {
			t.Fatalf("shape %d: resealed as %x, %v", shape, sm4, err)
		}
		aes, err := field.Reseal(back, renewedIn(field.Suite2), sm4, s2, place())
		if err != nil || len(aes) != len(env) || aes[1] != field.Suite1 {
			t.Fatalf("shape %d: resealed back as %x, %v", shape, aes, err)
		}
		for _, one := range []struct {
			k   *field.Key
			p   field.Place
			env []byte
		}{{next, renewedIn(field.Suite2), sm4}, {old, place(), aes}} {
			got, err := field.Open(one.k, one.p, one.env)
			if err != nil || !bytes.Equal(got.Expose(), value) || got.Null() != (shape == field.Null) {
				t.Errorf("shape %d, suite %d: %d bytes, %v", shape, one.p.Suite, got.Len(), err)
			}
		}
	}
}

// TestZeroMeansSuite1: what was written before there were suites keeps its
// bytes and opens.
func TestZeroMeansSuite1(t *testing.T) {
	t.Parallel()
	k, zero := newKey(t), place()
	zero.Suite = 0
	env, err := field.Seal(k, zero, []byte("v"), field.Short)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := field.Open(k, place(), env); err != nil || string(got.Expose()) != "v" || env[1] != field.Suite1 {
		t.Errorf("suite 0 sealed %x: %v", env[:4], err)
	}
	in := field.ManifestInput{Institution: "i", Record: "r", Fields: []field.FieldDigest{{Path: "a"}}}
	one := in
	one.Suite = field.Suite1
	a, errA := field.BuildManifest(k, in)
	b, errB := field.BuildManifest(k, one)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("manifests of suite 0 and 1 differ: %v, %v", errA, errB)
	}
}
