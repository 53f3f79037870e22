// Package backup writes a database in three parts and reads them back: the
// records, the log, and the wrapped data keys.
//
// One idea: erasing a record is destroying its key, so the keys' copies decide
// how long "erased" is only a word. They are a part of their own, with a
// retention of their own; old records beside the newest keys give back
// everything but what was shredded.
//
// It must never know how to open a field: everything classified that passes
// through here is sealed or wrapped.
package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Part names what a folder holds.
type Part string

// The three parts. One snapshot of the database gives all of them; a restore
// takes each from where it likes.
const (
	Data Part = "data" // schemas sealtrail, people, jobs
	Log  Part = "log"  // schema audit
	Keys Part = "keys" // schema keys
)

// Parts are all of them, in the order in which they are written and restored.
func Parts() []Part { return []Part{Data, Log, Keys} }

func (p Part) schemas() []string {
	switch p {
	case Data:
		return []string{"sealtrail", "people", "jobs"}
	case Log:
		return []string{"audit"}
	case Keys:
		return []string{"keys"}
	}
	return nil
}

// format is the version of the folder's layout.
const format = 1

// manifestFile is written last: a folder without it is no backup.
const manifestFile = "part.json"

// Manifest says what a part's folder holds. It names no value of any record.
type Manifest struct {
	Format  int       `json:"format"`
	Part    Part      `json:"part"`
	Set     string    `json:"set"` // the same in the parts of one snapshot
	TakenAt time.Time `json:"taken_at"`
	// Migrations are the schema versions; a restore wants the very same.
	Migrations map[string]int64 `json:"migrations"`
	Files      []File           `json:"files"`
	// Sequences and Partitions are what a restore makes besides rows.
	Sequences  []Sequence  `json:"sequences,omitempty"`
	Partitions []Partition `json:"partitions,omitempty"`
	// Heads are the logs' sizes and roots at the snapshot (part log).
	Heads []Head `json:"heads,omitempty"`
	// KeyVersions counts wrapped keys by institution and version (part keys).
	KeyVersions []KeyVersion `json:"key_versions,omitempty"`
}

