package stream_test

import (
	"bytes"
	"crypto/fips140"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/stream"
)

func place() stream.Place {
	return stream.Place{Institution: "acme", Record: "r-1", File: "f-1", Field: "attachments", Generation: 1, Suite: field.Suite1}
}

func newKey(t testing.TB, seed byte) *field.Key {
	t.Helper()
	k, err := field.NewKey(bytes.Repeat([]byte{seed}, field.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// content is bytes that differ at every place.
func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
	return b
}

func seal(t testing.TB, k *field.Key, p stream.Place, message []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := stream.NewWriter(&out, k, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(message); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(sealed []byte, k *field.Key, p stream.Place) ([]byte, error) {
	r, err := stream.NewReader(bytes.NewReader(sealed), int64(len(sealed)), k, p)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
}

// suites are those that this process may use.
func suites(t *testing.T) []byte {
	if fips140.Enforced() {
		t.Log("suite 0x02 is left out under fips140=only: 1 of 2 suites")
		return []byte{field.Suite1}
	}
	return []byte{field.Suite1, field.Suite2}
}

// edges are the lengths around which chunking goes wrong.
func edges() []int {
	const c = stream.ChunkSize
	return []int{0, 1, c - 1, c, c + 1, 2*c - 1, 2 * c, 3*c + 7}
}

func TestSealedFilesOpenInEverySuiteAndLength(t *testing.T) {
	t.Parallel()
	for _, suite := range suites(t) {
		for _, n := range edges() {
			k, p, message := newKey(t, 1), place(), content(n)
			p.Suite = suite
			sealed := seal(t, k, p, message)
			if got, want := int64(len(sealed)), stream.SealedSize(int64(n)); got != want {
				t.Errorf("suite %d, %d bytes: sealed to %d, SealedSize says %d", suite, n, got, want)
			}
			for _, asked := range []byte{suite, 0} {
				p.Suite = asked
				got, err := open(sealed, k, p)
				if err != nil || !bytes.Equal(got, message) {
					t.Errorf("suite %d asked as %d, %d bytes: %d bytes, %v", suite, asked, n, len(got), err)
				}
			}
		}
	}
}

func TestBothSidesOfSealingGiveTheSameLayout(t *testing.T) {
	t.Parallel()
	for _, n := range edges() {
		k, message := newKey(t, 1), content(n)
		r, err := stream.NewSealingReader(iotest.OneByteReader(bytes.NewReader(message)), k, place())
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := io.ReadAll(iotest.HalfReader(r))
		if err != nil {
			t.Fatal(err)
		}
		got, err := open(sealed, k, place())
		if err != nil || !bytes.Equal(got, message) {
			t.Errorf("%d bytes: %d bytes, %v", n, len(got), err)
		}
	}
}

// A file opens at its own place and under its own key only.
func TestMovedFileNeverOpens(t *testing.T) {
	t.Parallel()
	k := newKey(t, 1)
	sealed := seal(t, k, place(), content(100))
	for name, move := range map[string]func(*stream.Place){
		"institution": func(p *stream.Place) { p.Institution = "other" },
		"record":      func(p *stream.Place) { p.Record = "r-2" },
		"file":        func(p *stream.Place) { p.File = "f-2" },
		"field":       func(p *stream.Place) { p.Field = "recordings" },
		"generation":  func(p *stream.Place) { p.Generation = 2 },
		"boundary":    func(p *stream.Place) { p.Record, p.File = "r-1f", "-1" },
	} {
		p := place()
		move(&p)
		if got, err := open(sealed, k, p); !errors.Is(err, stream.ErrKey) || got != nil {
			t.Errorf("another %s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := open(sealed, newKey(t, 2), place()); !errors.Is(err, stream.ErrKey) {
		t.Errorf("another key: %v", err)
	}
	if !fips140.Enforced() {
		p := place()
		p.Suite = field.Suite2
		if _, err := open(sealed, k, p); !errors.Is(err, stream.ErrKey) {
			t.Errorf("another suite: %v", err)
		}
	}
}

func TestSameContentNeverSealsToTheSameBytes(t *testing.T) {
	t.Parallel()
	k, message := newKey(t, 1), content(64)
	if bytes.Equal(seal(t, k, place(), message)[stream.HeaderSize:], seal(t, k, place(), message)[stream.HeaderSize:]) {
		t.Error("two sealings of one content are equal")
	}
}

// Every single bit counts: head, chunk, tag.
func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	k, message := newKey(t, 1), content(stream.ChunkSize+40)
	sealed := seal(t, k, place(), message)
	var step int
	for at := 0; at < len(sealed); at += step {
		if at > stream.HeaderSize+64 && at < len(sealed)-200 {
			step = 61 // the middle of a chunk: every 61st byte
		} else {
			step = 1
		}
		bad := slices.Clone(sealed)
		bad[at] ^= 1 << (at % 8)
		got, err := open(bad, k, place())
		if !errors.Is(err, field.ErrIntegrity) {
			t.Fatalf("bit of byte %d flipped: %v", at, err)
		}
		if len(got) > 0 && !bytes.Equal(got, message[:len(got)]) {
			t.Fatalf("bit of byte %d flipped: bytes of the bad chunk left", at)
		}
	}
}

// Whole chunks, which are authentic by themselves, put where they do not belong.
func TestCutExtendedAndReorderedFilesAreRefused(t *testing.T) {
	t.Parallel()
	k, message := newKey(t, 1), content(3*stream.ChunkSize+5)
	sealed := seal(t, k, place(), message)
	const c = stream.ChunkSize + 16
	chunk := func(i int) []byte {
		at := stream.HeaderSize + i*c
		return sealed[at:min(at+c, len(sealed))]
	}
	head := sealed[:stream.HeaderSize]
	for _, row := range []struct {
		name  string
		bytes []byte
		want  error
		clean int // bytes that may leave before the finding
	}{
		{"nothing", nil, stream.ErrTruncated, 0},
		{"half a head", head[:40], stream.ErrTruncated, 0},
		{"head only", head, stream.ErrTruncated, 0},
		{"without the last chunk", slices.Concat(head, chunk(0), chunk(1), chunk(2)), stream.ErrTruncated, 0},
		{"without the last byte", sealed[:len(sealed)-1], stream.ErrChunk, 0},
		{"half a tag", sealed[:len(sealed)-13], stream.ErrTruncated, 0},
		{"without a middle chunk", slices.Concat(head, chunk(0), chunk(2), chunk(3)), stream.ErrChunk, 0},
		{"one byte more", append(slices.Clone(sealed), 0), stream.ErrChunk, 0},
		{"last chunk twice", slices.Concat(sealed, chunk(3)), stream.ErrChunk, 0},
		{"swapped chunks", slices.Concat(head, chunk(1), chunk(0), chunk(2), chunk(3)), stream.ErrChunk, 0},
		{"doubled chunk", slices.Concat(head, chunk(0), chunk(0), chunk(2), chunk(3)), stream.ErrChunk, stream.ChunkSize},
		{"chunk of another file", slices.Concat(head, chunk(0), seal(t, k, place(), message)[stream.HeaderSize+c:][:c], chunk(2), chunk(3)), stream.ErrChunk, stream.ChunkSize},
	} {
		got, err := open(row.bytes, k, place())
		if !errors.Is(err, row.want) || !errors.Is(err, field.ErrIntegrity) || len(got) != row.clean {
			t.Errorf("%s: %d bytes and %v, want %d and %v", row.name, len(got), err, row.clean, row.want)
		}
	}
}

// A range read gives the slice of the whole, and touches no other chunk.
func TestRangeReadsAreSlices(t *testing.T) {
	t.Parallel()
	k, message := newKey(t, 1), content(5*stream.ChunkSize+123)
	sealed := seal(t, k, place(), message)
	rapid.Check(t, func(t *rapid.T) {
		offset := rapid.Int64Range(0, int64(len(message))+10).Draw(t, "offset")
		length := rapid.Int64Range(0, int64(len(message))).Draw(t, "length")
		src := &counting{r: bytes.NewReader(sealed)}
		r, err := stream.NewReader(src, int64(len(sealed)), k, place())
		if err != nil {
			t.Fatal(err)
		}
		src.n = 0
		got := make([]byte, length)
		n, err := r.ReadAt(got, offset)
		from, to := min(offset, int64(len(message))), min(offset+length, int64(len(message)))
		if !bytes.Equal(got[:n], message[from:to]) {
			t.Fatalf("[%d:%d]: other bytes, %v", from, to, err)
		}
		if short := to-from < length; short != errors.Is(err, io.EOF) || err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("[%d:%d] of %d: %v", offset, offset+length, len(message), err)
		}
		if at, span := opener(t, k, sealed).Span(offset, length); n > 0 && src.n != span || at < stream.HeaderSize {
			t.Fatalf("[%d:%d]: %d bytes read for a span of %d", offset, offset+length, src.n, span)
		}
		if chunks := (length+stream.ChunkSize-2)/stream.ChunkSize + 1; src.n > chunks*(stream.ChunkSize+16) {
			t.Fatalf("%d bytes read for %d", src.n, length)
		}
	})
}

func opener(t *rapid.T, k *field.Key, sealed []byte) *stream.Opener {
	o, err := stream.NewOpener(sealed[:stream.HeaderSize], int64(len(sealed)), k, place())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// counting counts the bytes that are read.
type counting struct {
	r io.ReaderAt
	n int64
}

func (c *counting) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.r.ReadAt(p, at)
	c.n += int64(n)
	return n, err
}

func TestAFileWithoutCloseNeverOpens(t *testing.T) {
	t.Parallel()
	k := newKey(t, 1)
	for _, n := range edges() {
		var out bytes.Buffer
		w, err := stream.NewWriter(&out, k, place())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content(n)); err != nil {
			t.Fatal(err)
		}
		if got, err := open(out.Bytes(), k, place()); !errors.Is(err, stream.ErrTruncated) {
			t.Errorf("%d bytes without Close: %d bytes, %v", n, len(got), err)
		}
	}
}

func TestAWriterAfterCloseRefuses(t *testing.T) {
	t.Parallel()
	w, err := stream.NewWriter(io.Discard, newKey(t, 1), place())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("more")); !errors.Is(err, stream.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	if err := w.Close(); !errors.Is(err, stream.ErrClosed) {
		t.Errorf("Close: %v", err)
	}
}

// What goes wrong below is passed on, and the file is never finished.
func TestErrorsOfTheStoreAndTheSourceArePassedOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("no space left")
	if _, err := stream.NewWriter(failing{broken, 0}, newKey(t, 1), place()); !errors.Is(err, broken) {
		t.Errorf("head: %v", err)
	}
	w, err := stream.NewWriter(failing{broken, 1}, newKey(t, 1), place())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content(stream.ChunkSize)); err != nil {
		t.Log("the chunk is written at once")
	}
	if err := w.Close(); !errors.Is(err, broken) {
		t.Errorf("Close: %v", err)
	}
	// io.ErrUnexpectedEOF is what a request's body says when the caller hung up:
	// it must not be taken for the end of the file.
	for _, cause := range []error{broken, io.ErrUnexpectedEOF} {
		r, err := stream.NewSealingReader(io.MultiReader(bytes.NewReader(content(100)), iotest.ErrReader(cause)), newKey(t, 1), place())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); !errors.Is(err, cause) || len(got) != stream.HeaderSize {
			t.Errorf("a source that breaks off with %v: %d bytes, %v", cause, len(got), err)
		}
	}
	// Nor is a store that breaks off a finding about what it stores.
	k := newKey(t, 1)
	sealed := seal(t, k, place(), content(100))
	o, err := stream.NewOpener(sealed[:stream.HeaderSize], int64(len(sealed)), k, place())
	if err != nil {
		t.Fatal(err)
	}
	src := io.MultiReader(bytes.NewReader(sealed[stream.HeaderSize:][:50]), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got, err := io.ReadAll(o.Range(src, 0, 100)); errors.Is(err, field.ErrIntegrity) || err == nil || len(got) != 0 {
		t.Errorf("a store that breaks off: %d bytes, %v", len(got), err)
	}
}

// failing writes n times and then no more.
type failing struct {
	err error
	n   int
}

func (f failing) Write(p []byte) (int, error) {
	if len(p) == stream.HeaderSize && f.n > 0 {
		return len(p), nil
	}
	return 0, f.err
}

func TestPlacesAndKeysThatNoFileHas(t *testing.T) {
	t.Parallel()
	nameless := place()
	nameless.File = ""
	if _, err := stream.NewWriter(io.Discard, newKey(t, 1), nameless); !errors.Is(err, field.ErrPlace) {
		t.Errorf("no file: %v", err)
	}
	unknown := place()
	unknown.Suite = 3
	if _, err := stream.NewWriter(io.Discard, newKey(t, 1), unknown); !errors.Is(err, field.ErrPlace) {
		t.Errorf("suite 3: %v", err)
	}
	gone := newKey(t, 1)
	gone.Destroy()
	if _, err := stream.NewWriter(io.Discard, gone, place()); !errors.Is(err, field.ErrDestroyed) {
		t.Errorf("destroyed key: %v", err)
	}
	if fips140.Enforced() {
		sm := place()
		sm.Suite = field.Suite2
		if _, err := stream.NewWriter(io.Discard, newKey(t, 1), sm); !errors.Is(err, field.ErrSuiteForbidden) {
			t.Errorf("suite 2 under fips140=only: %v", err)
		}
	}
}

// zeros is a source of so many zero bytes that holds none of them.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

// 2 GiB go through sealing and opening while the process may hold 64 MiB: the
// ciphertext is never anywhere as a whole.
func TestTwoGiBInConstantMemory(t *testing.T) {
	const size = 2 << 30
	const limit = 64 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	k := newKey(t, 1)
	sealing, err := stream.NewSealingReader(&zeros{left: size}, k, place())
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, stream.HeaderSize)
	if _, err := io.ReadFull(sealing, head); err != nil {
		t.Fatal(err)
	}
	o, err := stream.NewOpener(head, stream.SealedSize(size), k, place())
	if err != nil {
		t.Fatal(err)
	}
	peak, n, err := drain(o.Range(sealing, 0, size))
	if err != nil || n != size {
		t.Fatalf("%d bytes came back, %v", n, err)
	}
	if peak > limit {
		t.Errorf("the heap grew to %d MiB", peak>>20)
	}
	if n, err := sealing.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the file: %d bytes, %v", n, err)
	}
}

