package publish_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

func TestPublishedLogIsWholeAtEverySize(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	p := e.publisher()
	size := uint64(0)
	for _, n := range []int{1, 2, 252, 1, 1, 255, 300, 1024} { // over the edges of tiles: 1, 3, 255, 256, 257, 512, 812, 1836
		e.grow(n)
		size += uint64(n)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.wantWhole(size)
		raw, err := e.store.Get(t.Context(), audit.CheckpointSizePath(size))
		if err != nil || e.open(raw).Size != size {
			t.Errorf("checkpoints/%d: %v", size, err)
		}
	}
	if findings := e.check(); findings != nil {
		t.Errorf("Check: %v", findings)
	}
}

func TestPublishingAgainSignsNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	p := e.publisher()
	if err := p.Publish(t.Context()); err != nil || e.checkpoint().Size != 0 {
		t.Fatalf("empty log: %v", err)
	}
	e.grow(3)
	for range 3 {
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.signer.calls.Load(); n != 1 {
		t.Errorf("%d signatures, want 1", n)
	}
	if err := e.publisher().Publish(t.Context()); err != nil || e.signer.calls.Load() != 1 { // a restart
		t.Errorf("after a restart: %v, %d signatures", err, e.signer.calls.Load())
	}
	if s := p.Status(); s.Size != 3 || s.Err != nil || s.PublishedAt.IsZero() {
		t.Errorf("Status = %+v", s)
	}
}

// A crash at any write of a round, then a restart: the checkpoint that is published is always whole, and the next round heals.
func TestDiskFullAtAnyWriteNeverPublishesMoreThanIsWritten(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(250)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	size := uint64(250)
	for writes := range int64(12) {
		e.grow(37)
		p := e.publisher()
		e.store.left.Store(writes)
		err := p.Publish(t.Context())
		if err == nil {
			size += 37
		} else if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("after %d writes: %v", writes, err)
		}
		e.store.left.Store(-1)
		before := e.checkpoint().Size
		e.wantWhole(before)
		if writes%2 == 0 { // half of the time the same process goes on
			p = e.publisher()
		}
		if err := p.Publish(t.Context()); err != nil {
			t.Fatalf("healing after %d writes: %v", writes, err)
		}
		e.wantWhole(250 + 37*uint64(writes+1))
	}
	if n, sizes := e.signer.calls.Load(), int64(13); n > sizes {
		t.Errorf("%d signatures for %d sizes: a note that was signed before a crash was not used again", n, sizes)
	}
	if findings := e.check(); findings != nil {
		t.Errorf("Check: %v", findings)
	}
}

func TestRunHealsWhenTheDiskHasRoomAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.store.left.Store(1)
	e.grow(5)
	p := e.publisherWith(publish.Config{Interval: 5 * time.Millisecond})
	e.background(p.Run)
	waitFor(t, "alarm", func() bool { return slices.Contains(e.alarms.kinds(), publish.AlarmPublish) })
	if e.checkpoint().Size != 0 {
		t.Error("a checkpoint without its tiles")
	}
	e.store.left.Store(-1)
	waitFor(t, "healing", func() bool { return e.checkpoint().Size == 5 })
	e.wantWhole(5)
}

func TestSignerAwayOrLyingPublishesNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	p := e.publisher()
	e.grow(3)
	e.signer.fail.Store(true)
	if err := p.Publish(t.Context()); err == nil || e.checkpoint().Size != 0 {
		t.Errorf("signer away: %v, size %d", err, e.checkpoint().Size)
	}
	e.signer.fail.Store(false)
	e.signer.lie.Store(true)
	if err := p.Publish(t.Context()); !errors.Is(err, publish.ErrSignature) || e.checkpoint().Size != 0 {
		t.Errorf("wrong signature: %v, want ErrSignature and nothing published", err)
	}
	e.signer.lie.Store(false)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wantWhole(3)
}

// The body of an entry is changed after it was sequenced and before it was published.
func TestTamperedEntryIsNotPublished(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	p := e.publisher()
	e.grow(3)
	e.admin("update audit.entry set body = set_byte(body, 30, get_byte(body, 30) # 1) where id = (select entry_id from audit.leaf where idx = 1)")
	if err := p.Publish(t.Context()); !errors.Is(err, pglog.ErrTampered) || !strings.Contains(err.Error(), "index 1") {
		t.Errorf("Publish: %v, want ErrTampered at index 1", err)
	}
	if e.signer.calls.Load() != 0 {
		t.Error("something was signed")
	}
}

