package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Errors of reading a backup; compare with errors.Is.
var (
	// ErrNoBackup: the folder has no manifest, or one of another format.
	ErrNoBackup = errors.New("the folder is no backup, or an unfinished one")
	// ErrDamaged: a file is not what the manifest says.
	ErrDamaged = errors.New("a file of the backup is damaged")
	// ErrNotEmpty: the database has rows. Nothing was changed.
	ErrNotEmpty = errors.New("the database is not empty")
	// ErrSchema: backup and database have different schemas. Restore with the
	// release that wrote the backup, then migrate.
	ErrSchema = errors.New("the backup is of another version of the schema")
)

// Open reads the manifest of a part's folder.
func Open(folder string) (*Manifest, error) {
	raw, err := os.ReadFile(filepath.Join(folder, manifestFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNoBackup
	}
	if err != nil {
		return nil, fmt.Errorf("opening a backup: %w", err)
	}
	m := &Manifest{}
	if json.Unmarshal(raw, m) != nil || m.Format != format || len(m.Part.schemas()) == 0 {
		return nil, ErrNoBackup
	}
	return m, nil
}

// Verify reads every file of a part and compares it with the manifest.
func Verify(folder string, m *Manifest) error {
	for _, f := range m.Files {
		if err := verifyFile(folder, f); err != nil {
			return err
		}
	}
	return nil
}

func verifyFile(folder string, f File) error {
	if filepath.Base(f.Name) != f.Name {
		return fmt.Errorf("%w: its manifest names a file elsewhere", ErrDamaged)
	}
	in, err := os.Open(filepath.Join(folder, f.Name))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, f.Name, err)
	}
	defer in.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, in)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, f.Name, err)
	}
	if n != f.Size || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("%w: %s", ErrDamaged, f.Name)
	}
	return nil
}

// Read fills an empty, migrated database from the folders of the three parts,
// which may be of different age. All of it is there afterwards, or nothing.
// conn is the superuser's: it puts rows of the log back past its fences.
func Read(ctx context.Context, conn *pgx.Conn, folders map[Part]string) error {
	parts := map[Part]*Manifest{}
	for _, part := range Parts() {
		m, err := Open(folders[part])
		if err == nil && m.Part != part {
			err = fmt.Errorf("%w: it holds the part %s", ErrNoBackup, m.Part)
		}
		if err == nil {
			err = Verify(folders[part], m)
		}
		if err != nil {
			return fmt.Errorf("reading the part %s: %w", part, err)
		}
		parts[part] = m
	}
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := fit(ctx, tx, parts); err != nil {
			return err
		}
		// Foreign keys hold within a part and not between parts of different age.
		if _, err := tx.Exec(ctx, "select set_config('session_replication_role', 'replica', true), set_config('audit.migration', 'on', true)"); err != nil {
			return fmt.Errorf("preparing to restore: %w", err)
		}
		for _, part := range Parts() {
			if err := readPart(ctx, tx, folders[part], parts[part]); err != nil {
				return fmt.Errorf("restoring the part %s: %w", part, err)
			}
		}
		return nil
	})
}

// fit refuses another schema, and a database in which anything is stored.
func fit(ctx context.Context, tx pgx.Tx, parts map[Part]*Manifest) error {
	versions, err := migrations(ctx, tx)
	if err != nil {
		return err
	}
	for _, part := range Parts() {
		if !maps.Equal(parts[part].Migrations, versions) {
			return fmt.Errorf("%w: part %s", ErrSchema, part)
		}
		here, err := tablesOf(ctx, tx, part)
		if err != nil {
			return err
		}
		for i, f := range here {
			if i >= len(parts[part].Files) || parts[part].Files[i].Table != f.Table || !slices.Equal(parts[part].Files[i].Columns, f.Columns) {
				return fmt.Errorf("%w: part %s, table %s", ErrSchema, part, f.Table)
			}
			var filled bool
			if err := tx.QueryRow(ctx, "select exists (select from "+quoted(f.Table)+")").Scan(&filled); err != nil {
				return err
			}
			if filled {
				return fmt.Errorf("%w: %s", ErrNotEmpty, f.Table)
			}
		}
		if len(here) != len(parts[part].Files) {
			return fmt.Errorf("%w: part %s", ErrSchema, part)
		}
	}
	return nil
}

func readPart(ctx context.Context, tx pgx.Tx, folder string, m *Manifest) error {
	for _, p := range m.Partitions {
		if _, err := tx.Exec(ctx, "select audit.ensure_partition($1, $2)", p.Parent, p.N); err != nil {
			return fmt.Errorf("partition %d of %s: %w", p.N, p.Parent, err)
		}
	}
	for _, f := range m.Files {
		if err := readTable(ctx, tx, folder, f); err != nil {
			return fmt.Errorf("table %s: %w", f.Table, err)
		}
	}
	for _, s := range m.Sequences {
		if _, err := tx.Exec(ctx, "select setval($1::regclass, $2)", s.Name, s.Last); err != nil {
			return fmt.Errorf("sequence %s: %w", s.Name, err)
		}
	}
	return nil
}

func readTable(ctx context.Context, tx pgx.Tx, folder string, f File) error {
	in, err := os.Open(filepath.Join(folder, f.Name))
	if err != nil {
		return err
	}
	defer in.Close()
	// What is copied is hashed once more: between Verify and here the file might
	// have been exchanged.
	sum := sha256.New()
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, io.TeeReader(in, sum), "copy "+quoted(f.Table)+" ("+columnList(f.Columns)+") from stdin (format text, encoding 'UTF8')")
	if err != nil {
		return err
	}
	if tag.RowsAffected() != f.Rows || hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return ErrDamaged
	}
	return nil
}
