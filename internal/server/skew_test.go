package server

import (
	"testing"
	"time"
)

func TestADifferenceOfClocksIsSaidOnceAndAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var k skews
	for i, step := range []struct {
		after time.Duration
		skew  time.Duration
		due   bool
	}{
		{0, 4 * time.Second, false},
		{0, -time.Hour, true},
		{20 * time.Second, -time.Hour - time.Second, false},
		{40 * time.Second, time.Hour, true},
		{time.Minute, time.Hour, false},
		{62 * time.Minute, time.Hour, true},
		{63 * time.Minute, time.Second, false},
		{64 * time.Minute, 6 * time.Second, true},
	} {
		at := now.Add(step.after)
		if got := k.due(at, step.skew); got != step.due {
			t.Errorf("step %d: due %v, want %v", i, got, step.due)
		}
		if step.due {
			k = skews{at: at, was: step.skew}
		}
	}
}
