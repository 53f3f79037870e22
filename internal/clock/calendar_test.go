package clock

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func day(t *testing.T, s string) Day {
	t.Helper()
	d, err := ParseDay(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestVectors: nine days of receipt, most of them before a long holiday,
// computed once from the State Council's notices.
func TestVectors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Received string `json:"received"`
			Workday  bool   `json:"received_is_workday"`
			Plus1    string `json:"plus1wd"`
			Plus2    string `json:"plus2wd"`
			Plus7    string `json:"plus7wd"`
			Plus15   string `json:"plus15wd"`
			Cal15    string `json:"plus15cal"`
			Cal30    string `json:"plus30cal"`
			Cal60    string `json:"plus60cal"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) != 9 {
		t.Fatalf("%d vectors, want 9", len(file.Vectors))
	}
	c := China()
	for _, v := range file.Vectors {
		received := day(t, v.Received)
		if got := c.IsWorkday(received); got != v.Workday {
			t.Errorf("%s: working day %v, want %v", v.Received, got, v.Workday)
		}
		for n, want := range map[int]string{1: v.Plus1, 2: v.Plus2, 7: v.Plus7, 15: v.Plus15} {
			got, provisional := c.AddWorkdays(received, n)
			if got.String() != want || provisional {
				t.Errorf("%s + %d working days: got %s (provisional %v), want %s", v.Received, n, got, provisional, want)
			}
		}
		for n, want := range map[Day]string{15: v.Cal15, 30: v.Cal30, 60: v.Cal60} {
			if got := (received + n).String(); got != want {
				t.Errorf("%s + %d days: got %s, want %s", v.Received, n, got, want)
			}
		}
	}
}

// TestYearsHaveTheirWorkingDays: 251, 248 and 248 working days, 8, 5 and 6
// worked weekends, as counted from the notices.
func TestYearsHaveTheirWorkingDays(t *testing.T) {
	t.Parallel()
	c := China()
	for year, want := range map[int][2]int{2024: {251, 8}, 2025: {248, 5}, 2026: {248, 6}} {
		workdays, weekends := 0, 0
		for d := Date(year, 1, 1); d.Year() == year; d++ {
			if c.IsWorkday(d) {
				workdays++
				if d.Weekend() {
					weekends++
				}
			}
		}
		if workdays != want[0] || weekends != want[1] {
			t.Errorf("%d: %d working days and %d worked weekends, want %v", year, workdays, weekends, want)
		}
	}
	if got := c.Years(); len(got) != 3 || got[0] != 2024 || got[2] != 2026 {
		t.Errorf("years: got %v", got)
	}
}

func TestYearsWithoutNoticeAreProvisional(t *testing.T) {
	t.Parallel()
	c := China()
	for date, want := range map[string]bool{
		"2026-11-23": true, "2026-12-24": true, "2026-12-25": false, "2027-01-04": false, "2023-12-29": false, "2025-12-31": true, "2024-01-01": true,
	} {
		if got := c.Settled(day(t, date)); got != want {
			t.Errorf("%s: settled %v, want %v", date, got, want)
		}
	}
	if _, provisional := c.AddWorkdays(day(t, "2026-12-22"), 3); !provisional {
		t.Error("a limit that ends in the last week of the last year with a notice is not provisional")
	}
	if got, provisional := c.AddWorkdays(day(t, "2027-03-05"), 1); got.String() != "2027-03-08" || !provisional {
		t.Errorf("Friday + 1 without a notice: got %s, provisional %v", got, provisional)
	}
}

func TestDayBoundariesAreChinas(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC) // 24:00 in China
	if got := DayOf(at); got.String() != "2026-11-24" {
		t.Errorf("got %s, want 2026-11-24", got)
	}
	if got := DayOf(at.Add(-time.Nanosecond)); got.String() != "2026-11-23" {
		t.Errorf("got %s, want 2026-11-23", got)
	}
	if got := day(t, "2026-11-23").End(); !got.Equal(at) {
		t.Errorf("24:00 is %s, want %s", got, at)
	}
	if got := DayOf(time.Date(1969, 12, 31, 15, 59, 59, 0, time.UTC)); got != -1 {
		t.Errorf("the day before 1970-01-01: got %d, want -1", got)
	}
}

// TestFixedZoneIsChinas compares with the zone file of the Go distribution for
// every day of the years that are counted, if the machine has one.
func TestFixedZoneIsChinas(t *testing.T) {
	t.Parallel()
	loc, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Skip("no zone file on this machine")
	}
	for d := Date(2000, 1, 1); d < Date(2040, 1, 1); d++ {
		if _, offset := d.Start().In(loc).Zone(); offset != 8*60*60 {
			t.Fatalf("%s: offset %d", d, offset)
		}
	}
}

func TestWorkdayProperties(t *testing.T) {
	t.Parallel()
	c := China()
	first, last := int32(Date(2023, 1, 1)), int32(Date(2028, 1, 1))
	rapid.Check(t, func(t *rapid.T) {
		d := Day(rapid.Int32Range(first, last).Draw(t, "day"))
		n := rapid.IntRange(1, 60).Draw(t, "n")
		end, _ := c.AddWorkdays(d, n)
		if !c.IsWorkday(end) || end <= d {
			t.Fatalf("%s + %d ends on %s, which is no later working day", d, n, end)
		}
		if got := c.WorkdaysBetween(d, end); got != n {
			t.Fatalf("%s + %d ends on %s: %d working days between", d, n, end, got)
		}
		if later, _ := c.AddWorkdays(d+1, n); later < end {
			t.Fatalf("a later start ends earlier: %s, %s", end, later)
		}
		if more, _ := c.AddWorkdays(d, n+1); more <= end {
			t.Fatalf("a longer limit ends no later: %s, %s", end, more)
		}
		rolled, _ := c.Roll(d)
		if !c.IsWorkday(rolled) || rolled < d || c.IsWorkday(d) && rolled != d || c.WorkdaysBetween(d, rolled-1) != 0 {
			t.Fatalf("%s rolls to %s", d, rolled)
		}
	})
}

func TestParseCalendarRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, `{"version":2,"years":[]}`, `{"version":1,"yeers":[]}`,
		`{"version":1,"years":[{"year":2027,"off":["2027-1-1"]}]}`,
		`{"version":1,"years":[{"year":2027,"off":["2027-02-05/2027-02-01"]}]}`,
		`{"version":1,"years":[{"year":2027,"off":["2027-02-05/2029-02-01"]}]}`,
		`{"version":1,"years":[{"year":2027,"off":["2027-02-05"],"work":["2027-02-05"]}]}`,
		`{"version":1,"years":[{"year":2027},{"year":2027}]}`,
	} {
		if _, err := ParseCalendar([]byte(text)); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func TestDigestIsOfTheFile(t *testing.T) {
	t.Parallel()
	c := China()
	again, err := ParseCalendar(c.JSON())
	if err != nil || again.Digest() != c.Digest() || len(c.Digest()) != 64 {
		t.Errorf("parsing the file again: %v, digest %s and %s", err, again.Digest(), c.Digest())
	}
	other, err := ParseCalendar([]byte(strings.Replace(string(c.JSON()), "2026-10-10", "2026-10-11", 1)))
	if err != nil || other.Digest() == c.Digest() {
		t.Errorf("another calendar has the same digest (%v)", err)
	}
	c.JSON()[0] = 'x'
	if c.JSON()[0] == 'x' {
		t.Error("a caller changed the calendar")
	}
}

func FuzzParseCalendar(f *testing.F) {
	f.Add(China().JSON())
	f.Add([]byte(`{"version":1,"years":[{"year":2027,"off":["2027-02-05/2027-02-11"],"work":["2027-02-14"]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCalendar(data)
		if err != nil {
			return
		}
		if end, _ := c.AddWorkdays(Date(2027, 1, 1), 10); !c.IsWorkday(end) {
			t.Fatalf("ends on %s, which is no working day", end)
		}
	})
}
