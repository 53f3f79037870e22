package pglog

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// CheckIndex compares the search index of one institution with what its leaves say, and names the block of every difference as
// the index of its first leaf. A difference is no damage to the log: [ResetIndex] makes the index anew. But until then a search
// may hide something. Blocks whose bodies are no longer stored are not compared. The error wraps [ErrUnavailable].
func CheckIndex(ctx context.Context, pool *pgxpool.Pool, institution string) ([]Finding, error) {
	var found []Finding
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, pool, opts, func(tx pgx.Tx) error {
		list, err := lags(ctx, tx, selectLags+" order by l.year", institution)
		if err != nil {
			return err
		}
		for _, g := range list {
			if g.indexed > g.size {
				found = append(found, indexFinding(g, g.size, "says more leaves than the log has"))
				continue
			}
			for block := uint64(0); block*blockSize < g.indexed && len(found) < maxFindings; block++ {
				what, err := checkBlock(ctx, tx, g, block)
				if err != nil {
					return err
				}
				if what != "" {
					found = append(found, indexFinding(g, block*blockSize, what))
				}
			}
		}
		return nil
	})
	if err != nil {
		return found, unavailable("checking the search index", err)
	}
	return found, nil
}

func indexFinding(g lag, index uint64, what string) Finding {
	return Finding{Table: "audit.posting", Log: g.shard.Origin, Code: FoundChanged, Index: index, HasIndex: true, Detail: "the search index " + what}
}

// checkBlock says what is wrong with a block; "" if nothing is.
func checkBlock(ctx context.Context, tx pgx.Tx, g lag, block uint64) (string, error) {
	from, to := block*blockSize, min((block+1)*blockSize, g.indexed)
	want, leaves, err := blockTerms(ctx, tx, g.shard, from, to)
	if err != nil || leaves != to-from {
		return "", err // detached: nothing to compare with
	}
	rows, err := tx.Query(ctx, "select block, term, places from audit.posting where institution = $1 and year = $2 and block = $3",
		g.shard.Institution, g.shard.Year, int32(block))
	if err != nil {
		return "", err
	}
	var key posting
	var raw []byte
	lacks, beside := 0, 0
	_, err = pgx.ForEachRow(rows, []any{&key.block, &key.term, &raw}, func() error {
		if !bytes.Equal(want[key], raw) {
			beside++
		}
		delete(want, key)
		return nil
	})
	if lacks = len(want); err != nil || lacks+beside == 0 {
		return "", err
	}
	return fmt.Sprintf("lacks %d terms of this block and has %d otherwise", lacks, beside), nil
}

func blockTerms(ctx context.Context, tx pgx.Tx, s Shard, from, to uint64) (want postings, leaves uint64, err error) {
	rows, err := tx.Query(ctx, `
		select l.idx, e.body from audit.leaf l join audit.entry e on e.institution = l.institution and e.id = l.entry_id
		where l.institution = $1 and l.year = $2 and l.idx >= $3 and l.idx < $4 order by l.idx`, s.Institution, s.Year, int64(from), int64(to))
	if err != nil {
		return nil, 0, err
	}
	want = postings{}
	var index uint64
	var raw []byte
	_, err = pgx.ForEachRow(rows, []any{&index, &raw}, func() error {
		leaves++
		if b, err := audit.ParseBody(raw); err == nil {
			want.add(index, &b)
		}
		return nil
	})
	return want, leaves, err
}
