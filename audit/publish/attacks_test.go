package publish_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// sentry is who notices an attack.
type sentry func(e *env) error

// attack is something that somebody with every right on one place does to a log of 300 published and 5 further entries, and who
// must notice.
type attack struct {
	name string
	sql  string            // as superuser with the fences down
	do   func(e *env)      // or anything else
	seen sentry            // nil if it was noticed
	also map[string]sentry // who else must, by name
}

// checkSays demands a finding of Check; index < 0: any.
func checkSays(table, code string, index int) sentry {
	return func(e *env) error {
		findings := e.check()
		for _, f := range findings {
			if f.Table == table && f.Code == code && (index < 0 || f.HasIndex && f.Index == uint64(index)) {
				return nil
			}
		}
		return fmt.Errorf("Check does not say %s %s %d:\n%s", table, code, index, sayAll(findings))
	}
}

// selfCheckSays demands a weakness.
func selfCheckSays(code, object string) sentry {
	return func(e *env) error {
		weak, err := pglog.SelfCheck(context.Background(), e.pool)
		if slices.ContainsFunc(weak, func(w pglog.Weakness) bool { return w.Code == code && w.Object == object }) {
			return nil
		}
		return fmt.Errorf("SelfCheck does not say %s %s: %v, %w", code, object, weak, err)
	}
}

// verifierSays demands a finding of the offline verifier with one of these codes; index < 0: any.
func verifierSays(code string, index int) sentry {
	return func(e *env) error {
		rep, err := verify.Verify(context.Background(), os.DirFS(e.folder()), verify.Options{VerifierKey: e.signer.vkey})
		if err != nil {
			return err
		}
		for _, s := range rep.Steps {
			for _, f := range s.Findings {
				if slices.Contains(strings.Fields(code), f.Code) && (index < 0 || f.From != nil && *f.From == uint64(index)) {
					return nil
				}
			}
		}
		return fmt.Errorf("the verifier does not say %s %d: %+v", code, index, rep.Steps)
	}
}

// publisherRefuses demands that a publisher that starts now signs nothing.
func publisherRefuses(want error) sentry {
	return func(e *env) error {
		calls := e.signer.calls.Load()
		if err := e.publisher().Publish(context.Background()); !errors.Is(err, want) {
			return fmt.Errorf("the publisher says %w, not %w", err, want)
		}
		if e.signer.calls.Load() != calls {
			return errors.New("the publisher signed")
		}
		return nil
	}
}

func (e *env) folder() string { return filepath.Join(e.root, filepath.FromSlash(shard.Folder())) }

// flipFile turns one bit of a published file.
func flipFile(path string, at int) func(*env) {
	return func(e *env) {
		name := filepath.Join(e.folder(), filepath.FromSlash(path))
		raw, err := os.ReadFile(name)
		if err != nil {
			e.t.Fatal(err)
		}
		raw[at] ^= 4
		if err := os.WriteFile(name, raw, 0o644); err != nil {
			e.t.Fatal(err)
		}
	}
}

// flipped is SQL that turns one bit of a bytea column.
func flipped(table, column string, at int, where string) string {
	return fmt.Sprintf("update audit.%s set %s = set_byte(%[2]s, %d, get_byte(%[2]s, %[3]d) # 4) where %s", table, column, at, where)
}

// signElsewhere publishes a checkpoint of another history, signed with the real key.
func signElsewhere(size uint64) func(*env) {
	return func(e *env) {
		root := audit.LeafHash([]byte("another history"))
		text := audit.Checkpoint{Origin: shard.Origin, Size: size, Root: root}
		signed, err := publish.Sign(context.Background(), e.signer, text)
		if err != nil {
			e.t.Fatal(err)
		}
		for _, path := range []string{audit.CheckpointSizePath(size), audit.CheckpointPath} {
			if err := e.store.Put(context.Background(), path, signed); err != nil {
				e.t.Fatal(err)
			}
		}
	}
}

