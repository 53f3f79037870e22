package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/internal/store"
)

func keyOf(epoch int) string { return fmt.Sprint("key.", epoch) }

// advisory waits until so many sessions hold, or wait for, an advisory lock.
func advisory(t *testing.T, pool *pgxpool.Pool, granted bool, want int) {
	t.Helper()
	n := 0
	for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		must(t, pool.QueryRow(t.Context(), `select count(*) from pg_locks where locktype = 'advisory' and granted = $1
			and database = (select oid from pg_database where datname = current_database())`, granted).Scan(&n))
		if n == want {
			return
		}
	}
	t.Fatalf("%d advisory locks with granted = %v, want %d", n, granted, want)
}

// TestAnIndexOpensBehindItsWriters: a generation is opened only when the writers
// that did not know of it have committed, and those that come later and do not
// know of it are refused. So nothing that is written can be missed.
func TestAnIndexOpensBehindItsWriters(t *testing.T) {
	t.Parallel()
	s, pool, _ := open(t)
	ctx := t.Context()
	one := row(1)
	insert(t, s, one)
	tx, err := pool.Begin(ctx)
	must(t, err)
	must(t, s.AddTokens(ctx, tx, &one.Complaint, nil, []uint32{1})) // a writer under way
	opened := make(chan error, 1)
	go func() {
		opened <- s.Tx(context.WithoutCancel(ctx), func(tx pgx.Tx) error {
			_, err := s.OpenIndexEpoch(ctx, tx, inst, time.Now(), keyOf)
			return err
		})
	}()
	advisory(t, pool, false, 1) // it waits
	select {
	case err := <-opened:
		t.Fatalf("opened beside a writer that does not know of it: %v", err)
	default:
	}
	must(t, tx.Commit(ctx))
	must(t, <-opened)
	if err := s.InsertOne(ctx, row(2), nil, nil); !errors.Is(err, store.ErrIndexMoved) {
		t.Errorf("a writer of one generation of two: got %v, want ErrIndexMoved", err)
	}
	many := s.Tx(ctx, func(tx pgx.Tx) error { return s.InsertMany(ctx, tx, []*store.NewComplaint{row(3), row(4)}) })
	if !errors.Is(many, store.ErrIndexMoved) {
		t.Errorf("many: got %v, want ErrIndexMoved", many)
	}
	change := one.Complaint
	change.Revision++
	err = s.Tx(ctx, func(tx pgx.Tx) error {
		return s.Update(ctx, tx, &change, 1, []string{"phone"}, []store.Token{{Field: "phone", Epoch: 1, Token: []byte("x")}})
	})
	if !errors.Is(err, store.ErrIndexMoved) {
		t.Errorf("a change of one generation of two: got %v, want ErrIndexMoved", err)
	}
	n := 0
	must(t, pool.QueryRow(ctx, "select count(*) from sealtrail.complaint where revision = 1").Scan(&n))
	if n != 1 {
		t.Errorf("%d rows were written by refused writers", n-1)
	}
	both := row(5)
	both.Tokens = append(both.Tokens, store.Token{Field: "phone", Epoch: 2, Token: []byte("tok2")}, store.Token{Field: "id_number", Epoch: 2, Token: []byte("subject2")})
	insert(t, s, both)
	if _, err := s.FindByToken(ctx, inst, store.Token{Field: "phone", Epoch: 2, Token: []byte("tok2")}, 5); !errors.Is(err, store.ErrIndexMoved) {
		t.Errorf("a search in a generation that is being built: got %v, want ErrIndexMoved", err)
	}
	found, err := s.FindByToken(ctx, inst, store.Token{Field: "phone", Epoch: 1, Token: []byte("tok")}, 5)
	if err != nil || len(found) != 2 {
		t.Errorf("got %d hits, %v", len(found), err)
	}
}

