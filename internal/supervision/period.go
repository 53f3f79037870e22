package supervision

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sealtrail/sealtrail/internal/clock"
)

// Period is a half-open stretch of time [From, To) in the institution's zone. Build one with ParsePeriod: a period is
// written in reports by its Name, so that two spellings of one month never give two reports.
type Period struct {
	// Name is the canonical spelling: "2026-01", "2026-Q1" or "2026".
	Name string
	// From is the first instant of the period, To the first instant after it.
	From, To time.Time
}

// zone is the civil time all due instants of the norm and the law are counted in (UTC+8 without summer time since 1991).
// A fixed zone keeps the report free of the machine's time-zone files.
func zone() *time.Location { return clock.Zone }

// ParsePeriod reads "2026-01" (a month), "2026-Q1" (a quarter) or "2026" (a year), in Asia/Shanghai. The years 2000 to
// 2999 are accepted; everything else is an error that names the accepted forms.
func ParsePeriod(s string) (Period, error) {
	bad := fmt.Errorf("parsing period: want YYYY-MM, YYYY-Qn or YYYY")
	if len(s) < 4 || s[0] != '2' {
		return Period{}, bad
	}
	year, err := digits(s[:4])
	if err != nil {
		return Period{}, bad
	}
	switch {
	case len(s) == 4:
		return months(s, year, 1, 12), nil
	case len(s) == 7 && s[4] == '-' && s[5] == 'Q' && s[6] >= '1' && s[6] <= '4':
		return months(s, year, int(s[6]-'1')*3+1, 3), nil
	case len(s) == 7 && s[4] == '-':
		month, err := digits(s[5:])
		if err != nil || month < 1 || month > 12 {
			return Period{}, bad
		}
		return months(s, year, month, 1), nil
	}
	return Period{}, bad
}

// digits reads a run of ASCII digits; strconv alone would take signs.
func digits(s string) (int, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, strconv.ErrSyntax
		}
	}
	return strconv.Atoi(s)
}

// months builds the period of n months from the given one.
func months(name string, year, month, n int) Period {
	from := time.Date(year, time.Month(month), 1, 0, 0, 0, 0, zone())
	return Period{Name: name, From: from, To: from.AddDate(0, n, 0)}
}

// Contains says whether t lies in the period; its end does not belong to it.
func (p Period) Contains(t time.Time) bool { return !t.Before(p.From) && t.Before(p.To) }

// week is one Monday-to-Sunday week clipped to a period, the x axis of every chart.
type week struct {
	name string // ISO 8601, "2026-W02"
	from time.Time
}

// weeks lists the ISO weeks that touch the period, in order.
func (p Period) weeks() []week {
	var out []week
	for t := monday(p.From); t.Before(p.To); t = t.AddDate(0, 0, 7) {
		y, w := t.ISOWeek()
		out = append(out, week{name: fmt.Sprintf("%04d-W%02d", y, w), from: t})
	}
	return out
}

// weekOf is the index of t's week in p.weeks(). t must lie in the period.
func (p Period) weekOf(t time.Time) int {
	return int(t.In(zone()).Sub(monday(p.From)) / (7 * 24 * time.Hour))
}

// monday is the start of t's ISO week.
func monday(t time.Time) time.Time {
	t = t.In(zone())
	back := (int(t.Weekday()) + 6) % 7
	return time.Date(t.Year(), t.Month(), t.Day()-back, 0, 0, 0, 0, zone())
}
