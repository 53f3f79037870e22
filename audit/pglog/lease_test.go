package pglog_test

import (
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit/pglog"
)

func TestOneLeaseAtATime(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	first, second := pglog.NewLease(e.pool, shard, time.Minute), pglog.NewLease(e.pool, shard, time.Minute)
	hold := func(l *pglog.Lease, want bool) {
		t.Helper()
		if got, err := l.Hold(t.Context()); err != nil || got != want || l.Sure() != want {
			t.Errorf("Hold = %v, %v, Sure = %v; want %v", got, err, l.Sure(), want)
		}
	}
	hold(first, true)
	hold(second, false)
	if err := second.Release(t.Context()); err != nil { // not its own: stays
		t.Fatal(err)
	}
	hold(second, false)
	hold(first, true)
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold(second, true)
	if first.Sure() {
		t.Error("a released lease is still sure")
	}
}

// The process that leads was stopped: it asks nobody, and its lease ends.
func TestALeaseThatIsNotRenewedGoesToAnother(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	stopped, other := pglog.NewLease(e.pool, shard, 300*time.Millisecond), pglog.NewLease(e.pool, shard, time.Minute)
	if ok, err := stopped.Hold(t.Context()); err != nil || !ok {
		t.Fatal(ok, err)
	}
	for {
		ok, err := other.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			break
		}
	}
	if stopped.Sure() {
		t.Error("both are sure to lead")
	}
	if ok, err := stopped.Hold(t.Context()); err != nil || ok {
		t.Errorf("Hold of the one that was stopped = %v, %v", ok, err)
	}
}

// Who is locked out again leaves no lease behind that keeps the log from being published.
func TestALeaseLastsAMinuteAtMost(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, err := e.pool.Exec(t.Context(), "select audit.lead($1, $2, 'thief', 2147483647)", shard.Institution, shard.Year); err != nil {
		t.Fatal(err)
	}
	var long bool
	err := e.pool.QueryRow(t.Context(), "select until > clock_timestamp() + interval '1 minute' from audit.publisher where holder = 'thief'").Scan(&long)
	if err != nil || long {
		t.Errorf("longer than a minute: %v, %v", long, err)
	}
}

func TestSelfCheckFlagsWhatWouldLoseEntriesOnFailover(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for setting, weak := range map[string]bool{
		"synchronous_commit=on": false, "synchronous_commit=remote_apply": false,
		"synchronous_commit=local": true, "synchronous_commit=remote_write": true, "synchronous_commit=off": true,
		"statement_timeout=5s": true,
	} {
		pool := connect(t, e.db.App+"&"+setting)
		found, err := pglog.SelfCheck(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		if (len(found) == 1 && found[0].Code == pglog.WeakSetting) != weak || len(found) > 1 {
			t.Errorf("%s: found %v", setting, found)
		}
	}
}
