package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/internal/store"
)

// wrap stores keys of every kind under versions 1 and 2, numbered from 1.
func wrap(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		for sql, args := range map[string][]any{
			`insert into keys.wrapped values ($1, $2::uuid, 1, $3, '\x00', $4)`:                        {inst, id(i), fmt.Sprint("vault:v1:r", i), 1 + i%2},
			`insert into keys.wrapped_file values ($1, $2::uuid, $3::uuid, 1, $4, '\x00', $5)`:         {inst, id(i), id(1000 + i), fmt.Sprint("vault:v1:f", i), 1 + i%2},
			`insert into keys.intake values ($1, $2, '\x00', $3, '\x00', $4, clock_timestamp(), null)`: {inst, i, fmt.Sprint("vault:v1:i", i), 1 + i%2},
		} {
			_, err := pool.Exec(t.Context(), sql, args...)
			must(t, err)
		}
	}
}

func TestOlderKeysArePagedInOrderWithoutGapsOrTwins(t *testing.T) {
	t.Parallel()
	s, pool, _ := open(t)
	wrap(t, pool, 21)
	for _, limit := range []int{1, 2, 5, 10, 100} {
		var seen []string
		var after store.KeyRef
		for {
			page, err := s.OlderKeys(t.Context(), inst, 2, after, limit)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, k := range page {
				if k.Kind != page[0].Kind || k.Version != 1 || k.Blob == "" {
					t.Fatalf("limit %d: %+v in a page of kind %d", limit, k, page[0].Kind)
				}
				seen = append(seen, k.String())
			}
			read, err := store.ParseKeyRef(page[len(page)-1].String())
			must(t, err)
			after = read
		}
		var want []string
		for kind := store.KeyOfRecord; kind <= store.KeyOfIntake; kind++ {
			for i := 2; i <= 21; i += 2 {
				ref := store.KeyRef{Kind: kind, Complaint: id(i), Generation: 1}
				switch kind {
				case store.KeyOfFile:
					ref.File = id(1000 + i)
				case store.KeyOfIntake:
					ref.Complaint, ref.Generation = "", i
				}
				want = append(want, ref.String())
			}
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
	other, err := s.OlderKeys(t.Context(), "other", 2, store.KeyRef{}, 10)
	if err != nil || len(other) != 0 {
		t.Errorf("another institution: %v, %v", other, err)
	}
	older, err := s.CountOlder(t.Context(), inst, 2)
	if err != nil || older != 30 {
		t.Errorf("%d older keys, %v, want 30", older, err)
	}
}

func TestPlacesOfAJobAreReadBackOrRefused(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ref := store.KeyRef{Kind: rapid.Byte().Draw(t, "kind"), Complaint: rapid.StringMatching("[0-9a-f-]{0,36}").Draw(t, "complaint"),
			File: rapid.StringMatching("[0-9a-f-]{0,36}").Draw(t, "file"), Generation: rapid.Int().Draw(t, "generation")}
		if got, err := store.ParseKeyRef(ref.String()); err != nil || got != ref {
			t.Errorf("%v became %v, %v", ref, got, err)
		}
		_, _ = store.ParseKeyRef(rapid.String().Draw(t, "anything")) // does not panic
	})
	for _, bad := range []string{"1", "1/a/b", "x/a/b/1", "1/a/b/c", "1/a/b/c/1", "300/a/b/1"} {
		if _, err := store.ParseKeyRef(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestRewrapWritesOnlyWhatIsStillWhatWasRead(t *testing.T) {
	t.Parallel()
	s, pool, _ := open(t)
	wrap(t, pool, 6)
	var read []store.WrappedKey
	for after := (store.KeyRef{}); ; after = read[len(read)-1].KeyRef {
		page, err := s.OlderKeys(t.Context(), inst, 2, after, 100)
		must(t, err)
		if len(page) == 0 {
			break
		}
		read = append(read, page...)
	}
	write := func(version int, change func(*store.Rewrapped)) int64 {
		t.Helper()
		keys := make([]store.Rewrapped, len(read))
		for i, k := range read {
			keys[i] = store.Rewrapped{WrappedKey: k, Now: k.Blob + "-" + fmt.Sprint(version), NowVersion: version}
			if change != nil {
				change(&keys[i])
			}
		}
		var n int64
		must(t, s.Tx(t.Context(), func(tx pgx.Tx) (err error) {
			n, err = s.Rewrap(t.Context(), tx, inst, keys)
			return err
		}))
		return n
	}
	if n := write(3, func(k *store.Rewrapped) { k.Blob = "other" }); n != 0 {
		t.Errorf("%d keys were written that were not what was read", n)
	}
	if n := write(1, nil); n != 0 {
		t.Errorf("%d keys went to no newer version", n)
	}
	must(t, s.Tx(t.Context(), func(tx pgx.Tx) error {
		for i, want := range []bool{true, false} {
			gone, err := s.DestroyKey(t.Context(), tx, inst, read[0].KeyRef, store.DestroyedByShred, time.Now())
			if err != nil || gone != want {
				return fmt.Errorf("destroying, time %d: %v, %w", i+1, gone, err)
			}
		}
		return nil
	}))
	if n := write(3, nil); n != int64(len(read)-1) {
		t.Errorf("%d of %d keys were written, want all but the destroyed one", n, len(read))
	}
	if n := write(3, nil); n != 0 {
		t.Errorf("a second time wrote %d", n)
	}
	counts, err := s.CountKeys(t.Context(), inst)
	must(t, err)
	want := []store.KeyCount{{Kind: 1, Version: 2, Keys: 3}, {Kind: 1, Version: 3, Keys: 2}, {Kind: 2, Version: 2, Keys: 3}, {Kind: 2, Version: 3, Keys: 3},
		{Kind: 3, Version: 2, Keys: 3}, {Kind: 3, Version: 3, Keys: 3}}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("inventory (-want +got):\n%s", diff)
	}
}

func TestServiceCannotChangeKeysBesideTheFunctions(t *testing.T) {
	t.Parallel()
	_, pool, _ := open(t)
	wrap(t, pool, 2)
	for _, sql := range []string{`update keys.wrapped set wrapped = 'x'`, `delete from keys.wrapped`, `update keys.wrapped_file set wrapped = 'x'`,
		`delete from keys.wrapped_file`, `delete from keys.intake`, `delete from keys.epoch`, `delete from keys.destroyed`,
		`insert into keys.destroyed select 'bank', gen_random_uuid(), '', 1, '\x00', '\x00', 1, 'shred', now()`} {
		if _, err := pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("the service's role may %s", sql)
		}
	}
}

func TestOneHolderWorksAtAJobAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	s, _, db := open(t)
	ctx := t.Context()
	job := func(holder, target string) store.Job {
		return store.Job{Institution: inst, Name: "rewrap", Run: id(len(holder)), Holder: holder, Target: target, Total: 10}
	}
	first, err := s.ClaimJob(ctx, job("a", "2"), time.Minute)
	must(t, err)
	if _, err := s.ClaimJob(ctx, job("bb", "2"), time.Minute); !errors.Is(err, store.ErrStale) {
		t.Errorf("a second holder: %v, want ErrStale", err)
	}
	save := func(j *store.Job) error {
		return s.Tx(ctx, func(tx pgx.Tx) error { return s.SaveJob(ctx, tx, j) })
	}
	first.Cursor, first.Done = "here", 4
	must(t, save(first))
	admin, err := pgx.Connect(ctx, db.Admin)
	must(t, err)
	defer admin.Close(ctx)
	_, err = admin.Exec(ctx, `update jobs.progress set updated_at = updated_at - interval '2 minutes'`)
	must(t, err)
	second, err := s.ClaimJob(ctx, job("bb", "2"), time.Minute)
	must(t, err)
	if second.Run != first.Run || second.Cursor != "here" || second.Done != 4 || second.Holder != "bb" {
		t.Errorf("the next holder got %+v", second)
	}
	if err := save(first); !errors.Is(err, store.ErrStale) {
		t.Errorf("the one that was gone writes: %v, want ErrStale", err)
	}
	second.State = "finished"
	must(t, save(second))
	third, err := s.ClaimJob(ctx, job("ccc", "2"), time.Minute)
	must(t, err)
	if third.Run == first.Run || third.Done != 0 || third.Cursor != "" {
		t.Errorf("after the end the next run is %+v", third)
	}
	third.State = "paused"
	must(t, save(third))
	fourth, err := s.ClaimJob(ctx, job("dddd", "3"), time.Minute)
	must(t, err)
	if fourth.Run == third.Run || fourth.Target != "3" {
		t.Errorf("towards another target it is the run %+v", fourth)
	}
}

