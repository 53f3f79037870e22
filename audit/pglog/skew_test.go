package pglog_test

import (
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit/pglog"
)

func TestSkewOfOneMachineIsSmall(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if skew, err := pglog.Skew(t.Context(), e.pool); err != nil || skew.Abs() > time.Second {
		t.Errorf("Skew = %v, %v", skew, err)
	}
}