// File is one table: COPY text, UTF-8, columns in the order of Columns.
type File struct {
	Table   string   `json:"table"`
	Name    string   `json:"file"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	Size    int64    `json:"size"`
	SHA256  string   `json:"sha256"`
}

// Sequence is where a sequence stands.
type Sequence struct {
	Name string `json:"name"`
	Last int64  `json:"last"`
}

// Partition is one partition of a table of the log.
type Partition struct {
	Parent string `json:"parent"`
	N      int64  `json:"n"`
}

// Head is the size and root of one log.
type Head struct {
	Institution string `json:"institution"`
	Year        int    `json:"year"`
	Origin      string `json:"origin"`
	Size        int64  `json:"size"`
	Root        string `json:"root"`
}

// KeyVersion counts the keys wrapped by one version of a master key.
type KeyVersion struct {
	Institution string `json:"institution"`
	Version     int    `json:"version"`
	Keys        int64  `json:"keys"`
}

// SHA256 is the digest of the manifest, which lists the digests of all files:
// what the log remembers of a backup.
func (m *Manifest) SHA256() ([sha256.Size]byte, error) {
	raw, err := json.Marshal(m)
	return sha256.Sum256(raw), err
}

// Size is the number of bytes of all files.
func (m *Manifest) Size() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// ErrExists is wrapped when a folder to write to holds something already.
var ErrExists = errors.New("the folder is not empty")

// Write writes the parts named in folders, each into its folder, which is made
// and must be empty. All come from one snapshot; writers are not held up. The
// folder and its files are for their owner only. conn needs to read everything:
// the database's superuser or a member of pg_read_all_data.
func Write(ctx context.Context, conn *pgx.Conn, folders map[Part]string, at time.Time) (map[Part]*Manifest, error) {
	written := map[Part]*Manifest{}
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		versions, err := migrations(ctx, tx)
		if err != nil {
			return err
		}
		set := at.UTC().Format("20060102T150405.000000Z")
		for _, part := range Parts() {
			folder, wanted := folders[part]
			if !wanted {
				continue
			}
			m := &Manifest{Format: format, Part: part, Set: set, TakenAt: at.UTC(), Migrations: versions}
			if err := writePart(ctx, tx, folder, m); err != nil {
				return fmt.Errorf("writing the part %s: %w", part, err)
			}
			written[part] = m
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return written, nil
}

// migrations reads the newest version of each of the two histories of schemas.
func migrations(ctx context.Context, tx pgx.Tx) (map[string]int64, error) {
	versions := map[string]int64{}
	for _, table := range []string{"public.sealtrail_migrations", "audit.migration"} {
		var version int64
		if err := tx.QueryRow(ctx, "select coalesce(max(version_id), 0) from "+table+" where is_applied").Scan(&version); err != nil {
			return nil, fmt.Errorf("reading the schema's version: %w", err)
		}
		versions[table] = version
	}
	return versions, nil
}

func writePart(ctx context.Context, tx pgx.Tx, folder string, m *Manifest) error {
	if err := emptyFolder(folder); err != nil {
		return err
	}
	tables, err := tablesOf(ctx, tx, m.Part)
	if err != nil {
		return err
	}
	for _, table := range tables {
		file, err := writeTable(ctx, tx, folder, table)
		if err != nil {
			return fmt.Errorf("table %s: %w", table.Table, err)
		}
		m.Files = append(m.Files, file)
	}
	if err := m.describe(ctx, tx); err != nil {
		return err
	}
	return writeManifest(folder, m)
}

func emptyFolder(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	found, err := os.ReadDir(folder)
	if err == nil && len(found) > 0 {
		err = ErrExists
	}
	return err
}

// tablesOf lists the tables of a part with their columns. A partitioned table is
// one table; the history of migrations is not a part of anything.
func tablesOf(ctx context.Context, tx pgx.Tx, part Part) ([]File, error) {
	rows, err := tx.Query(ctx, `
		select n.nspname || '.' || c.relname,
			(select array_agg(a.attname::text order by a.attnum) from pg_attribute a
			 where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '')
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = any($1) and c.relkind in ('r', 'p') and not c.relispartition and n.nspname || '.' || c.relname <> 'audit.migration'
		order by 1`, part.schemas())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (File, error) {
		var f File
		err := row.Scan(&f.Table, &f.Columns)
		f.Name = f.Table + ".copy"
		return f, err
	})
}

// writeTable streams one table into a file and to the disk.
func writeTable(ctx context.Context, tx pgx.Tx, folder string, f File) (_ File, err error) {
	out, err := os.OpenFile(filepath.Join(folder, f.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return f, err
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
	}()
	sum := &digesting{w: out, hash: sha256.New()}
	tag, err := tx.Conn().PgConn().CopyTo(ctx, sum, "copy (select "+columnList(f.Columns)+" from "+quoted(f.Table)+") to stdout (format text, encoding 'UTF8')")
	if err != nil {
		return f, err
	}
	f.Rows, f.Size, f.SHA256 = tag.RowsAffected(), sum.n, hex.EncodeToString(sum.hash.Sum(nil))
	return f, out.Sync()
}

// digesting counts and hashes what passes through.
type digesting struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (d *digesting) Write(b []byte) (int, error) {
	n, err := d.w.Write(b)
	d.hash.Write(b[:n])
	d.n += int64(n)
	return n, err
}

// describe fills in what a part has besides tables.
func (m *Manifest) describe(ctx context.Context, tx pgx.Tx) error {
	switch m.Part {
	case Keys:
		return collect(ctx, tx, &m.KeyVersions, `select institution, key_version, count(*)::bigint
			from (select institution, key_version from keys.wrapped union all select institution, key_version from keys.wrapped_file) k
			group by 1, 2 order by 1, 2`)
	case Log:
		return m.describeLog(ctx, tx)
	default:
		return nil
	}
}

func (m *Manifest) describeLog(ctx context.Context, tx pgx.Tx) error {
	if err := collect(ctx, tx, &m.Sequences, "select 'audit.entry_id', last_value from audit.entry_id"); err != nil {
		return err
	}
	err := collect(ctx, tx, &m.Partitions, `
		select p.relname::text, substring(c.relname from '[0-9]+$')::bigint
		from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent join pg_namespace n on n.oid = p.relnamespace
		where n.nspname = 'audit' and p.relkind = 'p' order by 1, 2`)
	if err != nil {
		return err
	}
	return collect(ctx, tx, &m.Heads, `select t.institution, t.year, l.origin, t.size, encode(t.root, 'hex')
		from audit.tree t join audit.log l using (institution, year) order by 1, 2`)
}

// collect reads rows into structs by the order of their columns.
func collect[T any](ctx context.Context, tx pgx.Tx, into *[]T, query string) error {
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return err
	}
	*into, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	return err
}

// writeManifest makes a part complete: files first, then their list, then the
// folder itself.
func writeManifest(folder string, m *Manifest) error {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(folder, manifestFile)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// quoted is schema.table as an SQL identifier.
func quoted(table string) string {
	schema, name, _ := strings.Cut(table, ".")
	return pgx.Identifier{schema, name}.Sanitize()
}

func columnList(columns []string) string {
	list := slices.Clone(columns)
	for i, c := range list {
		list[i] = pgx.Identifier{c}.Sanitize()
	}
	return strings.Join(list, ", ")
}