func TestEpochNeedsTwoPersonsAndOneProposal(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	ctx := t.Context()
	proposal := store.Epoch{Institution: inst, Key: "bank-record", Version: 2, ProposedBy: "kim", ProposedAt: time.Now()}
	propose := func() error {
		return s.Tx(ctx, func(tx pgx.Tx) error { return s.ProposeEpoch(ctx, tx, proposal) })
	}
	settle := func(change func(*store.Epoch)) error {
		return s.Tx(ctx, func(tx pgx.Tx) error {
			e, err := s.LockEpoch(ctx, tx, inst, "bank-record", 2)
			if err != nil {
				return err
			}
			change(e)
			return s.SetEpoch(ctx, tx, e)
		})
	}
	if err := settle(func(*store.Epoch) {}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before a proposal: %v", err)
	}
	must(t, propose())
	if err := propose(); !errors.Is(err, store.ErrDuplicate) {
		t.Errorf("twice: %v, want ErrDuplicate", err)
	}
	kim := "kim"
	if err := settle(func(e *store.Epoch) { e.State, e.ConfirmedBy = store.EpochConfirmed, &kim }); err == nil {
		t.Error("the table takes one person for two")
	}
	must(t, settle(func(e *store.Epoch) { e.State = store.EpochWithdrawn }))
	must(t, propose())
	list, err := s.Epochs(ctx, inst)
	if err != nil || len(list) != 1 || list[0].State != store.EpochProposed || list[0].ConfirmedBy != nil {
		t.Errorf("after a new proposal: %+v, %v", list, err)
	}
}