// TestTokensAreAddedForWhatIsStillTheSame: what was changed meanwhile keeps the
// tokens of whoever changed it, and what he did not index is not passed over.
func TestTokensAreAddedForWhatIsStillTheSame(t *testing.T) {
	t.Parallel()
	s, pool, _ := open(t)
	ctx := t.Context()
	one := row(1)
	for _, name := range []string{"email", "bank_card", "account_no", "respondent_staff_id"} {
		one.Sealed[store.SealedIndex(name)] = nil
	}
	insert(t, s, one)
	must(t, s.Tx(ctx, func(tx pgx.Tx) error { _, err := s.OpenIndexEpoch(ctx, tx, inst, time.Now(), keyOf); return err }))
	if left, err := s.CountUnindexed(ctx, inst, 2); err != nil || left != 1 {
		t.Fatalf("%d records lack a token, %v", left, err)
	}
	opened := one.Complaint
	opened.Sealed = append([][]byte{}, one.Sealed...)
	change := one.Complaint
	change.Revision, change.Sealed = 2, append([][]byte{}, one.Sealed...)
	change.Sealed[store.SealedIndex("phone")] = []byte("another phone")
	must(t, s.Tx(ctx, func(tx pgx.Tx) error {
		return s.Update(ctx, tx, &change, 1, []string{"phone"}, []store.Token{{Field: "phone", Epoch: 1, Token: []byte("new1")}, {Field: "phone", Epoch: 2, Token: []byte("new2")}})
	}))
	add := func(c *store.Complaint) error {
		return s.Tx(ctx, func(tx pgx.Tx) error {
			return s.AddTokens(ctx, tx, c, []store.Token{{Field: "phone", Epoch: 2, Token: []byte("old2")}, {Field: "id_number", Epoch: 2, Token: []byte("id2")}}, []uint32{1, 2})
		})
	}
	must(t, add(&opened))
	tokens, err := s.TokensOf(ctx, &change)
	must(t, err)
	got := map[string]string{}
	for _, token := range tokens {
		if token.Epoch == 2 {
			got[token.Field] = string(token.Token)
		}
	}
	if len(got) != 2 || got["phone"] != "new2" || got["id_number"] != "id2" {
		t.Errorf("tokens of the new generation: %v", got)
	}
	if left, err := s.CountUnindexed(ctx, inst, 2); err != nil || left != 0 {
		t.Errorf("%d records lack a token, %v", left, err)
	}
	if _, err := s.TokensOf(ctx, &opened); !errors.Is(err, store.ErrStale) {
		t.Errorf("tokens of an older revision: got %v, want ErrStale", err)
	}
	// Resealed meanwhile, with the tokens that were there: nobody wrote those of
	// the new generation.
	_, err = pool.Exec(ctx, "delete from sealtrail.blind_index where epoch = 2 and field = 'phone'")
	must(t, err)
	if err := add(&opened); !errors.Is(err, store.ErrStale) {
		t.Errorf("a field that is another one and has no token: got %v, want ErrStale", err)
	}
}

// TestAKeyIsHeldWhileATextIsWritten: who renews a record's key waits for those
// who write a text under the old one, and later ones are told.
func TestAKeyIsHeldWhileATextIsWritten(t *testing.T) {
	t.Parallel()
	s, pool, _ := open(t)
	ctx := t.Context()
	one := row(1)
	insert(t, s, one)
	tx, err := pool.Begin(ctx)
	must(t, err)
	must(t, s.HoldGeneration(ctx, tx, &one.Complaint))
	renewed := make(chan error, 1)
	next := one.Complaint
	next.Revision, next.Generation = 2, 4
	go func() {
		renewed <- s.Tx(context.WithoutCancel(ctx), func(tx pgx.Tx) error { return s.Update(ctx, tx, &next, 1, nil, nil) })
	}()
	for waiting := 0; waiting == 0; time.Sleep(5 * time.Millisecond) {
		must(t, pool.QueryRow(ctx, "select count(*) from pg_locks where not granted and locktype = 'transactionid'").Scan(&waiting))
	}
	select {
	case err := <-renewed:
		t.Fatalf("renewed beside a text under the old key: %v", err)
	default:
	}
	must(t, tx.Commit(ctx))
	must(t, <-renewed)
	err = s.Tx(ctx, func(tx pgx.Tx) error { return s.HoldGeneration(ctx, tx, &one.Complaint) })
	if !errors.Is(err, store.ErrStale) {
		t.Errorf("a text under a key that is gone: got %v, want ErrStale", err)
	}
}
