package field_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/crypto/field"
)

func place() field.Place { return placeIn(field.Suite1) }

func placeIn(suite byte) field.Place {
	return field.Place{Institution: "bank-a", Record: "rec-1", RecordType: "complaint", Path: "phone",
		SchemaVersion: 2, Generation: 3, Revision: 4, Suite: suite}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		k := newKey(t)
		rapid.Check(t, func(t *rapid.T) {
			value := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "value")
			shape := rapid.SampledFrom([]field.Shape{field.Exact, field.Short, field.Text}).Draw(t, "shape")
			env, err := field.Seal(k, placeIn(suite), value, shape)
			if err != nil {
				t.Fatal(err)
			}
			got, err := field.Open(k, placeIn(suite), env)
			if err != nil || !bytes.Equal(got.Expose(), value) || got.Null() || got.Len() != len(value) {
				t.Fatalf("Open = %d bytes, null %v, %v; want %d bytes", got.Len(), got.Null(), err, len(value))
			}
		})
	})
}

func TestNullDiffersFromEmpty(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		k := newKey(t)
		for _, shape := range []field.Shape{field.Exact, field.Short, field.Text, field.Null} {
			env, err := field.Seal(k, placeIn(suite), nil, shape)
			if err != nil {
				t.Fatal(err)
			}
			p, err := field.Open(k, placeIn(suite), env)
			if err != nil || p.Len() != 0 || p.Null() != (shape == field.Null) {
				t.Errorf("shape %d: null %v, len %d, %v", shape, p.Null(), p.Len(), err)
			}
		}
		if _, err := field.Seal(k, placeIn(suite), []byte("x"), field.Null); !errors.Is(err, field.ErrPlace) {
			t.Errorf("null with a value: %v, want ErrPlace", err)
		}
	})
}

// TestLengthsAreHidden: what the stored length tells of the value's length.
func TestLengthsAreHidden(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	size := func(n int, s field.Shape) int {
		env, err := field.Seal(k, place(), make([]byte, n), s)
		if err != nil {
			t.Fatal(err)
		}
		return len(env) - field.Overhead
	}
	for _, tc := range []struct {
		shape   field.Shape
		n, want int
	}{
		{field.Exact, 0, 0}, {field.Exact, 18, 18},
		{field.Short, 0, 32}, {field.Short, 11, 32}, {field.Short, 18, 32}, {field.Short, 31, 32}, {field.Short, 32, 64},
		{field.Text, 0, 32}, {field.Text, 31, 32}, {field.Text, 32, 36}, {field.Text, 99, 104}, {field.Text, 999, 1024}, {field.Text, 9999, 10240},
	} {
		if got := size(tc.n, tc.shape); got != tc.want {
			t.Errorf("shape %d, %d bytes: sealed as %d, want %d", tc.shape, tc.n, got, tc.want)
		}
	}
	sizes := map[int]bool{}
	for n := range 10_000 {
		got := size(n, field.Text)
		if got < n+1 || n > 32 && float64(got) > 1.12*float64(n+1)+1 {
			t.Fatalf("text of %d bytes padded to %d", n, got)
		}
		sizes[got] = true
	}
	if len(sizes) > 110 {
		t.Errorf("10,000 lengths leave %d sizes", len(sizes))
	}
}

// TestOneLengthPerBucket: from any length to the end of its bucket the envelope
// has one length, one byte more makes it longer, and its first 20 bytes, all
// that is clear, are equal. So of a length the bucket is all that shows.
func TestOneLengthPerBucket(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		k := newKey(t)
		o, s := resealer(t, k, k)
		rapid.Check(t, func(t *rapid.T) {
			shape := rapid.SampledFrom([]field.Shape{field.Short, field.Text}).Draw(t, "shape")
			seal := func(n int) []byte {
				env, err := field.Seal(k, placeIn(suite), make([]byte, n), shape)
				if err != nil {
					t.Fatal(err)
				}
				return env
			}
			n := rapid.IntRange(0, 1<<rapid.IntRange(0, 16).Draw(t, "size")).Draw(t, "length")
			one := seal(n)
			room := len(one) - field.Overhead
			within := seal(rapid.IntRange(n, room-1).Draw(t, "within"))
			full := seal(room - 1) // one byte is the marker's
			if len(within) != len(one) || len(full) != len(one) || !bytes.Equal(within[:20], one[:20]) {
				t.Fatalf("%d bytes seal as %d, %d as %d", n, len(one), room-1, len(full))
			}
			if more := seal(room); len(more) <= len(one) {
				t.Fatalf("%d bytes seal as %d, and so do %d", n, len(one), room)
			}
			if room > 64 && shape == field.Text && float64(room) > 1.12*float64(n+1) {
				t.Fatalf("%d bytes of text take %d", n, room)
			}
			if again, err := field.Reseal(o, placeIn(suite), within, s, renewedIn(suite)); err != nil || len(again) != len(one) {
				t.Fatalf("resealed as %d bytes, %v", len(again), err)
			}
		})
	})
}

