package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/server"
)

// trailRetain lets go of old entries in PostgreSQL, after their stored copy was
// read back.
type trailRetain struct {
	Institution     string        `env:"SEALTRAIL_INSTITUTION" required:""`
	DatabaseURLFile string        `help:"File with the database address (role sealtrail_app)." env:"SEALTRAIL_DATABASE_URL_FILE" required:""`
	Published       string        `help:"Folder of the published log." env:"SEALTRAIL_PUBLISHED" required:""`
	LogDomain       string        `help:"First part of a log's origin." default:"sealtrail.example" env:"SEALTRAIL_LOG_DOMAIN"`
	Year            int           `help:"Year of the log; default: this one (UTC)."`
	Key             string        `help:"File with the log's verifier key, as sealtraild trail key prints it." required:"" type:"existingfile"`
	Before          string        `help:"Entries before this date (YYYY-MM-DD, UTC) or index need no longer be in PostgreSQL." required:"" placeholder:"DATE|INDEX"`
	Confirm         string        `help:"The log's origin again." required:"" placeholder:"ORIGIN"`
	Wait            time.Duration `help:"How long to wait until the entry that says so is signed; a service must be running." default:"30s"`

	server.PublishedStoreConfig `embed:""`
}

// Run verifies the stored copy up to the bound, against the signed checkpoint
// that lies beside it, and only then moves the hot window. What PostgreSQL may
// let go is said by an entry of the log.
func (t *trailRetain) Run(ctx context.Context, c console) error {
	if t.Year == 0 {
		t.Year = time.Now().UTC().Year()
	}
	shard := pglog.Shard{Institution: t.Institution, Year: t.Year, Origin: server.Origin(t.LogDomain, t.Institution, t.Year)}
	if t.Confirm != shard.Origin {
		return usageError{"--confirm does not repeat the log's origin, " + shard.Origin}
	}
	vkey, err := os.ReadFile(t.Key)
	if err != nil {
		return fmt.Errorf("reading the log's verifier key: %w", err)
	}
	copied, where, err := t.copyOf(shard)
	if err != nil {
		return err
	}
	pool, err := openPool(ctx, t.DatabaseURLFile)
	if err != nil {
		return err
	}
	defer pool.Close()
	bound, err := t.bound(ctx, pool, shard)
	if err != nil {
		return err
	}
	if bound == 0 {
		_, err := fmt.Fprintln(c.out, "– nothing to let go: fewer than 256 entries are older / 无可释放:更早的条目不足 256 条")
		return err
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	window, err := pglog.Retain(waiting, pool, shard, bound, func(ctx context.Context) (uint64, error) {
		verified, err := publish.VerifyStored(ctx, publish.StoredConfig{Store: copied, Origin: shard.Origin, VerifierKey: strings.TrimSpace(string(vkey)), To: bound})
		if err == nil {
			_, err = fmt.Fprintf(c.out, "✓ %s holds the first %d entries, read back and proven against its signed checkpoint / 副本中前 %[2]d 条已读回,并由已签名检查点证实\n", where, verified)
		}
		time.AfterFunc(t.Wait, cancel) // reading back takes as long as it takes
		return verified, err
	})
	if errors.Is(err, publish.ErrStored) {
		_, _ = fmt.Fprintln(c.out, "✗", err)
		return findings{1}
	}
	if err != nil {
		return err
	}
	return t.print(c, window)
}

func (t *trailRetain) print(c console, w pglog.Window) error {
	said := "the log said so already / 日志中已有"
	if w.Entry > 0 {
		said = fmt.Sprintf("entry %d says so / 由第 %[1]d 号条目记载", w.Entry)
	}
	_, err := fmt.Fprintf(c.out, "✓ the hot window begins at index %d: %s\n", w.From, said)
	for _, table := range w.Detached {
		if err == nil {
			_, err = fmt.Fprintf(c.out, "  detached, not dropped / 已分离,未删除:%s\n", table)
		}
	}
	return err
}

// copyOf is the copy that is believed only after it was read back: the store, or
// where none is configured the published folder itself.
func (t *trailRetain) copyOf(shard pglog.Shard) (publish.Store, string, error) {
	store, err := t.OpenPublishedStore(shard)
	if store != nil || err != nil {
		return store, "the store", err
	}
	folder, err := publish.NewFolder(filepath.Join(t.Published, filepath.FromSlash(shard.Folder())))
	return folder, "the published folder", err
}

// bound is the index that --before names, rounded down to whole bundles.
func (t *trailRetain) bound(ctx context.Context, pool *pgxpool.Pool, shard pglog.Shard) (uint64, error) {
	index, err := strconv.ParseUint(t.Before, 10, 64)
	if err != nil {
		day, err := time.Parse(time.DateOnly, t.Before)
		if err != nil {
			return 0, usageError{"reading --before: want a date YYYY-MM-DD or an index"}
		}
		if index, err = pglog.IndexAt(ctx, pool, shard, day); err != nil {
			return 0, err
		}
	}
	return index - index%audit.TileWidth, nil
}