func TestIndexGenerationsFollowOneAnother(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	ctx := t.Context()
	key := func(epoch int) string { return fmt.Sprint("bank-index.", epoch) }
	states := func(want ...string) {
		t.Helper()
		list, err := s.IndexEpochs(ctx, inst, key(1))
		must(t, err)
		var got []string
		for i, e := range list {
			if e.Epoch != i+1 || e.Key != key(i+1) {
				t.Errorf("generation %d is %+v", i+1, e)
			}
			got = append(got, e.State)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	in := func(f func(pgx.Tx) error) error { return s.Tx(ctx, f) }
	openNext := func() error {
		return in(func(tx pgx.Tx) error { _, err := s.OpenIndexEpoch(ctx, tx, inst, time.Now(), key); return err })
	}
	change := func(epoch int) error {
		return in(func(tx pgx.Tx) error { return s.SwitchIndexEpoch(ctx, tx, inst, epoch, time.Now()) })
	}
	drop := func(epoch int) error {
		return in(func(tx pgx.Tx) error { return s.DropIndexEpoch(ctx, tx, inst, epoch) })
	}
	states("current")
	must(t, openNext())
	states("current", "building")
	if err := openNext(); !errors.Is(err, store.ErrDuplicate) {
		t.Errorf("a second one being built: %v, want ErrDuplicate", err)
	}
	for _, err := range []error{change(1), change(3), drop(1), drop(2)} {
		if !errors.Is(err, store.ErrStale) {
			t.Errorf("a step out of order: %v, want ErrStale", err)
		}
	}
	states("current", "building")
	must(t, change(2))
	states("retired", "current")
	must(t, drop(1))
	states("dropped", "current")
	must(t, openNext())
	states("dropped", "current", "building")
}
