package pglog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// maxAliases bounds each alias cache; an institution's staff and applications fit several times over.
const maxAliases = 100_000

type aliasKey struct {
	actor string
	year  int
}

// Alias returns the name under which actor appears in this year's log (UTC by the local clock), making one on first use. It is
// a salted digest of the actor, so leaves identify nobody without the row of audit.alias, and the row cannot be given to another
// actor unnoticed ([Check]). Cached; a miss costs one round trip and gives ErrUnavailable after
// Config.Deadline.
func (l *Log) Alias(ctx context.Context, actor string) (string, error) {
	key := aliasKey{actor: actor, year: time.Now().UTC().Year()}
	l.mu.Lock()
	alias, ok := l.aliases[key]
	l.mu.Unlock()
	if ok {
		return alias, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Deadline)
	defer cancel()
	alias, err := findAlias(ctx, l.cfg.Pool, l.cfg.Institution, key)
	if err != nil {
		return "", unavailable("finding an alias", err)
	}
	l.remember(key, alias)
	return alias, nil
}

// findAlias reads or makes an alias.
func findAlias(ctx context.Context, q querier, institution string, key aliasKey) (alias string, err error) {
	// Two statements, not one: with "do update" every look-up of a known actor would write a row version.
	salt := newSalt()
	row := q.QueryRow(ctx, `
		with known as (
			select alias from audit.alias where institution = $1 and year = $2 and actor = $3
		), made as (
			insert into audit.alias (institution, year, alias, actor, salt)
			select $1, $2, $4, $3, $5 where not exists (select from known)
			on conflict (institution, year, actor) do nothing
			returning alias
		)
		select alias from known union all select alias from made`,
		institution, key.year, key.actor, aliasOf(salt, institution, key), salt)
	err = row.Scan(&alias)
	if errors.Is(err, pgx.ErrNoRows) { // another process made it between our snapshot and our insert
		err = q.QueryRow(ctx, "select alias from audit.alias where institution = $1 and year = $2 and actor = $3",
			institution, key.year, key.actor).Scan(&alias)
	}
	return alias, err
}

// ActorOf returns the actor behind an alias of any year. The error wraps [ErrNotFound] for an unknown alias.
func (l *Log) ActorOf(ctx context.Context, alias string) (string, error) {
	l.mu.Lock()
	actor, ok := l.actors[alias]
	l.mu.Unlock()
	if ok {
		return actor, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Deadline)
	defer cancel()
	var year int
	err := l.cfg.Pool.QueryRow(ctx, "select actor, year from audit.alias where institution = $1 and alias = $2 order by year desc limit 1",
		l.cfg.Institution, alias).Scan(&actor, &year)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("finding the actor of an alias: %w", ErrNotFound)
	}
	if err != nil {
		return "", unavailable("finding the actor of an alias", err)
	}
	l.remember(aliasKey{actor: actor, year: year}, alias)
	return actor, nil
}

func (l *Log) remember(key aliasKey, alias string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.aliases) >= maxAliases || len(l.actors) >= maxAliases {
		clear(l.aliases)
		clear(l.actors)
	}
	l.aliases[key], l.actors[alias] = alias, key.actor
}

func newSalt() []byte {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails (Go 1.24)
	return salt
}

// saltlessAlias is the length of aliases made before there were salts: 80 random bits that nothing binds to an actor.
const saltlessAlias = 18

// aliasOf returns the alias that salt gives an actor: 120 bits of SHA-256. Whoever would put another actor behind an alias must
// find a second preimage; whoever has only the alias must guess 128 bits of salt; when the row is erased, so is the salt.
func aliasOf(salt []byte, institution string, key aliasKey) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "sealtrail alias v1\n%x\n%d %s%d\n%s", salt, len(institution), institution, key.year, key.actor))
	return "a-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:15]))
}

// aliasFits reports whether a row of audit.alias is as [Log.Alias] made it.
func aliasFits(alias string, salt []byte, institution string, key aliasKey) bool {
	if salt == nil {
		return len(alias) == saltlessAlias
	}
	return alias == aliasOf(salt, institution, key)
}
