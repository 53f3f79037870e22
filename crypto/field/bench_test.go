package field_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// record is what the speed goal speaks of: 12 fields, 2.4 KB.
type record struct {
	places []field.Place
	values [][]byte
	input  field.ManifestInput
}

func newRecord() record { return newRecordOf(field.Suite1) }

func newRecordOf(suite byte) record {
	sizes := []int{18, 11, 9, 19, 16, 60, 8, 30, 24, 1200, 700, 305}
	names := []string{"account_no", "address", "amount_claimed", "bank_card", "birth_date", "complainant_name",
		"demand", "email", "findings", "id_number", "narrative", "phone"}
	r := record{input: field.ManifestInput{Institution: "bank-a", Record: "0190a6c2-7f3e-7c11-9a53-0c9f7f1e4b20", Revision: 3,
		SchemaVersion: 1, Suite: suite, Attrs: bytes.Repeat([]byte("a"), 200)}}
	for i, n := range sizes {
		r.places = append(r.places, field.Place{Institution: r.input.Institution, Record: r.input.Record, RecordType: "complaint",
			Path: names[i], SchemaVersion: 1, Generation: 1, Revision: 3, Suite: suite})
		r.values = append(r.values, bytes.Repeat([]byte("v"), n))
	}
	return r
}

func newKey(tb testing.TB) *field.Key {
	tb.Helper()
	k, err := field.NewKey(bytes.Repeat([]byte{7}, field.KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// seal is the whole work of writing a record: fields, digests, manifest.
func (r *record) seal(k *field.Key, envs [][]byte, digests []field.FieldDigest) ([]byte, error) {
	s, err := field.NewSealer(k)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for i := range r.places {
		if envs[i], err = s.Seal(r.places[i], r.values[i], field.Exact); err != nil {
			return nil, err
		}
		digests[i] = field.DigestOf(r.places[i], envs[i])
	}
	in := r.input
	in.Fields = digests
	return s.Manifest(in)
}

// open is the whole work of reading it: manifest, digests, fields.
func (r *record) open(k *field.Key, envs [][]byte, stored []byte) error {
	o, err := field.NewOpener(k)
	if err != nil {
		return err
	}
	defer o.Close()
	m, err := o.VerifyManifest(r.input, stored)
	if err != nil {
		return err
	}
	for i := range r.places {
		if err := m.Check(r.places[i].Path, envs[i]); err != nil {
			return err
		}
		p, err := o.Open(r.places[i], envs[i])
		if err != nil || p.Len() != len(r.values[i]) {
			return err
		}
	}
	return nil
}

// BenchmarkSealRecord (suite 0x01) seals 12 fields and builds the manifest under a leased
// key. Goal: at most 2 us per field over BenchmarkGCMFloor, 36 allocations.
func BenchmarkSealRecord(b *testing.B) { benchSeal(b, field.Suite1) }

// BenchmarkOpenRecord verifies the manifest, checks and opens all 12 fields.
func BenchmarkOpenRecord(b *testing.B) { benchOpen(b, field.Suite1) }

// BenchmarkSealSM4 and BenchmarkOpenSM4 do the same work under suite 0x02.
func BenchmarkSealSM4(b *testing.B) { benchSeal(b, field.Suite2) }

func BenchmarkOpenSM4(b *testing.B) { benchOpen(b, field.Suite2) }

func benchSeal(b *testing.B, suite byte) {
	needSuite(b, suite)
	r, k := newRecordOf(suite), newKey(b)
	envs, digests := make([][]byte, len(r.places)), make([]field.FieldDigest, len(r.places))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.seal(k, envs, digests); err != nil {
			b.Fatal(err)
		}
	}
	perField(b)
}

func benchOpen(b *testing.B, suite byte) {
	needSuite(b, suite)
	r, k := newRecordOf(suite), newKey(b)
	envs, digests := make([][]byte, len(r.places)), make([]field.FieldDigest, len(r.places))
	stored, err := r.seal(k, envs, digests)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.open(k, envs, stored); err != nil {
			b.Fatal(err)
		}
	}
	perField(b)
}

// BenchmarkReseal moves 12 fields from one data key to the next, within a suite
// and across.
func BenchmarkReseal(b *testing.B) {
	for name, to := range map[string]byte{"AES": field.Suite1, "ToSM4": field.Suite2} {
		b.Run(name, func(b *testing.B) {
			needSuite(b, to)
			r, k := newRecord(), newKey(b)
			envs := make([][]byte, len(r.places))
			if _, err := r.seal(k, envs, make([]field.FieldDigest, len(r.places))); err != nil {
				b.Fatal(err)
			}
			o, s := resealer(b, k, otherKey(b))
			b.ReportAllocs()
			for b.Loop() {
				for i, p := range r.places {
					q := p
					q.Generation, q.Suite = p.Generation+1, to
					if _, err := field.Reseal(o, p, envs[i], s, q); err != nil {
						b.Fatal(err)
					}
				}
			}
			perField(b)
		})
	}
}

// BenchmarkGCMFloor encrypts the same bytes with one prepared AES-256-GCM: no
// key derivation, no binding, no manifest.
func BenchmarkGCMFloor(b *testing.B) {
	r := newRecord()
	block, err := aes.NewCipher(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		b.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		for _, v := range r.values {
			out = aead.Seal(out[:0], nil, v, nil)
		}
	}
	perField(b)
}

// BenchmarkGCMFloorOpen decrypts the same bytes with one prepared cipher.
func BenchmarkGCMFloorOpen(b *testing.B) {
	r := newRecord()
	block, _ := aes.NewCipher(bytes.Repeat([]byte{7}, 32))
	aead, _ := cipher.NewGCMWithRandomNonce(block)
	var sealed [][]byte
	for _, v := range r.values {
		sealed = append(sealed, aead.Seal(nil, nil, v, nil))
	}
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range sealed {
			if _, err := aead.Open(out[:0], nil, s, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
	perField(b)
}

func perField(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/12, "ns/field")
}

// TestAllocations holds the goal of three allocations per field, where a
// benchmark would only report it.
func TestAllocations(t *testing.T) {
	const goal = 3 * 12
	for _, suite := range []byte{field.Suite1, field.Suite2} {
		t.Run(suiteName(suite), func(t *testing.T) {
			needSuite(t, suite)
			r, k := newRecordOf(suite), newKey(t)
			envs, digests := make([][]byte, len(r.places)), make([]field.FieldDigest, len(r.places))
			var stored []byte
			seal := testing.AllocsPerRun(100, func() { stored, _ = r.seal(k, envs, digests) })
			open := testing.AllocsPerRun(100, func() {
				if err := r.open(k, envs, stored); err != nil {
					t.Error(err)
				}
			})
			if seal > goal || open > goal {
				t.Errorf("sealing takes %v, opening %v allocations, want at most %v each", seal, open, goal)
			}
		})
	}
}
