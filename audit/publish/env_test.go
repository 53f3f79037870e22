package publish_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const inst = "demo-bank"

var shard = pglog.Shard{Institution: inst, Year: 2026, Origin: "sealtrail.example/demo-bank/2026"}

// signer is a log key in memory, with switches to fail.
type signer struct {
	key   ed25519.PrivateKey
	vkey  string
	calls atomic.Int64
	fail  atomic.Bool
	lie   atomic.Bool
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := note.NewEd25519VerifierKey(shard.Origin, public)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key: private, vkey: vkey}
}

func (s *signer) Name() string        { return shard.Origin }
func (s *signer) VerifierKey() string { return s.vkey }
func (s *signer) Sign(_ context.Context, msg []byte) ([]byte, error) {
	s.calls.Add(1)
	if s.fail.Load() {
		return nil, errors.New("key service away")
	}
	sig := ed25519.Sign(s.key, msg)
	if s.lie.Load() {
		sig[3] ^= 1
	}
	return sig, nil
}

// fullStore is a Folder whose disk can be full: from the n-th write on, Put fails.
type fullStore struct {
	*publish.Folder
	left atomic.Int64 // writes until the disk is full; negative: never
}

func (s *fullStore) Put(ctx context.Context, path string, contents []byte) error {
	if left := s.left.Load(); left >= 0 {
		if left == 0 {
			return fmt.Errorf("publishing %s: %w", path, syscall.ENOSPC)
		}
		s.left.Add(-1)
	}
	return s.Folder.Put(ctx, path, contents)
}

// env is a database, a published folder and a publisher.
type env struct {
	t      testing.TB
	db     *pgtest.DB
	pool   *pgxpool.Pool
	log    *pglog.Log
	seq    *pglog.Sequencer
	root   string // of all published logs
	store  *fullStore
	signer *signer
	alarms *alarms
}

type alarms struct {
	mu   sync.Mutex
	list []publish.Alarm
}

func (a *alarms) add(_ context.Context, alarm publish.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, alarm)
}

func (a *alarms) kinds() (kinds []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.list {
		kinds = append(kinds, x.Kind)
	}
	return kinds
}

func newEnv(t testing.TB) *env {
	t.Helper()
	e := &env{t: t, db: pgtest.New(t, "audit", pglog.Migrate), root: t.TempDir(), signer: newSigner(t), alarms: &alarms{}}
	e.connect()
	folder, err := publish.NewFolder(filepath.Join(e.root, filepath.FromSlash(shard.Folder())))
	if err != nil {
		t.Fatal(err)
	}
	e.store = &fullStore{Folder: folder}
	e.store.left.Store(-1)
	return e
}

func (e *env) connect() {
	e.t.Helper()
	var err error
	if e.pool, err = pgxpool.New(context.Background(), e.db.App); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(e.pool.Close)
	if _, err := pglog.EnsureLog(context.Background(), e.pool, shard); err != nil {
		e.t.Fatal(err)
	}
	if e.log, err = pglog.New(context.Background(), pglog.Config{Pool: e.pool, Institution: inst}); err != nil {
		e.t.Fatal(err)
	}
	e.background(e.log.Run)
	if e.seq, err = pglog.NewSequencer(context.Background(), pglog.SequencerConfig{Pool: e.pool, Institution: inst}); err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil {
			e.t.Errorf("background work: %v", err)
		}
	})
	e.t.Cleanup(func() { cancel(); wg.Wait() })
}

// publisher returns a new Publisher, as a process that just started has.
func (e *env) publisher(witnesses ...publish.Witness) *publish.Publisher {
	e.t.Helper()
	return e.publisherWith(publish.Config{Witnesses: witnesses})
}

