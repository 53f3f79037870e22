package pglog_test

import (
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit/pglog"
)

func TestIndexAtIsTheFirstEntryOfATime(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var batches []time.Time // when each batch of three was sequenced
	for range 5 {
		e.append("complaint:1", 3)
		e.sequenceAll()
		list, err := e.log.Trail(t.Context(), "complaint:1", 1)
		if err != nil {
			t.Fatal(err)
		}
		batches = append(batches, list[0].SeqAt)
	}
	for i, at := range batches {
		for add, want := range map[time.Duration]uint64{0: uint64(3 * i), time.Microsecond: uint64(3*i + 3)} {
			if got, err := pglog.IndexAt(t.Context(), e.pool, shard, at.Add(add)); err != nil || got != want {
				t.Errorf("batch %d, %s after: index %d, %v; want %d", i, add, got, err, want)
			}
		}
	}
	if got, err := pglog.IndexAt(t.Context(), e.pool, shard, time.Time{}); err != nil || got != 0 {
		t.Errorf("before everything: %d, %v", got, err)
	}
	if err := e.admin("set local audit.migration = 'on'", "alter table audit.leaf disable trigger all", "delete from audit.leaf where idx = 7"); err != nil {
		t.Fatal(err)
	}
	if _, err := pglog.IndexAt(t.Context(), e.pool, shard, batches[2]); err == nil {
		t.Error("a missing leaf went unnoticed")
	}
}
