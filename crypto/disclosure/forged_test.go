package disclosure

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

// forge writes an inner file with a right chain over lines of its own.
func forge(t *testing.T, add func(l line) ([]byte, error), count Trailer) []byte {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := Header{Disclosure: "d", Institution: "i", Scope: "record", Basis: "court_order", Purpose: "legal", RecipientName: "r", Watermark: "w",
		IssuedAt: at, ExpiresAt: at.Add(time.Hour)}
	var out bytes.Buffer
	chain, n := link0(), int64(0)
	put := func(b []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		chain = link(chain, b)
		n++
		out.Write(append(b, '\n'))
	}
	put(h.append(nil))
	put(add(line{n: n, watermark: "w"}))
	count.Lines, count.Chain = n, chain
	b, err := count.append(nil, "w")
	if err != nil {
		t.Fatal(err)
	}
	out.Write(append(b, '\n'))
	return out.Bytes()
}

func TestForgedLinesWithARightChainAreRefused(t *testing.T) {
	t.Parallel()
	file := File{Record: "c", ID: "f", Field: "attachments", MediaType: "text/plain", Size: 5}
	for name, c := range map[string]struct {
		add   func(l line) ([]byte, error)
		count Trailer
		whole bool
	}{
		"an empty file":              {func(l line) ([]byte, error) { f := file; f.Size = 0; return l.file(nil, f) }, Trailer{Files: 1}, true},
		"a file without its content": {func(l line) ([]byte, error) { return l.file(nil, file) }, Trailer{Files: 1}, false},
		"a chunk of no file":         {func(l line) ([]byte, error) { return l.chunk(nil, []byte("x")), nil }, Trailer{}, false},
		"a record not counted":       {func(l line) ([]byte, error) { return l.record(nil, Record{Type: "x", ID: "1"}) }, Trailer{}, false},
		"a line of another number":   {func(l line) ([]byte, error) { l.n++; return l.withheld(nil, "1", "integrity") }, Trailer{Withheld: map[string]int64{"integrity": 1}}, false},
		"another watermark":          {func(l line) ([]byte, error) { l.watermark = "x"; return l.withheld(nil, "1", "integrity") }, Trailer{Withheld: map[string]int64{"integrity": 1}}, false},
		"an unknown kind":            {func(line) ([]byte, error) { return []byte(`{"kind":"other"}`), nil }, Trailer{}, false},
	} {
		r, err := NewReader(bytes.NewReader(forge(t, c.add, c.count)))
		for err == nil {
			_, err = r.Next()
		}
		if whole := errors.Is(err, io.EOF) && !errors.Is(err, ErrBroken); whole != c.whole {
			t.Errorf("%s: %v", name, err)
		}
	}
}
