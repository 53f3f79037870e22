package clock_test

import (
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/internal/clock"
)

func ExampleBindingFor() {
	// Received on the Friday before the Spring Festival of 2026.
	received := time.Date(2026, 2, 13, 10, 0, 0, 0, clock.Zone)
	profile := clock.CNLaw().With(clock.Norm(), time.Time{})
	dues := clock.DueDates(profile, clock.China(), clock.Milestones{ReceivedAt: received})
	due, _ := clock.BindingFor(dues, "complaint.notified")
	fmt.Println(due.Clock, due.Law, due.DueAt.In(clock.Zone).Format(time.DateTime))
	// Output: L-15 true 2026-03-01 00:00:00
}

func ExampleCalendar_AddWorkdays() {
	day, provisional := clock.China().AddWorkdays(clock.Date(2026, 9, 30), 2)
	fmt.Println(day, provisional)
	// Output: 2026-10-09 false
}
