package backup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/backup"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/store"
)

func migrate(ctx context.Context, dsn string) error {
	if err := pglog.Migrate(ctx, dsn); err != nil {
		return err
	}
	return store.Migrate(ctx, dsn)
}

const inst = "demo-bank"

// house is a migrated database.
type house struct {
	t    *testing.T
	db   *pgtest.DB
	conn *pgx.Conn
}

func open(t *testing.T) *house {
	t.Helper()
	db := pgtest.New(t, "backup", migrate)
	conn, err := pgx.Connect(t.Context(), db.Admin)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return &house{t, db, conn}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) sql(statement string, args ...any) {
	h.t.Helper()
	_, err := h.conn.Exec(h.t.Context(), statement, args...)
	must(h.t, err)
}

// file stores a record of which only what a backup looks at makes sense.
func (h *house) file(id string) {
	h.t.Helper()
	h.sql(`insert into sealtrail.complaint (institution, id, revision, schema_version, generation, complaint_no, source, source_id, channel,
		received_at, received_evidence, recorded_at, state, stage, sensitivity, level, type, business_code, product_code, reason_code, branch,
		department, assignee, party_type, id_type, third_party, regulator_ref, referral, group_flag, amount_band, holds, milestones, performers,
		extension_days, under_review, earlier_handlers, respondent_bidx, due_at, due_clock, due_provisional, manifest, narrative_sealed)
		values ($1, $2::uuid, 1, 1, 1, $2::uuid::text, 'phone', $2::uuid::text, 'phone', now(), 'typed', now(), 'closed', 'closed', 'ordinary', 'general', '', '', '', '', '',
		'', '', '', '', '', '', '', false, '', '{}', '{}', '{}', '{}', false, '{}', '{}', 'infinity', '', false, '\x01ff005c0a09', '\x00ff0a5c')`, inst, id)
	h.sql("insert into keys.wrapped values ($1, $2::uuid, 1, 'vault:v1:'||$2::uuid::text, '\\x01', 1)", inst, id)
}

// log appends n entries and gives them their indexes.
func (h *house) log(n int) {
	h.t.Helper()
	pool, err := pgxpool.New(h.t.Context(), h.db.Admin)
	must(h.t, err)
	defer pool.Close()
	_, err = pglog.EnsureLog(h.t.Context(), pool, pglog.Shard{Institution: inst, Year: time.Now().UTC().Year(), Origin: "test/log"})
	must(h.t, err)
	log, err := pglog.New(h.t.Context(), pglog.Config{Pool: pool, Institution: inst})
	must(h.t, err)
	ctx, stop := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	alias, err := log.Alias(ctx, "operator")
	must(h.t, err)
	for range n {
		_, err := log.Append(ctx, audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "backup.made", Actor: audit.Actor{ID: alias}, Subject: "backup:data"})
		must(h.t, err)
	}
	stop()
	must(h.t, <-ended)
	seq, err := pglog.NewSequencer(h.t.Context(), pglog.SequencerConfig{Pool: pool, Institution: inst})
	must(h.t, err)
	_, err = seq.Step(h.t.Context())
	must(h.t, err)
}

// backup writes all parts.
func (h *house) backup() (folders map[backup.Part]string, written map[backup.Part]*backup.Manifest) {
	h.t.Helper()
	dir := h.t.TempDir()
	folders = map[backup.Part]string{}
	for _, p := range backup.Parts() {
		folders[p] = filepath.Join(dir, string(p))
	}
	written, err := backup.Write(h.t.Context(), h.conn, folders, time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC))
	must(h.t, err)
	return folders, written
}

func (h *house) restore(folders map[backup.Part]string) error {
	return backup.Read(h.t.Context(), h.conn, folders)
}

const (
	first  = "00000000-0000-4000-8000-000000000001"
	second = "00000000-0000-4000-8000-000000000002"
	third  = "00000000-0000-4000-8000-000000000003"
	fourth = "00000000-0000-4000-8000-000000000004"
	fifth  = "00000000-0000-4000-8000-000000000005"
)

// TestABackupGivesBackTheSame: the backup of a restored database is the same
// backup, byte for byte, and the log in it verifies and goes on.
func TestABackupGivesBackTheSame(t *testing.T) {
	t.Parallel()
	from, to := open(t), open(t)
	from.file(first)
	from.file(second)
	from.log(300)
	folders, written := from.backup()
	must(t, to.restore(folders))
	_, again := to.backup()
	if diff := cmp.Diff(written, again); diff != "" {
		t.Errorf("the restored database is another one (-first +second):\n%s", diff)
	}
	if n := written[backup.Log].Heads[0].Size; n != 300 {
		t.Errorf("the log's head says %d leaves, want 300", n)
	}
	pool, err := pgxpool.New(t.Context(), to.db.Admin)
	must(t, err)
	defer pool.Close()
	to.log(2)
	findings, err := pglog.Check(t.Context(), pool, inst, nil)
	must(t, err)
	if len(findings) > 0 {
		t.Errorf("the restored log, after two more entries: %v", findings)
	}
}

