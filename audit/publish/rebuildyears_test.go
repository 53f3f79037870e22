package publish_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/pgtest"
)

// yearly signs the log of a year.
type yearly struct {
	key          ed25519.PrivateKey
	origin, vkey string
}

func (s yearly) Name() string        { return s.origin }
func (s yearly) VerifierKey() string { return s.vkey }
func (s yearly) Sign(_ context.Context, msg []byte) ([]byte, error) {
	return ed25519.Sign(s.key, msg), nil
}

// years is an institution with the logs of several years.
type years struct {
	*env
	keys    string // one a line
	signers map[int]yearly
}

func shardOf(year int) pglog.Shard {
	return pglog.Shard{Institution: inst, Year: year, Origin: fmt.Sprintf("sealtrail.example/demo-bank/%d", year)}
}

// open opens the log of a year, appends to it and publishes every log.
func (y *years) open(year, entries int) {
	y.t.Helper()
	if _, err := pglog.EnsureLog(y.t.Context(), y.pool, shardOf(year)); err != nil {
		y.t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		y.t.Fatal(err)
	}
	s := yearly{key: private, origin: shardOf(year).Origin}
	if s.vkey, err = note.NewEd25519VerifierKey(s.origin, public); err != nil {
		y.t.Fatal(err)
	}
	y.keys += s.vkey + "\n"
	y.signers[year] = s
	y.grow(entries)
	for year, s := range y.signers {
		y.publish(year, s)
	}
}

func (y *years) publish(year int, s yearly) {
	y.t.Helper()
	folder, err := publish.NewFolder(filepath.Join(y.root, inst, fmt.Sprint(year)))
	if err != nil {
		y.t.Fatal(err)
	}
	p, err := publish.New(y.t.Context(), publish.Config{Source: pglog.NewTree(y.pool, shardOf(year)), Store: folder, Signer: s, Alarm: y.alarms.add})
	if err != nil {
		y.t.Fatal(err)
	}
	if err := p.Publish(y.t.Context()); err != nil {
		y.t.Fatal(err)
	}
}

// TestTheLogsOfSeveralYearsAreRebuilt: from the state of the first year, in which the second log was not open yet, and from
// nothing. The first log's end, its successor's first entry and the trails across both are what they were.
func TestTheLogsOfSeveralYearsAreRebuilt(t *testing.T) {
	t.Parallel()
	y := &years{env: &env{t: t, db: pgtest.New(t, "audit", pglog.Migrate), root: t.TempDir(), alarms: &alarms{}}, signers: map[int]yearly{}}
	var err error
	if y.pool, err = pgxpool.New(t.Context(), y.db.App); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(y.pool.Close)
	if y.log, err = pglog.New(t.Context(), pglog.Config{Pool: y.pool, Institution: inst}); err != nil {
		t.Fatal(err)
	}
	y.background(y.log.Run)
	if y.seq, err = pglog.NewSequencer(t.Context(), pglog.SequencerConfig{Pool: y.pool, Institution: inst}); err != nil {
		t.Fatal(err)
	}
	y.open(2025, 40)
	y.snapshot()
	y.grow(10)
	y.open(2026, 300)
	want := y.contents()
	rebuild := func(db *pgtest.DB) (*pglog.Rebuilt, error) {
		conn, err := pgx.Connect(t.Context(), db.Admin)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		rebuilt, _, err := publish.Rebuild(t.Context(), pglog.RebuildConfig{Conn: conn, Institution: inst, Published: os.DirFS(y.root), Operator: "operator"},
			verify.Options{VerifierKey: y.keys})
		return rebuilt, err
	}
	y.putBack()
	if rebuilt, err := rebuild(y.db); err != nil || len(rebuilt.Logs) != 2 || rebuilt.Logs[0].Had != 40 || rebuilt.Logs[1].Had != 0 {
		t.Fatalf("from the first year: %+v, %v", rebuilt, err)
	}
	if diff := cmp.Diff(want, withoutRebuilt(t, y.env, y.contents()), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("from the first year (-lost +rebuilt):\n%s", diff)
	}
	empty := &env{t: t, db: pgtest.New(t, "audit", pglog.Migrate)}
	if _, err := rebuild(empty.db); err != nil {
		t.Fatal(err)
	}
	if empty.pool, err = pgxpool.New(t.Context(), empty.db.App); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(empty.pool.Close)
	if diff := cmp.Diff(want, withoutRebuilt(t, empty, empty.contents()), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("from nothing (-lost +rebuilt):\n%s", diff)
	}
}
