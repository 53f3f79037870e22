package publish_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// leader is a lead that the test gives and takes.
type leader struct{ held atomic.Bool }

func (l *leader) Hold(context.Context) (bool, error) { return l.held.Load(), nil }
func (l *leader) Sure() bool                         { return l.held.Load() }

// stoppedStore stops its process just before `checkpoint` is written, once.
type stoppedStore struct {
	*publish.Folder
	stop atomic.Bool
	at   chan struct{} // closed when it stopped
	cont chan struct{} // closed to let it go on
}

func (s *stoppedStore) Put(ctx context.Context, path string, contents []byte) error {
	if path == audit.CheckpointPath && s.stop.CompareAndSwap(true, false) {
		close(s.at)
		<-s.cont
	}
	return s.Folder.Put(ctx, path, contents)
}

func publisherWith(t *testing.T, e *env, store publish.Store, lead publish.Leader) *publish.Publisher {
	t.Helper()
	p, err := publish.New(t.Context(), publish.Config{Source: pglog.NewTree(e.pool, shard), Store: store, Signer: e.signer, Alarm: e.alarms.add, Lead: lead})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The process that leads is stopped in the moment before it writes the checkpoint, another one leads and publishes, and the old one
// goes on: it puts the checkpoint back to the smaller size, and the one that leads puts it right.
func TestAStoppedLeaderDoesNotSetThePublishedLogBack(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	folder := e.store.Folder
	slow := &stoppedStore{Folder: folder, at: make(chan struct{}), cont: make(chan struct{})}
	var first, second leader
	old, other := publisherWith(t, e, slow, &first), publisherWith(t, e, folder, &second)
	publishBy := func(p *publish.Publisher) {
		t.Helper()
		if err := p.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first.held.Store(true)
	e.grow(3)
	publishBy(old)
	publishBy(other) // follows
	if got := other.Status().Size; got != 3 {
		t.Errorf("the one that does not lead knows of size %d, want 3", got)
	}
	slow.stop.Store(true)
	e.grow(2)
	done := make(chan error)
	go func() { done <- old.Publish(t.Context()) }()
	<-slow.at
	first.held.Store(false)
	second.held.Store(true)
	e.grow(300)
	publishBy(other)
	wantSize(t, e, 305)
	close(slow.cont)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantSize(t, e, 5) // true, and smaller than what readers saw
	publishBy(other)
	wantSize(t, e, 305)
	publishBy(old)
	if got := old.Status().Size; got != 305 {
		t.Errorf("the old one knows of size %d, want 305", got)
	}
	e.grow(1)
	second.held.Store(false)
	first.held.Store(true)
	publishBy(old) // leads again, from files that the other wrote
	wantSize(t, e, 306)
	e.wantWhole(306)
	if kinds := e.alarms.kinds(); len(kinds) != 0 {
		t.Errorf("alarms: %v", kinds)
	}
}

// One that lost the lead while it asked its witnesses does not write.
func TestALostLeadEndsTheRound(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var lead leader
	lead.held.Store(true)
	p := e.publisherWith(publish.Config{Lead: &lead, Witnesses: []publish.Witness{losing{newWitness(t, t.TempDir(), e.signer.vkey).client(t), &lead}}})
	e.grow(2)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.store.Get(t.Context(), audit.CheckpointPath); err == nil {
		t.Error("it wrote a checkpoint without the lead")
	}
	if kinds := e.alarms.kinds(); slices.Contains(kinds, publish.AlarmPublish) {
		t.Errorf("a lost lead raised an alarm: %v", kinds)
	}
}

// losing is a witness that refuses, and by whose answer the lead is lost.
type losing struct {
	*publish.WitnessClient
	lead *leader
}

func (l losing) Cosign(context.Context, []byte, uint64, [][]byte) ([]byte, error) {
	l.lead.held.Store(false)
	return nil, publish.ErrRefused
}

func wantSize(t *testing.T, e *env, want uint64) {
	t.Helper()
	if got := e.checkpoint().Size; got != want {
		t.Errorf("published size %d, want %d", got, want)
	}
}
