package clock

import (
	"fmt"
	"time"
)

// Zone is Asia/Shanghai as a fixed offset of +08:00. China has had no daylight
// saving time since 1991, so a fixed zone is exact for every date this package
// counts and needs no zone file.
var Zone = time.FixedZone("Asia/Shanghai", 8*60*60)

// Day is a calendar day in Zone: the number of days since 1970-01-01.
type Day int32

// DayOf returns the day in Zone on which t falls.
func DayOf(t time.Time) Day {
	return Day(floorDiv(t.Unix()+8*60*60, 24*60*60))
}

// Date returns the day of a date; like time.Date it normalises its arguments.
func Date(year int, month time.Month, day int) Day {
	return DayOf(time.Date(year, month, day, 0, 0, 0, 0, Zone))
}

// ParseDay reads YYYY-MM-DD.
func ParseDay(s string) (Day, error) {
	t, err := time.ParseInLocation(time.DateOnly, s, Zone)
	if err != nil {
		return 0, fmt.Errorf("parsing a day: want YYYY-MM-DD")
	}
	return DayOf(t), nil
}

// Start is 00:00 of the day in Zone, End is its 24:00.
func (d Day) Start() time.Time { return time.Unix(int64(d)*86400-8*60*60, 0).In(Zone) }

// End is 24:00 of the day, which is 00:00 of the next.
func (d Day) End() time.Time { return (d + 1).Start() }

// Year is the calendar year of the day.
func (d Day) Year() int { return d.Start().Year() }

// Weekend reports a Saturday or a Sunday, whatever the calendar makes of it.
func (d Day) Weekend() bool {
	wd := d.Start().Weekday()
	return wd == time.Saturday || wd == time.Sunday
}

// String is YYYY-MM-DD.
func (d Day) String() string { return d.Start().Format(time.DateOnly) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