func TestSealRefusesBadPlaces(t *testing.T) {
	t.Parallel()
	k := newKey(t)
	for name, change := range map[string]func(*field.Place){
		"institution": func(p *field.Place) { p.Institution = "" },
		"record":      func(p *field.Place) { p.Record = "" },
		"type":        func(p *field.Place) { p.RecordType = "" },
		"path":        func(p *field.Place) { p.Path = "" },
		"long":        func(p *field.Place) { p.Path = strings.Repeat("x", field.MaxName+1) },
		"utf8":        func(p *field.Place) { p.Path = "\xff" },
		"nfc":         func(p *field.Place) { p.Path = "e\u0301" },
		"suite":       func(p *field.Place) { p.Suite = 3 },
		"kind":        func(p *field.Place) { p.Kind = 2 },
	} {
		p := place()
		change(&p)
		if _, err := field.Seal(k, p, []byte("v"), field.Exact); !errors.Is(err, field.ErrPlace) {
			t.Errorf("%s: Seal = %v, want ErrPlace", name, err)
		}
		if _, err := field.Open(k, p, make([]byte, 60)); !errors.Is(err, field.ErrPlace) {
			t.Errorf("%s: Open = %v, want ErrPlace", name, err)
		}
	}
	if _, err := field.Seal(k, place(), nil, field.Null+1); !errors.Is(err, field.ErrPlace) {
		t.Errorf("unknown shape: %v, want ErrPlace", err)
	}
	if _, err := field.Seal(k, place(), make([]byte, field.MaxPlaintext+1), field.Exact); !errors.Is(err, field.ErrTooLarge) {
		t.Errorf("too large: %v, want ErrTooLarge", err)
	}
	if _, err := field.NewKey(make([]byte, 16)); !errors.Is(err, field.ErrIntegrity) {
		t.Errorf("short key: %v, want ErrIntegrity", err)
	}
}

func TestDestroyedKeyDoesNothing(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		dek := bytes.Repeat([]byte{9}, field.KeySize)
		k, err := field.NewKey(dek)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := field.NewSealer(k)
		o, _ := field.NewOpener(k)
		env, err := s.Seal(placeIn(suite), []byte("v"), field.Exact)
		if err != nil {
			t.Fatal(err)
		}
		k.Destroy()
		if !bytes.Equal(dek, make([]byte, field.KeySize)) {
			t.Error("key bytes survive Destroy")
		}
		_, sealErr := s.Seal(placeIn(suite), []byte("v"), field.Exact)
		_, manErr := s.Manifest(field.ManifestInput{Institution: "i", Record: "r", Suite: suite})
		_, openErr := o.Open(placeIn(suite), env)
		_, verErr := o.VerifyManifest(field.ManifestInput{Institution: "i", Record: "r", Suite: suite}, make([]byte, 60))
		_, newErr := field.NewSealer(k)
		_, newOErr := field.NewOpener(k)
		for i, err := range []error{sealErr, manErr, openErr, verErr, newErr, newOErr} {
			if !errors.Is(err, field.ErrDestroyed) {
				t.Errorf("%d: %v, want ErrDestroyed", i, err)
			}
		}
		s.Close()
		o.Close()
		s.Close() // a second Close does nothing
		if _, err := s.Seal(placeIn(suite), nil, field.Exact); !errors.Is(err, field.ErrDestroyed) {
			t.Errorf("closed Sealer: %v, want ErrDestroyed", err)
		}
	})
}

func TestWipeClearsEveryValue(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		k := newKey(t)
		o, err := field.NewOpener(k)
		if err != nil {
			t.Fatal(err)
		}
		var opened []field.Plain
		for _, n := range []int{10, 3000, 3000, 9000, 1} {
			env, err := field.Seal(k, placeIn(suite), bytes.Repeat([]byte("s"), n), field.Text)
			if err != nil {
				t.Fatal(err)
			}
			p, err := o.Open(placeIn(suite), env)
			if err != nil {
				t.Fatal(err)
			}
			opened = append(opened, p)
		}
		o.Close()
		o.Wipe()
		for i, p := range opened {
			if bytes.ContainsRune(p.Expose(), 's') {
				t.Errorf("value %d survives Wipe", i)
			}
		}
	})
}

// TestKeyIsSharedSafely: many users of one key, each with its own Sealer.
func TestKeyIsSharedSafely(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		r, k := newRecordOf(suite), newKey(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				envs, digests := make([][]byte, len(r.places)), make([]field.FieldDigest, len(r.places))
				for range 20 {
					stored, err := r.seal(k, envs, digests)
					if err == nil {
						err = r.open(k, envs, stored)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestEnvelopesNeverRepeat(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		k := newKey(t)
		seen := map[string]bool{}
		for range 1000 {
			env, err := field.Seal(k, placeIn(suite), []byte("same"), field.Short)
			if err != nil {
				t.Fatal(err)
			}
			if seen[string(env)] {
				t.Fatal("two envelopes are equal")
			}
			seen[string(env)] = true
		}
	})
}

func TestErrorsNameNoValue(t *testing.T) {
	t.Parallel()
	eachSuite(t, func(t *testing.T, suite byte) {
		k := newKey(t)
		env, err := field.Seal(k, placeIn(suite), []byte("13800138000"), field.Exact)
		if err != nil {
			t.Fatal(err)
		}
		env[30] ^= 1
		_, err = field.Open(k, placeIn(suite), env)
		if want := `integrity error: envelope.tag of field "phone"`; fmt.Sprint(err) != want {
			t.Errorf("error %q, want %q", err, want)
		}
	})
}
