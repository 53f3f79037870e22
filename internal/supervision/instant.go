package supervision

import (
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// instant is a time in microseconds since 1970, 0 for "has not happened". A complaint holds a dozen of them; as time.Time
// they would take three times the memory and compare by location.
type instant int64

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(t.UnixMicro())
}

func (i instant) time() time.Time { return time.UnixMicro(int64(i)).UTC() }

// text spells the instant as entries do; empty for "has not happened".
func (i instant) text() string {
	if i == 0 {
		return ""
	}
	return i.time().Format(audit.TimeLayout)
}

// earliest keeps the earlier of two instants that happened: a step taken twice is judged by its first time.
func earliest(a, b instant) instant {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// by says that the instant happened at or before the limit.
func (i instant) by(limit instant) bool { return i != 0 && i <= limit }
