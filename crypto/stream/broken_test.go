package stream_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/stream"
)

// breaking is a store that goes away behind a place.
type breaking struct {
	r     *bytes.Reader
	after int64
	with  error
}

func (b *breaking) ReadAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > b.after {
		return 0, b.with
	}
	return b.r.ReadAt(p, at)
}

// A store that breaks off says so to whoever reads the plaintext; it must never
// look like the end of the file, or a cut copy passes for the whole one.
func TestABrokenStoreIsNoEndOfTheFile(t *testing.T) {
	t.Parallel()
	k, message := newKey(t, 1), content(3*stream.ChunkSize)
	sealed := seal(t, k, place(), message)
	src := &breaking{r: bytes.NewReader(sealed), after: int64(len(sealed))}
	r, err := stream.NewReader(src, int64(len(sealed)), k, place())
	if err != nil {
		t.Fatal(err)
	}
	src.after = stream.SealedSize(stream.ChunkSize)
	for _, src.with = range []error{io.ErrUnexpectedEOF, io.EOF, errors.New("gone")} {
		got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
		if err == nil {
			t.Errorf("%v: %d of %d bytes were read as the whole file", src.with, len(got), len(message))
		}
		buf := make([]byte, 10)
		if n, err := r.ReadAt(buf, 2*stream.ChunkSize); n != 0 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%v: ReadAt gave %d bytes and %v", src.with, n, err)
		}
	}
}