// otherBytes puts a published entry into another spelling of the same value, and everything that hangs on it with it.
func otherBytes(e *env) {
	path := audit.EntriesPath(0, 0)
	raw, err := e.store.Get(context.Background(), path)
	if err != nil {
		e.t.Fatal(err)
	}
	entries, err := audit.DecodeBundle(raw)
	if err != nil {
		e.t.Fatal(err)
	}
	entries[30] = append([]byte("{ "), entries[30][1:]...)
	if raw, err = audit.EncodeBundle(entries); err == nil {
		err = e.store.Put(context.Background(), path, raw)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

const published, waiting = 300, 5

var attacks = []attack{
	{name: "superuser UPDATE", sql: "update audit.entry set subject = 'complaint:other' where id = 21", seen: checkSays("audit.entry", pglog.FoundChanged, 20)},
	{name: "superuser DELETE", sql: "delete from audit.entry where id = 21", seen: checkSays("audit.entry", pglog.FoundMissing, 20)},
	{name: "TRUNCATE of a partition", sql: "alter table audit.entry_000000 disable trigger all; truncate audit.entry_000000", seen: checkSays("audit.entry", pglog.FoundMissing, 299),
		also: map[string]sentry{"self-check": selfCheckSays(pglog.WeakFence, "audit.entry_000000")}},
	{name: "TRUNCATE of the leaves", sql: "alter table audit.leaf_000000 disable trigger all; truncate audit.leaf_000000", seen: checkSays("audit.leaf", pglog.FoundMissing, 0),
		also: map[string]sentry{"publisher": publisherRefuses(pglog.ErrTampered)}},
	{name: "DETACH", sql: "alter table audit.entry detach partition audit.entry_000000", seen: checkSays("audit.entry", pglog.FoundMissing, 0),
		also: map[string]sentry{"self-check": selfCheckSays(pglog.WeakPartition, "audit.entry_000000")}},
	{name: "DROP TRIGGER", sql: "drop trigger refuse_truncate on audit.tree", seen: selfCheckSays(pglog.WeakFence, "audit.tree")},
	{name: "pending row deleted", sql: "delete from audit.pending where id = (select max(id) from audit.pending)", seen: checkSays("audit.pending", pglog.FoundOrphan, -1)},
	{name: "pending row and entry deleted", sql: "delete from audit.pending where id = 302; delete from audit.entry where id = 302", seen: receiptConvicts(302)},

	{name: "flip: entry body", sql: flipped("entry", "body", 200, "id = 124"), seen: checkSays("audit.entry", pglog.FoundChanged, 123)},
	{name: "flip: body of a pending entry", sql: flipped("entry", "body", 3, "id = 303"), seen: checkSays("audit.entry", pglog.FoundRejected, -1)},
	{name: "flip: leaf hash", sql: flipped("leaf", "hash", 5, "idx = 9"), seen: checkSays("audit.leaf", pglog.FoundChanged, 9)},
	{name: "flip: leaf's former hash", sql: flipped("leaf", "prev", 5, "idx = 9"), seen: checkSays("audit.leaf", pglog.FoundChanged, 9)},
	{name: "flip: leaf's way back", sql: "update audit.leaf set prev_id = prev_id # 4 where idx = 50", seen: checkSays("audit.leaf", pglog.FoundTrail, 50)},
	{name: "flip: tree's compact range", sql: flipped("tree", "compact", 40, "true"), seen: checkSays("audit.tree", pglog.FoundChanged, -1)},
	{name: "flip: tree's root", sql: flipped("tree", "root", 1, "true"), seen: checkSays("audit.tree", pglog.FoundRoot, -1),
		also: map[string]sentry{"publisher": publisherRefuses(publish.ErrFork)}},
	{name: "flip: trail's head", sql: flipped("trail", "last_hash", 1, "subject = 'complaint:3'"), seen: checkSays("audit.trail", pglog.FoundTrail, -1)},
	{name: "flip: reserved root", sql: flipped("checkpoint", "root", 1, "true"), seen: checkSays("audit.checkpoint", pglog.FoundRoot, 299)},
	{name: "flip: signed note in the database", sql: flipped("checkpoint", "note", 45, "true"), seen: checkSays("audit.checkpoint", pglog.FoundChanged, 299)},
	{name: "flip: hash tile", do: flipFile(audit.TilePath(0, 0, 0), 32*7), seen: verifierSays("tile_altered", 7)},
	{name: "flip: entry bundle", do: flipFile(audit.EntriesPath(0, 0), 1000), seen: verifierSays("entry_altered", -1), also: map[string]sentry{"trail check": checkSays("published", pglog.FoundChanged, -1)}},
	{name: "flip: checkpoint file", do: flipFile(audit.CheckpointPath, 45), seen: verifierSays("checkpoint_signature checkpoint_malformed", -1)},
	{name: "flip: stored checkpoint", do: flipFile(audit.CheckpointSizePath(published), 45), seen: verifierSays("checkpoint_signature checkpoint_malformed", -1)},
	{name: "flip: blob", do: func(e *env) {
		hash, err := publish.PutBlob(context.Background(), e.store, []byte("a policy bundle"))
		if err != nil {
			e.t.Fatal(err)
		}
		flipFile(audit.BlobPath(hash), 3)(e)
	}, seen: verifierSays("blob_altered", -1)},

	{name: "the key signs another history of the same size", do: signElsewhere(published), seen: verifierSays("root", -1), also: map[string]sentry{"publisher": publisherRefuses(publish.ErrFork)}},
	{name: "the key signs a longer history", do: signElsewhere(published + 50), seen: checkSays("audit.tree", pglog.FoundBehind, -1), also: map[string]sentry{"publisher": publisherRefuses(publish.ErrBehind)}},
	{name: "the same value in other bytes", do: otherBytes, seen: verifierSays("entry_altered", 30)},
}

// receiptConvicts demands that a receipt's holder finds the entry gone: nothing else can know of an entry that never had an index.
func receiptConvicts(id uint64) sentry {
	return func(e *env) error {
		if _, err := e.log.Entry(context.Background(), id); !errors.Is(err, pglog.ErrNotFound) {
			return fmt.Errorf("entry %d: %w", id, err)
		}
		return nil
	}
}

// Every attack of the list on one running log, and who notices. Others have tests of their own: yesterday's database
// (TestRestoredDatabaseIsNotSigned, TestYesterdaysDatabaseIsRefusedAndRebuilt), a full disk (TestFullDisks,
// TestDiskFullAtAnyWriteNeverPublishesMoreThanIsWritten), a flipped heads file (package evidence), a witness's memory.
func TestAttacksAreNoticed(t *testing.T) {
	t.Parallel()
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.grow(published)
			if err := e.publisher().Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := e.log.Append(t.Context(), bodies(waiting, published)...); err != nil {
				t.Fatal(err)
			}
			if findings := e.check(); findings != nil {
				t.Fatalf("before: %s", sayAll(findings))
			}
			if a.sql != "" {
				e.admin(strings.Split(a.sql, "; ")...)
			} else {
				a.do(e)
			}
			if err := a.seen(e); err != nil {
				t.Error(err)
			}
			for name, seen := range a.also {
				if err := seen(e); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// What the service's own role may not do to the queue.
func TestPendingRowsAreNotTheServicesToDelete(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, err := e.log.Append(t.Context(), bodies(2, 0)...); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"delete from audit.pending", "update audit.pending set id = id + 1", "truncate audit.pending", "insert into audit.pending values ('demo-bank', 9)"} {
		if _, err := e.pool.Exec(t.Context(), sql); !isRefused(err) {
			t.Errorf("%s: %v, want a refusal", sql, err)
		}
	}
}

// PostgreSQL's clock is set back an hour (to the log it is as if the last leaf came from an hour ahead), and so is the service's:
// seq_at does not go back, at says what the service's clock said, and everything verifies.
func TestAClockSetBackAnHour(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(3)
	e.admin("update audit.tree set last_seq_at = date_trunc('second', clock_timestamp()) + interval '1 hour'")
	late := body("complaint:1", 4)
	late.At = late.At.Add(-time.Hour)
	if _, err := e.log.Append(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	e.grow(2)
	var times []time.Time
	rows, err := e.pool.Query(t.Context(), "select seq_at from audit.leaf order by idx")
	if err == nil {
		times, err = pgx.CollectRows(rows, pgx.RowTo[time.Time])
	}
	if err != nil || len(times) != 6 || !slices.IsSortedFunc(times, time.Time.Compare) || time.Until(times[5]) < 50*time.Minute {
		t.Errorf("seq_at: %v, %v", times, err)
	}
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := e.verified(t.Context()); err != nil || n != 6 {
		t.Errorf("verified %d, %v", n, err)
	}
	if findings := e.check(); findings != nil {
		t.Errorf("Check: %s", sayAll(findings))
	}
}
