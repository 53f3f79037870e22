package keeping_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/keeping"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
	"github.com/sealtrail/sealtrail/policy"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	vaulttest.Cleanup()
	os.Exit(code)
}

func migrate(ctx context.Context, dsn string) error {
	if err := pglog.Migrate(ctx, dsn); err != nil {
		return err
	}
	return store.Migrate(ctx, dsn)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// house is a door on a real PostgreSQL and a real Vault.
type house struct {
	*custody.Door
	t     testing.TB
	name  string
	vault *vaulttest.Vault
	admin *pgxpool.Pool
	keys  *keyring.Keyring
	log   *pglog.Log
	tr    *transit.Transit
	ahead time.Duration // what the door's clock is ahead of the real one
	mu    sync.Mutex
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.ahead)
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ahead += d
}

// open builds a door; between is put between it and Vault, nil for nothing.
func open(t testing.TB, vault *vaulttest.Vault, between func(custody.Master) custody.Master) *house {
	t.Helper()
	ctx := t.Context()
	db := pgtest.New(t, "keeping", migrate)
	h := &house{t: t, name: vaulttest.Name("bank"), vault: vault}
	pool, err := pgxpool.New(ctx, db.App)
	must(t, err)
	t.Cleanup(pool.Close)
	h.admin, err = pgxpool.New(ctx, db.Admin)
	must(t, err)
	t.Cleanup(h.admin.Close)
	must(t, store.SetRequirements(ctx, db.Admin, h.name, map[string]string{"undertaking_version": "2026-1", "pass_mark": "80", "reveals_per_hour": "5"}))
	_, err = pglog.EnsureLog(ctx, pool, pglog.Shard{Institution: h.name, Year: time.Now().UTC().Year(), Origin: "test/" + h.name})
	must(t, err)
	h.log, err = pglog.New(ctx, pglog.Config{Pool: pool, Institution: h.name})
	must(t, err)
	conf := transit.Config{Client: vault.Service(h.name), Institution: h.name}
	h.tr, err = transit.New(conf)
	must(t, err)
	index, err := transit.NewIndexer(conf)
	must(t, err)
	h.keys, err = keyring.New(keyring.Config{Wrapper: h.tr})
	must(t, err)
	var master custody.Master = h.tr
	if between != nil {
		master = between(master)
	}
	h.Door, err = custody.New(ctx, custody.Config{Institution: h.name, Store: store.New(pool), Log: h.log, Policy: engine(t), Keys: h.keys, Index: index,
		Master: master, Calendar: clock.China(), Profile: clock.CNLaw(), Now: h.now})
	must(t, err)
	during(t, h.log.Run)
	during(t, h.Run)
	return h
}

func during(t testing.TB, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a part ended: %v", err)
		}
	})
}

func engine(t testing.TB) *policy.Engine {
	t.Helper()
	var catalogue policy.Catalogue
	for _, f := range complaint.Fields() {
		catalogue.Fields = append(catalogue.Fields, policy.Field{Name: f.Name, Group: f.Group, Class: f.Class})
	}
	e, err := policy.New(t.Context(), policy.Config{Catalogue: catalogue})
	must(t, err)
	return e
}

// root is Vault's record key in the hands of somebody who may do anything.
func (h *house) root() vaultserver.RecordKey {
	return vaultserver.RecordKey{Client: h.vault.Client(h.vault.RootToken), Institution: h.name}
}

// rotate makes a new version as an operator does: in Vault, then in the log.
func (h *house) rotate() int {
	h.t.Helper()
	must(h.t, h.root().Rotate(h.t.Context()))
	info, err := h.KeyInfo(h.t.Context(), "record")
	must(h.t, err)
	_, err = h.NoteKey(h.t.Context(), info.Name, "key.rotated", audit.Facts{"version": info.LatestVersion})
	must(h.t, err)
	return info.LatestVersion
}

// token is a custodian's: for as many calls as named, under a policy of ours.
func (h *house) token(policy string, uses int) *api.Client {
	h.t.Helper()
	made, err := h.vault.Client(h.vault.RootToken).Auth().Token().CreateOrphanWithContext(h.t.Context(),
		&api.TokenCreateRequest{Policies: []string{policy}, NoDefaultPolicy: true, NumUses: uses, TTL: "15m"})
	must(h.t, err)
	return h.vault.Client(made.Auth.ClientToken)
}

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

const record, file, intake = keyring.KindRecord, keyring.KindFile, keyring.KindIntake

func (h *house) keyID(kind byte, n int) keyring.RecordID {
	switch kind {
	case file:
		return keyring.RecordID{Institution: h.name, Record: id(n), Generation: 1, Kind: kind}
	case intake:
		return keyring.RecordID{Institution: h.name, Record: "intake", Generation: uint32(n), Kind: kind}
	}
	return keyring.RecordID{Institution: h.name, Record: id(n), Generation: 1}
}

