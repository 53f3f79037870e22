package clock

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed calendar.json
var calendarJSON []byte

// yearEnd is the first December day that the next year's holiday notice may
// still change: notices list bridge days of New Year from the last week of
// December (2018-12-29 stood in the notice for 2019).
const yearEnd = 25

// Calendar says which days are working days: Monday to Friday, less the days
// off and plus the working weekends of the State Council's yearly notices. It
// is immutable and safe for concurrent use.
type Calendar struct {
	years  map[int]bool
	off    map[Day]bool
	work   map[Day]bool
	raw    []byte
	digest string
}

type calendarFile struct {
	Version int            `json:"version"`
	Source  string         `json:"source"`
	Years   []calendarYear `json:"years"`
}

// calendarYear lists days as YYYY-MM-DD or as ranges first/last.
type calendarYear struct {
	Year   int      `json:"year"`
	Notice string   `json:"notice"`
	Off    []string `json:"off"`
	Work   []string `json:"work"`
}

var embeddedCalendar = sync.OnceValue(func() *Calendar {
	c, err := ParseCalendar(calendarJSON)
	if err != nil {
		// The file is embedded and tested: this is a broken build.
		panic(err)
	}
	return c
})

// China returns the embedded calendar of 2024 to 2026.
func China() *Calendar { return embeddedCalendar() }

// ParseCalendar reads a calendar file: {version, source, years: [{year,
// notice, off: [days], work: [days]}]}, days as YYYY-MM-DD or first/last. It
// refuses unknown keys, a year given twice, a day both off and worked, and a
// range of more than 31 days.
func ParseCalendar(data []byte) (*Calendar, error) {
	var f calendarFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("parsing a calendar: %w", err)
	}
	if f.Version != 1 {
		return nil, errors.New("parsing a calendar: want version 1")
	}
	sum := sha256.Sum256(data)
	c := &Calendar{
		years: map[int]bool{}, off: map[Day]bool{}, work: map[Day]bool{},
		raw: bytes.Clone(data), digest: hex.EncodeToString(sum[:]),
	}
	for _, y := range f.Years {
		if c.years[y.Year] {
			return nil, fmt.Errorf("parsing a calendar: year %d stands twice", y.Year)
		}
		c.years[y.Year] = true
		if err := errors.Join(addDays(c.off, y.Off), addDays(c.work, y.Work)); err != nil {
			return nil, fmt.Errorf("parsing a calendar: year %d: %w", y.Year, err)
		}
	}
	for d := range c.off {
		if c.work[d] {
			return nil, fmt.Errorf("parsing a calendar: %s is both off and worked", d)
		}
	}
	return c, nil
}

func addDays(set map[Day]bool, ranges []string) error {
	for _, r := range ranges {
		from, to, ranged := strings.Cut(r, "/")
		first, err := ParseDay(from)
		if err != nil {
			return err
		}
		last := first
		if ranged {
			if last, err = ParseDay(to); err != nil {
				return err
			}
		}
		if last < first || last-first > 31 {
			return errors.New("a range of days runs backwards or is longer than 31 days")
		}
		for d := first; d <= last; d++ {
			set[d] = true
		}
	}
	return nil
}

// Digest is the lower-case hex SHA-256 of the calendar file. Entries and
// reports name it; the file itself is published as a blob.
func (c *Calendar) Digest() string { return c.digest }

// JSON returns a copy of the file that Digest is the digest of.
func (c *Calendar) JSON() []byte { return bytes.Clone(c.raw) }

// Years lists the years that have a holiday notice, ascending.
func (c *Calendar) Years() []int {
	years := make([]int, 0, len(c.years))
	for y := range c.years {
		years = append(years, y)
	}
	slices.Sort(years)
	return years
}

// IsWorkday reports whether d is a working day. For a year without a notice
// the answer is Monday to Friday; Settled says whether that is final.
func (c *Calendar) IsWorkday(d Day) bool {
	if c.work[d] {
		return true
	}
	return !c.off[d] && !d.Weekend()
}

// Settled reports whether the answer of IsWorkday can no longer change: the
// year has a notice and, in the last week of December, the next year too.
func (c *Calendar) Settled(d Day) bool {
	t := d.Start()
	if !c.years[t.Year()] {
		return false
	}
	return t.Month() != 12 || t.Day() < yearEnd || c.years[t.Year()+1]
}

// AddWorkdays returns the nth working day after d, which itself is not
// counted, and whether any day on the way is not settled. n of zero or less
// returns d.
func (c *Calendar) AddWorkdays(d Day, n int) (day Day, provisional bool) {
	for n > 0 {
		d++
		provisional = provisional || !c.Settled(d)
		if c.IsWorkday(d) {
			n--
		}
	}
	return d, provisional
}

// Roll returns d itself if it is a working day, else the next one (Civil Code
// 203), and whether any day looked at is not settled.
func (c *Calendar) Roll(d Day) (day Day, provisional bool) {
	provisional = !c.Settled(d)
	for !c.IsWorkday(d) {
		d++
		provisional = provisional || !c.Settled(d)
	}
	return d, provisional
}

// WorkdaysBetween counts the working days after from up to and including to;
// 0 if to is not later.
func (c *Calendar) WorkdaysBetween(from, to Day) int {
	n := 0
	for d := from + 1; d <= to; d++ {
		if c.IsWorkday(d) {
			n++
		}
	}
	return n
}
