package pglog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// headsByLeaves folds the leaves of the given shards, the last one up to size, by the definition.
func (e *env) headsByLeaves(size uint64, shards ...pglog.Shard) audit.Heads {
	e.t.Helper()
	var m audit.Heads
	ends := map[string]audit.Head{}
	for i, s := range shards {
		to := size
		if i < len(shards)-1 {
			h, err := pglog.NewTree(e.pool, s).Head(e.t.Context())
			if err != nil {
				e.t.Fatal(err)
			}
			to = h.Size
		}
		err := pglog.NewTree(e.pool, s).Leaves(e.t.Context(), 0, to, func(row pglog.LeafRow) error {
			var v audit.LeafView
			if err := audit.ScanLeaf(row.Bytes, &v); err != nil {
				return err
			}
			if audit.InHeads(v.Subject()) {
				ends[string(v.Subject())] = audit.Head{Key: audit.HeadKey(v.Subject()), N: v.TrailN, Last: audit.LeafHash(row.Bytes)}
			}
			return nil
		})
		if err != nil {
			e.t.Fatal(err)
		}
	}
	for _, h := range ends {
		m.Set(h)
	}
	return m
}

func TestSnapshotOfHeadsIsOfOneSize(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, _ = e.log.Append(ctx, body(fmt.Sprintf("complaint:%d", (w*7+i)%50), i), body(fmt.Sprintf("request:%d-%d", w, i), i))
			}
		})
	}
	writers.Go(func() {
		for ctx.Err() == nil {
			_, _ = e.seq.Step(ctx)
		}
	})
	for last := uint64(0); last < 400; {
		s, err := pglog.SnapshotHeads(t.Context(), e.pool, inst)
		if err != nil {
			t.Fatal(err)
		}
		m := e.headsByLeaves(s.Size, shard)
		if s.File.Root() != m.Root() || s.File.Len() != m.Len() {
			t.Fatalf("at size %d: the snapshot is not what its %d leaves give", s.Size, s.Size)
		}
		last = s.Size
	}
	stop()
	writers.Wait()
}

func TestHeadsRunAcrossYears(t *testing.T) {
	t.Parallel()
	former, next := shardOf(2025), shardOf(2026)
	e := envOn(t, newDB(t), former)
	e.append("complaint:1", 3)
	e.sequenceAll()
	if _, err := pglog.EnsureLog(t.Context(), e.pool, next); err != nil {
		t.Fatal(err)
	}
	e.append("complaint:1", 1)
	e.append("complaint:2", 1)
	e.sequenceAll()
	s, err := pglog.SnapshotHeads(t.Context(), e.pool, inst)
	if err != nil {
		t.Fatal(err)
	}
	if s.Shard != next {
		t.Fatalf("of %+v", s.Shard)
	}
	m := e.headsByLeaves(s.Size, former, next)
	if s.File.Root() != m.Root() {
		t.Error("another root than the leaves of both years give")
	}
	if h, _ := s.File.Prove(audit.HeadKey("complaint:1")); h.N != 4 {
		t.Errorf("trail of %d entries, want 4", h.N)
	}
}

func TestHeadsWithoutLog(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, err := pglog.SnapshotHeads(t.Context(), e.pool, "nobody"); !errors.Is(err, pglog.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func ExampleSnapshotHeads() {
	// pool is of the service's role.
	commit := func(ctx context.Context, log *pglog.Log, s *pglog.HeadsSnapshot) error {
		root := s.File.Root()
		_, err := log.Append(ctx, audit.Body{Subject: audit.HeadsSubject, Kind: audit.HeadsKind, Stage: audit.StageEvent,
			Facts: audit.Facts{"origin": s.Shard.Origin, "size": s.Size, "trails": s.File.Len(), "root": fmt.Sprintf("%x", root)}})
		return err
	}
	_ = commit
	// Output:
}
