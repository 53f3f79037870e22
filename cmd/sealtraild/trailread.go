package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/store"
)

// trailIndex checks the search index, or lets it be made anew.
type trailIndex struct {
	Institution     string `env:"SEALTRAIL_INSTITUTION" required:""`
	DatabaseURLFile string `help:"File with the database address (role sealtrail_app)." env:"SEALTRAIL_DATABASE_URL_FILE" required:""`
	Rebuild         bool   `help:"Forget the index; make it anew from the leaves."`
}

// Run names each block of 4,096 leaves whose index differs; exit code 4 if any.
func (t *trailIndex) Run(ctx context.Context, c console) error {
	dsn, err := server.Secret(t.DatabaseURLFile)
	if err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return fmt.Errorf("opening the database: %w", store.Classify(err))
	}
	defer pool.Close()
	if t.Rebuild {
		if err := rebuildIndex(ctx, pool, t.Institution); err != nil {
			return err
		}
	}
	found, err := pglog.CheckIndex(ctx, pool, t.Institution)
	if err != nil {
		return err
	}
	for _, f := range found {
		if _, err := fmt.Fprintln(c.out, "✗", f); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return findings{len(found)}
	}
	lag, err := pglog.IndexLag(ctx, pool, t.Institution)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, bothWays(fmt.Sprintf("✓ the search index is what the entries say; not indexed yet: %d", lag), fmt.Sprintf("检索索引与日志条目一致;尚未入索引的条目:%d", lag)))
	return err
}

// rebuildIndex forgets the index and fills it, beside a service that does the
// same.
func rebuildIndex(ctx context.Context, pool *pgxpool.Pool, institution string) error {
	if err := pglog.ResetIndex(ctx, pool, institution); err != nil {
		return err
	}
	x, err := pglog.NewIndexer(ctx, pglog.IndexerConfig{Pool: pool, Institution: institution})
	if err != nil {
		return err
	}
	for {
		if _, err := x.Step(ctx); err != nil {
			return err
		}
		if lag, err := pglog.IndexLag(ctx, pool, institution); err != nil || lag == 0 {
			return err
		}
	}
}

// trailEraseAliases forgets who stood behind an alias of a closed year.
type trailEraseAliases struct {
	Institution  string `env:"SEALTRAIL_INSTITUTION" required:""`
	AdminURLFile string `help:"File with the administrator's database address (superuser)." env:"SEALTRAIL_ADMIN_URL_FILE" required:""`
	Person       string `required:"" help:"Id of the duty register."`
	Year         int    `required:"" help:"Year of a closed log (UTC)."`
	Confirm      string `required:"" help:"PERSON/YEAR again: afterwards nobody can tell who acted." placeholder:"PERSON/YEAR"`
}

// Run erases with an entry in the same transaction, or does neither.
func (t *trailEraseAliases) Run(ctx context.Context, c console) error {
	if t.Confirm != fmt.Sprintf("%s/%d", t.Person, t.Year) {
		return usageError{bothWays("--confirm does not repeat PERSON/YEAR", "--confirm 与人员/年份不符")}
	}
	dsn, err := server.Secret(t.AdminURLFile)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connecting as administrator: %w", store.Classify(err))
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return fmt.Errorf("opening the database: %w", store.Classify(err))
	}
	defer pool.Close()
	log, err := pglog.New(ctx, pglog.Config{Pool: pool, Institution: t.Institution})
	if err != nil {
		return err
	}
	operator, err := log.Alias(ctx, "operator")
	if err != nil {
		return err
	}
	event := audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "alias.erased", Actor: audit.Actor{ID: operator}, Subject: "charter:aliases",
		Facts: audit.Facts{"year": t.Year, "aliases": 1}}
	if err := complaint.CheckFacts(event.Kind, event.Facts); err != nil {
		return err
	}
	n, err := log.EraseAliases(ctx, conn, t.Person, t.Year, event)
	if errors.Is(err, pglog.ErrNotClosed) {
		return usageError{bothWays("the log of that year is still open: its aliases stay", "该年度日志尚未关闭,别名不得删除")}
	}
	if err != nil {
		return err
	}
	if n == 0 {
		_, err = fmt.Fprintln(c.out, bothWays("– this person has no alias of that year", "该年度没有此人的别名"))
		return err
	}
	_, err = fmt.Fprintln(c.out, bothWays("✓ erased: nobody can tell this person from that year's entries any more (a service that runs remembers until it is restarted)", "已删除:此后无人能由该年度的条目认出此人(运行中的服务须重启后才不再记得)"))
	return err
}

// bothWays says a line in both languages: an operator's terminal has one locale
// and several readers.
func bothWays(en, zh string) string { return en + "\n  " + zh }