// Yesterday's database is restored: first it is shorter than what was published, then it grows past it with other entries.
func TestRestoredDatabaseIsNotSigned(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(5)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	published := e.checkpoint()
	restored := newEnv(t) // another database behind the same folder and key
	restored.store, restored.signer, restored.root = e.store, e.signer, e.root
	restored.grow(3)
	if err := restored.publisher().Run(t.Context()); !errors.Is(err, publish.ErrBehind) {
		t.Errorf("shorter database: %v, want ErrBehind", err)
	}
	restored.grow(2)
	if err := restored.publisher().Run(t.Context()); !errors.Is(err, publish.ErrFork) {
		t.Errorf("same size, other root: %v, want ErrFork", err)
	}
	evidence, err := e.store.Get(t.Context(), "evidence/fork-5.txt")
	if err != nil || !strings.Contains(string(evidence), string(published.Marshal())) || strings.Count(string(evidence), shard.Origin+"\n") < 2 {
		t.Errorf("evidence: %v\n%s", err, evidence)
	}
	restored.grow(300)
	if err := restored.publisher().Run(t.Context()); !errors.Is(err, publish.ErrFork) {
		t.Errorf("longer database: %v, want ErrFork", err)
	}
	if e.checkpoint() != published || e.signer.calls.Load() != 1 {
		t.Error("something was signed or published")
	}
}

// The database is exchanged under a running publisher.
func TestExchangedDatabaseIsFoundWhileRunning(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	p := e.publisher()
	e.grow(5)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.admin("delete from audit.leaf", "delete from audit.entry", "delete from audit.trail", "update audit.tree set size = 0, compact = '', root = sha256(''), epoch = 0")
	e.grow(9)
	var err error
	for range 2 { // the first round sees roots that do not fit, the second compares from the start
		err = p.Publish(t.Context())
	}
	if !errors.Is(err, publish.ErrFork) || e.signer.calls.Load() != 1 {
		t.Errorf("Publish: %v, want ErrFork; %d signatures", err, e.signer.calls.Load())
	}
}

func TestForeignCheckpointIsNotExtended(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(2)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.signer = newSigner(t)
	e.grow(1)
	if err := e.publisher().Publish(t.Context()); !errors.Is(err, publish.ErrForeign) {
		t.Errorf("Publish under another key: %v, want ErrForeign", err)
	}
}

func TestLostOrDamagedTilesAreRebuilt(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*env) error{
		"folder emptied but for the checkpoint": func(e *env) error { return os.RemoveAll(e.store.Root() + "/tile") },
		"everything lost": func(e *env) error {
			return errors.Join(os.RemoveAll(e.store.Root()+"/tile"), os.Remove(e.store.Root()+"/checkpoint"))
		},
		"byte of a tile flipped":   func(e *env) error { return flip(e, audit.TilePath(0, 1, 44)) },
		"byte of a bundle flipped": func(e *env) error { return flip(e, audit.EntriesPath(1, 44)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.grow(300)
			if err := e.publisher().Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := harm(e); err != nil {
				t.Fatal(err)
			}
			e.grow(10)
			if err := e.publisher().Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			e.wantWhole(310)
		})
	}
}

func flip(e *env, path string) error {
	raw, err := e.store.Get(context.Background(), path)
	if err != nil {
		return err
	}
	raw[len(raw)/2] ^= 1
	return e.store.Put(context.Background(), path, raw)
}

func TestTwoPublishersSignOneRootPerSize(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.background(e.seq.Run)
	for range 2 {
		e.background(e.publisherWith(publish.Config{Interval: time.Millisecond}).Run)
	}
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			for i := range 50 {
				if _, err := e.log.Append(context.Background(), body(fmt.Sprintf("complaint:%d", c), i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	waitFor(t, "publishing", func() bool { return e.checkpoint().Size == 200 })
	if findings := e.check(); findings != nil {
		t.Errorf("Check: %v", findings)
	}
}

func TestPartialTilesGoOneRoundAfterTheFullOne(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	p := e.publisher()
	for _, n := range []int{200, 100, 1} {
		e.grow(n)
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := e.store.Get(t.Context(), audit.TilePath(0, 0, 200))
		if gone := errors.Is(err, fs.ErrNotExist); gone != (n == 1) {
			t.Errorf("after growing by %d the partial tile is gone: %v", n, gone)
		}
	}
}

func TestBlobsAreStoredOnce(t *testing.T) {
	t.Parallel()
	folder, err := publish.NewFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		digest, err := publish.PutBlob(t.Context(), folder, []byte("abc"))
		if err != nil || digest != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
			t.Fatalf("PutBlob = %q, %v", digest, err)
		}
		if got, err := folder.Get(t.Context(), audit.BlobPath(digest)); err != nil || string(got) != "abc" {
			t.Errorf("blob = %q, %v", got, err)
		}
	}
}

func TestFolderRefusesPathsOutsideItself(t *testing.T) {
	t.Parallel()
	folder, err := publish.NewFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", ".", "..", "../x", "/etc/passwd", "a/../../b", "a//b"} {
		if err := folder.Put(t.Context(), path, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Put(%q) = %v, want ErrInvalid", path, err)
		}
		if err := folder.Remove(t.Context(), path); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Remove(%q) = %v, want ErrInvalid", path, err)
		}
	}
}
