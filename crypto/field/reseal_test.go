package field_test

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// renewed is place() under the next data key and revision.
func renewed() field.Place { return renewedIn(field.Suite1) }

func renewedIn(suite byte) field.Place {
	p := placeIn(suite)
	p.Generation++
	p.Revision++
	return p
}

func otherKey(tb testing.TB) *field.Key {
	tb.Helper()
	k, err := field.NewKey(bytes.Repeat([]byte{8}, field.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// resealer is an Opener of one key and a Sealer of another.
func resealer(tb testing.TB, from, to *field.Key) (*field.Opener, *field.Sealer) {
	tb.Helper()
	o, err := field.NewOpener(from)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := field.NewSealer(to)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { o.Close(); s.Close() })
	return o, s
}

// TestResealKeepsValueAndLength: under another key or the same one.
func TestResealKeepsValueAndLength(t *testing.T) {
	t.Parallel()
	old, next := newKey(t), otherKey(t)
	rapid.Check(t, func(rt *rapid.T) {
		shape := rapid.SampledFrom([]field.Shape{field.Exact, field.Short, field.Text, field.Null}).Draw(rt, "shape")
		var value []byte
		if shape != field.Null {
			value = rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(rt, "value")
		}
		to := next
		if rapid.Bool().Draw(rt, "same key") {
			to = old
		}
		o, s := resealer(t, old, to)
		env, err := field.Seal(old, place(), value, shape)
		if err != nil {
			rt.Fatal(err)
		}
		again, err := field.Reseal(o, place(), env, s, renewed())
		if err != nil || len(again) != len(env) || bytes.Equal(again, env) {
			rt.Fatalf("resealed %d bytes as %d, %v", len(env), len(again), err)
		}
		got, err := field.Open(to, renewed(), again)
		if err != nil || !bytes.Equal(got.Expose(), value) || got.Null() != (shape == field.Null) {
			rt.Fatalf("opened %d bytes, null %v, %v; want %d", got.Len(), got.Null(), err, len(value))
		}
		if err := o.Verify(place(), env); err != nil {
			rt.Fatalf("Verify = %v", err)
		}
	})
}

// TestResealRefusesWhatOpenRefuses: nothing is sealed from what is not whole.
func TestResealRefusesWhatOpenRefuses(t *testing.T) {
	t.Parallel()
	old := newKey(t)
	o, s := resealer(t, old, otherKey(t))
	env, err := field.Seal(old, place(), []byte("13800138000"), field.Short)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(env) * 8 {
		bad := bytes.Clone(env)
		bad[i/8] ^= 1 << (i % 8)
		got, err := field.Reseal(o, place(), bad, s, renewed())
		if verr := o.Verify(place(), bad); got != nil || !errors.Is(err, field.ErrIntegrity) || !errors.Is(verr, field.ErrIntegrity) {
			t.Fatalf("bit %d: Reseal %v, Verify %v, want ErrIntegrity", i, err, verr)
		}
	}
	for n := range env {
		if got, err := field.Reseal(o, place(), env[:n], s, renewed()); got != nil || !errors.Is(err, field.ErrIntegrity) {
			t.Fatalf("cut to %d: %v, want ErrIntegrity", n, err)
		}
	}
	if _, err := field.Reseal(o, place(), append(bytes.Clone(env), 0), s, renewed()); !errors.Is(err, field.ErrIntegrity) {
		t.Errorf("one byte more: %v, want ErrIntegrity", err)
	}
	for name, change := range map[string]func(*field.Place){
		"institution": func(p *field.Place) { p.Institution += "b" },
		"record":      func(p *field.Place) { p.Record += "b" },
		"type":        func(p *field.Place) { p.RecordType += "b" },
		"no path":     func(p *field.Place) { p.Path = "" },
		"suite":       func(p *field.Place) { p.Suite = 9 },
	} {
		to := renewed()
		change(&to)
		if got, err := field.Reseal(o, place(), env, s, to); got != nil || !errors.Is(err, field.ErrPlace) {
			t.Errorf("to another %s: %v, want ErrPlace", name, err)
		}
	}
}

func TestResealUnderADestroyedKey(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"old", "new"} {
		old, next := newKey(t), otherKey(t)
		o, s := resealer(t, old, next)
		env, err := field.Seal(old, place(), []byte("v"), field.Short)
		if err != nil {
			t.Fatal(err)
		}
		map[string]*field.Key{"old": old, "new": next}[which].Destroy()
		if _, err := field.Reseal(o, place(), env, s, renewed()); !errors.Is(err, field.ErrDestroyed) {
			t.Errorf("%s key destroyed: %v, want ErrDestroyed", which, err)
		}
	}
}