func ExampleWriter() {
	key, _ := field.NewKey(bytes.Repeat([]byte{7}, field.KeySize)) // in a program: the lease of a keyring
	where := stream.Place{Institution: "acme", Record: "r-1", File: "f-1", Field: "attachments", Generation: 1}
	var stored bytes.Buffer // in a program: a file or an object store
	w, err := stream.NewWriter(&stored, key, where)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = io.WriteString(w, "a scanned letter")
	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	r, err := stream.NewReader(bytes.NewReader(stored.Bytes()), int64(stored.Len()), key, where)
	if err != nil {
		fmt.Println(err)
		return
	}
	part := make([]byte, 7)
	_, err = r.ReadAt(part, 2)
	fmt.Printf("%d bytes stored; %q %v\n", stored.Len(), part, err)
	// Output: 88 bytes stored; "scanned" <nil>
}

func ExampleReader() {
	key, _ := field.NewKey(bytes.Repeat([]byte{7}, field.KeySize))
	where := stream.Place{Institution: "acme", Record: "r-1", File: "f-1", Field: "attachments", Generation: 1}
	var stored bytes.Buffer
	w, _ := stream.NewWriter(&stored, key, where)
	_ = w.Close()
	where.Record = "r-2" // somebody put it at another record
	_, err := stream.NewReader(bytes.NewReader(stored.Bytes()), int64(stored.Len()), key, where)
	fmt.Println(err, errors.Is(err, field.ErrIntegrity))
	// Output: sealed file is not of this key and place true
}

func FuzzOpen(f *testing.F) {
	k := newKey(f, 1)
	message := content(stream.ChunkSize + 9)
	good := seal(f, k, place(), message)
	f.Add(good)
	f.Add(good[:stream.HeaderSize])
	f.Add(good[:len(good)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := open(b, k, place())
		if err == nil && !bytes.Equal(b, good) {
			t.Fatal("bytes that nobody sealed were opened")
		}
		if err != nil && !errors.Is(err, field.ErrIntegrity) {
			t.Fatalf("an error without a type: %v", err)
		}
		if len(got) > 0 && !bytes.HasPrefix(message, got) {
			t.Fatal("bytes left that were not sealed")
		}
	})
}
