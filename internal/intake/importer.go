package intake

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// Row is one complaint of a file that may be filed.
type Row struct {
	Draft Draft
	// Line is the one-based line of the (uncompressed) file on which the row
	// starts, LastLine the one on which it ends: an import that filed this row
	// resumes with Options.AfterLine = LastLine.
	Line, LastLine int
}

// Options steer an import. The zero value reads everything, rejects silently
// and accepts any time of receipt.
type Options struct {
	// AfterLine skips the rows that end at or before this line.
	AfterLine int
	// Rejects gets one JSON line {"line","code","problems"} per row that may
	// not be filed; it holds codes and catalogue names, no value. Nil drops them.
	Rejects io.Writer
	// Now is what times of receipt are compared with; zero compares nothing.
	Now time.Time
	// Stats, if not nil, is counted up while the rows are read. It is not safe
	// to read from another goroutine.
	Stats *Stats
	// Identities fills the identities that a CFPB file does not have, nil leaves
	// them out. JSON lines ignore it.
	Identities *Identities
}

// Stats counts rows of an import, header lines and empty lines left out.
type Stats struct {
	Read, Skipped, Accepted, Rejected int
}

// reject is one line of the rejects file.
type reject struct {
	Line     int       `json:"line"`
	Code     string    `json:"code"`
	Problems []Problem `json:"problems,omitempty"`
}

// Decompress returns r itself, or its contents if it starts like gzip.
func Decompress(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	if magic, err := buffered.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return buffered, nil //nolint:nilerror // a file of one byte is not compressed
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, fmt.Errorf("opening compressed input: %w", err)
	}
	return z, nil
}

// JSONLines reads drafts, one JSON object per line, plain or gzip. Each row is
// cleaned and validated; rows with problems and second appearances of (source,
// source_id) go to the rejects. The sequence yields an error, once and last,
// only if the input cannot be read or the rejects cannot be written.
func JSONLines(r io.Reader, o Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		im := newImport(o, yield)
		im.lines(r, func(line []byte, n int) bool {
			if len(bytes.TrimSpace(line)) == 0 {
				return true
			}
			if !im.wants(n) {
				return true
			}
			draft, problems := DecodeDraft(line)
			return im.row(draft, problems, n, n)
		})
	}
}

// maxLine bounds one line or row, in bytes: the largest draft that the
// catalogue allows is below it.
const maxLine = 1 << 20

// importing is the state of one import: what was seen, counted and yielded.
type importing struct {
	o     Options
	stats *Stats
	seen  map[string]struct{}
	yield func(Row, error) bool
}

func newImport(o Options, yield func(Row, error) bool) *importing {
	im := &importing{o: o, stats: o.Stats, seen: map[string]struct{}{}, yield: yield}
	if im.stats == nil {
		im.stats = &Stats{}
	}
	if im.o.Now.IsZero() {
		im.o.Now = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return im
}

// wants counts a row and reports whether it lies behind what is done already.
func (im *importing) wants(lastLine int) bool {
	im.stats.Read++
	if lastLine <= im.o.AfterLine {
		im.stats.Skipped++
		return false
	}
	return true
}

// row validates and yields one draft, or rejects it. It reports whether to go on.
func (im *importing) row(d Draft, problems []Problem, first, last int) bool {
	d = Clean(d)
	if len(problems) == 0 {
		problems = Validate(d, im.o.Now)
	}
	key := d.Source + "\x00" + d.SourceID
	if _, twice := im.seen[key]; twice && len(problems) == 0 {
		problems = []Problem{problem("/source_id", "duplicate")}
	}
	if len(problems) > 0 {
		return im.reject(first, problems[0].Code, problems)
	}
	im.seen[key] = struct{}{}
	im.stats.Accepted++
	return im.yield(Row{Draft: d, Line: first, LastLine: last}, nil)
}

func (im *importing) reject(line int, code string, problems []Problem) bool {
	im.stats.Rejected++
	if im.o.Rejects == nil {
		return true
	}
	data, err := json.Marshal(reject{Line: line, Code: code, Problems: problems})
	if err == nil {
		_, err = im.o.Rejects.Write(append(data, '\n'))
	}
	if err != nil {
		im.yield(Row{}, fmt.Errorf("writing the rejects of line %d: %w", line, err))
		return false
	}
	return true
}

// lines calls each for every line without its end. A line longer than maxLine
// is rejected and passed over. It reports whether the input was read to its end.
func (im *importing) lines(r io.Reader, each func(line []byte, n int) bool) bool {
	r, err := Decompress(r)
	if err != nil {
		im.yield(Row{}, err)
		return false
	}
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, long, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			im.yield(Row{}, fmt.Errorf("reading line %d: %w", n, err))
			return false
		}
		if errors.Is(err, io.EOF) && len(line) == 0 && !long {
			return true
		}
		switch {
		case long && im.wants(n):
			if !im.reject(n, "line_too_long", nil) {
				return false
			}
		case !long && !each(line, n):
			return false
		}
		if err != nil {
			return true
		}
	}
}

// readLine returns the next line without its end; long says that it was longer
// than maxLine and was read to its end without being kept.
func readLine(in *bufio.Reader) (line []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			line, long = nil, true
		}
		if !long {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimRight(line, "\r\n"), long, err
		}
	}
}