// TestRestoreRefuses what is damaged, unfinished, of another part or schema, or
// would overwrite something. Nothing is changed then.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	from := open(t)
	from.file(first)
	from.log(3)
	folders, written := from.backup()
	edit := func(part backup.Part, file string, change func([]byte) []byte) func(*testing.T) {
		return func(t *testing.T) {
			path := filepath.Join(folders[part], file)
			old, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, change(append([]byte(nil), old...)), 0o600))
			t.Cleanup(func() { must(t, os.WriteFile(path, old, 0o600)) })
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for _, tc := range []struct {
		name  string
		spoil func(*testing.T)
		want  error
	}{
		{"a flipped byte", edit(backup.Data, "sealtrail.complaint.copy", flip), backup.ErrDamaged},
		{"a cut file", edit(backup.Keys, "keys.wrapped.copy", func(b []byte) []byte { return b[:len(b)-1] }), backup.ErrDamaged},
		{"a longer file", edit(backup.Log, "audit.entry.copy", func(b []byte) []byte { return append(b, '\n') }), backup.ErrDamaged},
		{"no manifest", edit(backup.Keys, "part.json", func([]byte) []byte { return nil }), backup.ErrNoBackup},
		{"another schema", edit(backup.Data, "part.json", func(b []byte) []byte {
			return []byte(strings.Replace(string(b), `"public.sealtrail_migrations": `, `"public.sealtrail_migrations": 9`, 1))
		}), backup.ErrSchema},
		{"a file elsewhere", edit(backup.Data, "part.json", func(b []byte) []byte {
			return []byte(strings.Replace(string(b), `"file": "`, `"file": "../`, 1))
		}), backup.ErrDamaged},
	} {
		t.Run(tc.name, func(t *testing.T) {
			to := open(t)
			tc.spoil(t)
			if err := to.restore(folders); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			var rows int
			must(t, to.conn.QueryRow(t.Context(), "select (select count(*) from sealtrail.complaint) + (select count(*) from audit.entry)").Scan(&rows))
			if rows != 0 {
				t.Errorf("%d rows were restored all the same", rows)
			}
		})
	}
	swapped := map[backup.Part]string{backup.Data: folders[backup.Keys], backup.Log: folders[backup.Log], backup.Keys: folders[backup.Keys]}
	if err := open(t).restore(swapped); !errors.Is(err, backup.ErrNoBackup) {
		t.Errorf("the keys in place of the data: got %v, want ErrNoBackup", err)
	}
	if err := from.restore(folders); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("into a database with rows: got %v, want ErrNotEmpty", err)
	}
	if _, err := backup.Write(t.Context(), from.conn, folders, time.Now()); !errors.Is(err, backup.ErrExists) {
		t.Errorf("over an older backup: got %v, want ErrExists", err)
	}
	for _, m := range written {
		if m.Size() == 0 {
			t.Errorf("part %s is empty", m.Part)
		}
	}
}

// TestReportTellsErasedFromLost restores old records beside newer keys.
func TestReportTellsErasedFromLost(t *testing.T) {
	t.Parallel()
	from, to := open(t), open(t)
	for _, id := range []string{first, second, third, fourth} {
		from.file(id)
	}
	from.log(1)
	old, _ := from.backup()
	from.sql("select keys.destroy($1, $2, '', 1, 'shred', now())", inst, second)
	from.sql("insert into keys.wrapped values ($1, $2, 2, 'vault:v2:new', '\\x02', 2)", inst, third)
	from.sql("select keys.destroy($1, $2, '', 1, 'generation', now())", inst, third)
	from.sql("delete from keys.wrapped where complaint = $1", fourth)
	from.file(fifth)
	now, _ := from.backup()
	must(t, to.restore(map[backup.Part]string{backup.Data: old[backup.Data], backup.Log: old[backup.Log], backup.Keys: now[backup.Keys]}))
	got, err := backup.Reports(t.Context(), to.conn)
	must(t, err)
	want := []backup.Report{{Institution: inst, Records: 4, Readable: 1, Erased: 1, Superseded: 1, Lost: 1, Orphans: 1, OldestKeyVersion: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}