func (e *env) publisherWith(cfg publish.Config) *publish.Publisher {
	e.t.Helper()
	cfg.Source, cfg.Store, cfg.Signer, cfg.Alarm = pglog.NewTree(e.pool, shard), e.store, e.signer, e.alarms.add
	p, err := publish.New(context.Background(), cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	return p
}

// grow appends n entries over a few trails and sequences them.
func (e *env) grow(n int) {
	e.t.Helper()
	for at := 0; at < n; at += 100 {
		if _, err := e.log.Append(context.Background(), bodies(min(100, n-at), at)...); err != nil {
			e.t.Fatal(err)
		}
	}
	for {
		n, err := e.seq.Step(context.Background())
		if err != nil {
			e.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// bodies are n entries over a few trails, numbered from.
func bodies(n, from int) []audit.Body {
	list := make([]audit.Body, n)
	for i := range list {
		list[i] = body(fmt.Sprintf("complaint:%d", i%7), from+i)
	}
	return list
}

func body(subject string, n int) audit.Body {
	return audit.Body{
		At: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), Stage: audit.StageIntent, Kind: "access.reveal",
		Actor:   audit.Actor{ID: "a-7q2m3kd5x4", Roles: []string{"handler"}, Auth: "oidc"},
		Subject: subject, Purpose: "handle", Fields: []string{"phone"},
		Decision: &audit.DecisionRef{Result: audit.ResultAllow, Rule: "R3", ID: fmt.Sprintf("d-%d", n)}, Net: "office",
	}
}

// checkpoint opens the published checkpoint with the log's key; zero if there is none.
func (e *env) checkpoint() audit.Checkpoint {
	e.t.Helper()
	raw, err := e.store.Get(context.Background(), audit.CheckpointPath)
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Checkpoint{}
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return e.open(raw)
}

func (e *env) open(raw []byte) audit.Checkpoint {
	e.t.Helper()
	v, err := note.NewVerifier(e.signer.vkey)
	if err != nil {
		e.t.Fatal(err)
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		e.t.Fatal(err)
	}
	c, err := audit.ParseCheckpoint([]byte(n.Text))
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

// wantWhole re-hashes every published entry up to the published checkpoint.
func (e *env) wantWhole(size uint64) {
	e.t.Helper()
	c := e.checkpoint()
	if c.Size != size {
		e.t.Fatalf("published size %d, want %d", c.Size, size)
	}
	tree := &audit.Tree{}
	full, width := audit.TileCount(size, 0)
	for n := uint64(0); n <= full; n++ {
		w := 0
		if n == full {
			if w = width; w == 0 {
				break
			}
		}
		raw, err := e.store.Get(context.Background(), audit.EntriesPath(n, w))
		if err != nil {
			e.t.Fatal(err)
		}
		entries, err := audit.DecodeBundle(raw)
		if err != nil {
			e.t.Fatal(err)
		}
		for _, entry := range entries {
			if _, err := audit.ParseLeaf(entry); err != nil {
				e.t.Fatal(err)
			}
			if err := tree.Append(audit.LeafHash(entry)); err != nil {
				e.t.Fatal(err)
			}
		}
	}
	if tree.Size() != size || tree.Root() != c.Root {
		e.t.Errorf("bundles give another root than the checkpoint of size %d", size)
	}
	loaded, err := audit.LoadTree(size, func(level int, index uint64, width int) ([]byte, error) {
		return e.store.Get(context.Background(), audit.TilePath(level, index, width))
	})
	if err != nil || loaded.Root() != c.Root {
		e.t.Errorf("tiles give another root than the checkpoint of size %d: %v", size, err)
	}
}

// admin runs statements as superuser with the fences down.
func (e *env) admin(statements ...string) {
	e.t.Helper()
	conn, err := pgx.Connect(context.Background(), e.db.Admin)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	all := append([]string{"begin", "set local audit.migration = 'on'", "alter table audit.entry disable trigger all", "alter table audit.leaf disable trigger all"}, statements...)
	all = append(all, "alter table audit.entry enable always trigger refuse_change", "alter table audit.leaf enable always trigger refuse_change", "commit")
	if _, err := conn.Exec(context.Background(), strings.Join(all, ";")); err != nil {
		e.t.Fatal(err)
	}
}

// check runs pglog.Check against the published folder.
func (e *env) check() []pglog.Finding {
	e.t.Helper()
	findings, err := pglog.Check(context.Background(), e.pool, inst, os.DirFS(e.root))
	if err != nil {
		e.t.Fatal(err)
	}
	return findings
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
