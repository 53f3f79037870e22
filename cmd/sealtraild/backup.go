package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/backup"
	"github.com/sealtrail/sealtrail/internal/server"
)

type backupCommand struct {
	Make   backupMake   `cmd:"" default:"withargs" help:"Write records and log into one folder, wrapped keys into another."`
	Verify backupVerify `cmd:"" help:"Compare the files of parts with their manifests."`
}

// backupMake writes the keys apart on purpose: their copies decide how long a
// shredded record can still be opened, so they need a retention of their own.
type backupMake struct {
	AdminURLFile string `help:"File with a superuser's database address." env:"SEALTRAIL_ADMIN_URL_FILE" required:""`
	To           string `help:"Folder for records and log; a folder named by the time is made in it." required:"" type:"path"`
	KeysTo       string `help:"Folder for the wrapped keys: another medium, with a shorter retention." required:"" type:"path"`
	Output       string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run writes all three parts from one snapshot and makes each an entry.
func (b *backupMake) Run(ctx context.Context, c console) error {
	if within(b.To, b.KeysTo) || within(b.KeysTo, b.To) {
		return usageError{"--keys-to must not lie in --to, nor the other way round: the keys' copies have a retention of their own"}
	}
	dsn, err := server.Secret(b.AdminURLFile)
	if err != nil {
		return err
	}
	conn, err := adminConn(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	at := time.Now().UTC()
	stamp := at.Format("20060102T150405Z")
	folders := map[backup.Part]string{
		backup.Data: filepath.Join(b.To, stamp, "data"), backup.Log: filepath.Join(b.To, stamp, "log"),
		backup.Keys: filepath.Join(b.KeysTo, stamp, "keys"),
	}
	written, err := backup.Write(ctx, conn, folders, at)
	if err != nil {
		return err
	}
	// crash here: a whole backup that no log names.
	if err := logBackups(ctx, dsn, written); err != nil {
		return fmt.Errorf("the backup is whole, but it is no entry of the log: %w", err)
	}
	return b.print(c, folders, written)
}

func (b *backupMake) print(c console, folders map[backup.Part]string, written map[backup.Part]*backup.Manifest) error {
	if b.Output == "json" {
		return json.NewEncoder(c.out).Encode(map[string]any{"folders": folders})
	}
	for _, part := range backup.Parts() {
		m := written[part]
		if _, err := fmt.Fprintf(c.out, "✓ %-4s %d tables, %d bytes in %s\n", part, len(m.Files), m.Size(), folders[part]); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(c.out, "next: keep the keys on another medium and for a shorter time than the rest (docs/operate/backup.md)")
	return err
}

// within reports whether one folder is the other or lies in it.
func within(inner, outer string) bool {
	rel, err := filepath.Rel(outer, inner)
	return err == nil && filepath.IsLocal(rel)
}

func adminConn(ctx context.Context, dsn string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		// The cause may hold the address with its password.
		return nil, errors.New("opening the database as administrator: it cannot be reached or refuses the login")
	}
	return conn, nil
}

// logBackups makes each part an entry of every institution's log.
func logBackups(ctx context.Context, dsn string, written map[backup.Part]*backup.Manifest) error {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return errors.New("opening the database: the address is malformed")
	}
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "set role sealtrail_app")
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	done := map[string]bool{}
	for _, head := range written[backup.Log].Heads {
		if done[head.Institution] {
			continue
		}
		done[head.Institution] = true
		if err := logBackup(ctx, pool, head.Institution, written); err != nil {
			return err
		}
	}
	return nil
}

func logBackup(ctx context.Context, pool *pgxpool.Pool, institution string, written map[backup.Part]*backup.Manifest) error {
	log, err := pglog.New(ctx, pglog.Config{Pool: pool, Institution: institution})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- log.Run(running) }()
	defer func() {
		stop()
		<-ended //nolint:errcheck // Run returns nil when its context ends
	}()
	alias, err := log.Alias(ctx, "operator")
	if err != nil {
		return err
	}
	var bodies []audit.Body
	for _, part := range backup.Parts() {
		sum, err := written[part].SHA256()
		if err != nil {
			return err
		}
		bodies = append(bodies, audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "backup.made", Actor: audit.Actor{ID: alias, Auth: "operator"},
			Subject: "backup:" + string(part), Facts: audit.Facts{"part": string(part), "sha256": hex.EncodeToString(sum[:]), "size": int(written[part].Size())}})
	}
	_, err = log.Append(ctx, bodies...)
	return err
}

type backupVerify struct {
	Folders []string `arg:"" help:"Folders of parts." type:"existingdir"`
}

// Run exits with 4 if a file is not what its manifest says.
func (b *backupVerify) Run(_ context.Context, c console) error {
	bad := 0
	for _, folder := range b.Folders {
		m, err := backup.Open(folder)
		if err == nil {
			err = backup.Verify(folder, m)
		}
		line := "✓ " + folder
		if err != nil {
			bad++
			line = "✗ " + folder + ": " + err.Error()
		}
		if _, err := fmt.Fprintln(c.out, line); err != nil {
			return err
		}
	}
	if bad > 0 {
		return findings{bad}
	}
	return nil
}

type restoreCommand struct {
	AdminURLFile string `help:"File with a superuser's address of an empty, migrated database." env:"SEALTRAIL_ADMIN_URL_FILE" required:""`
	Data         string `help:"Folder of the part data." required:"" type:"existingdir"`
	Log          string `help:"Folder of the part log: the newest there is." required:"" type:"existingdir"`
	Keys         string `help:"Folder of the part keys: the newest there is, or shredded records come back." required:"" type:"existingdir"`
	Confirm      string `help:"Name of the database to fill." required:""`
	Output       string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run fills the database and says what can be opened. Exit code 4 if records
// have no key that nobody destroyed.
func (r *restoreCommand) Run(ctx context.Context, c console) error {
	dsn, err := server.Secret(r.AdminURLFile)
	if err != nil {
		return err
	}
	conn, err := adminConn(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if conn.Config().Database != r.Confirm {
		return usageError{"--confirm must be the name of the database that the address leads to"}
	}
	folders := map[backup.Part]string{backup.Data: r.Data, backup.Log: r.Log, backup.Keys: r.Keys}
	if err := backup.Read(ctx, conn, folders); err != nil {
		return err
	}
	reports, err := backup.Reports(ctx, conn)
	if err != nil {
		return err
	}
	return r.print(c, reports)
}

func (r *restoreCommand) print(c console, reports []backup.Report) error {
	lost := 0
	for _, report := range reports {
		lost += int(report.Lost)
	}
	if r.Output == "json" {
		if err := json.NewEncoder(c.out).Encode(map[string]any{"institutions": reports}); err != nil {
			return err
		}
	} else if err := printReports(c, reports); err != nil {
		return err
	}
	if lost > 0 {
		return findings{lost}
	}
	return nil
}

func printReports(c console, reports []backup.Report) error {
	for _, p := range reports {
		if _, err := fmt.Fprintf(c.out, "%s: %d records: %d with their key, %d erased, %d older than a reseal, %d lost; %d older than the log; %d keys of records that are not here\n",
			p.Institution, p.Records, p.Readable, p.Erased, p.Superseded, p.Lost, p.Stale, p.Orphans); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(c.out, "next: compare with the published log before you serve: sealtraild trail check")
	return err
}