// tables are where keys of a kind lie, and how one is named there.
var tables = map[byte]struct{ insert, load string }{
	record: {`insert into keys.wrapped (institution, complaint, generation, wrapped, commitment, key_version) values ($1, $2::uuid, 1, $3, $4, $5)`,
		`select wrapped, commitment, key_version from keys.wrapped where institution = $1 and complaint = $2::uuid`},
	file: {`insert into keys.wrapped_file (institution, complaint, file, generation, wrapped, commitment, key_version) values ($1, gen_random_uuid(), $2::uuid, 1, $3, $4, $5)`,
		`select wrapped, commitment, key_version from keys.wrapped_file where institution = $1 and file = $2::uuid`},
	intake: {`insert into keys.intake (institution, version, public, wrapped, commitment, key_version, created_at) values ($1, $2::int, '\x00', $3, $4, $5, now())`,
		`select wrapped, commitment, key_version from keys.intake where institution = $1 and version = $2::int`},
}

// plant makes n new keys of a kind, numbered from first.
func (h *house) plant(kind byte, first, n int) {
	h.t.Helper()
	for ; n > 0; first, n = first+256, n-256 {
		mints := make([]keyring.MintRequest, min(n, 256))
		for i := range mints {
			mints[i] = keyring.MintRequest{ID: h.keyID(kind, first+i), Reference: "test"}
		}
		batch := &pgx.Batch{}
		for i, m := range h.keys.MintBatch(h.t.Context(), mints) {
			must(h.t, m.Err)
			m.Lease.Release()
			batch.Queue(tables[kind].insert, h.name, planted(kind, first+i), m.Wrapped.Blob, m.Wrapped.Commitment[:], m.Wrapped.KeyVersion)
		}
		must(h.t, h.admin.SendBatch(h.t.Context(), batch).Close())
	}
	h.keys.VoidAll("planted")
}

func planted(kind byte, n int) string {
	if kind == intake {
		return strconv.Itoa(n)
	}
	return id(n)
}

// load reads a key; nil if it is gone.
func (h *house) load(kind byte, n int) *keyring.Wrapped {
	h.t.Helper()
	w, commitment := &keyring.Wrapped{}, []byte{}
	err := h.admin.QueryRow(h.t.Context(), tables[kind].load, h.name, planted(kind, n)).Scan(&w.Blob, &commitment, &w.KeyVersion)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	must(h.t, err)
	copy(w.Commitment[:], commitment)
	return w
}

// opens checks that keys are under a version and are still the keys that they
// were: Lend compares the commitment.
func (h *house) opens(kind byte, first, n, version int) {
	h.t.Helper()
	h.keys.VoidAll("test")
	requests := make([]keyring.LendRequest, n)
	for i := range requests {
		w := h.load(kind, first+i)
		if w == nil {
			h.t.Fatalf("key %d of kind %d is gone", first+i, kind)
		}
		if w.KeyVersion != version {
			h.t.Fatalf("key %d of kind %d is under version %d, want %d", first+i, kind, w.KeyVersion, version)
		}
		requests[i] = keyring.LendRequest{ID: h.keyID(kind, first+i), Wrapped: *w, Reference: "test"}
	}
	for i, r := range h.keys.LendBatch(h.t.Context(), requests) {
		if r.Err != nil {
			h.t.Fatalf("key %d of kind %d: %v", first+i, kind, r.Err)
		}
		r.Lease.Release()
	}
}

// entries are the bodies of a kind, the oldest first.
func (h *house) entries(kind string) (list []audit.Body) {
	h.t.Helper()
	rows, err := h.admin.Query(h.t.Context(), `select body from audit.entry where institution = $1 order by id`, h.name)
	must(h.t, err)
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&raw}, func() error {
		b, err := audit.ParseBody(raw)
		if err == nil && b.Kind == kind {
			list = append(list, b)
		}
		return err
	})
	must(h.t, err)
	return list
}

// rewrapped sums what the log says of all runs and what was left at the end.
func (h *house) rewrapped() (keys, remaining int64) {
	h.t.Helper()
	for _, b := range h.entries("key.rewrapped") {
		n, _ := b.Facts.Int("keys")
		keys += n
		remaining, _ = b.Facts.Int("remaining")
	}
	return keys, remaining
}

// left makes the run of a process that was killed count as left.
func (h *house) left() {
	h.t.Helper()
	_, err := h.admin.Exec(h.t.Context(), `update jobs.progress set updated_at = updated_at - interval '1 hour'`)
	must(h.t, err)
}

func (h *house) rewrap(cfg keeping.RewrapConfig) (keeping.Result, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	cfg.Door = h.Door
	return keeping.Rewrap(ctx, cfg)
}
