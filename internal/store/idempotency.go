package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Idempotency is a row of sealtrail.idempotency: which request made which
// resource. Keys and requests are kept as HMACs; the reply is rebuilt.
type Idempotency struct {
	Institution, Principal, Route string
	KeyHMAC, RequestHMAC          []byte
	Status                        int
	Resource                      string
}

// FindIdempotent returns the former use of a key, nil if there was none.
func (s *Store) FindIdempotent(ctx context.Context, key Idempotency) (*Idempotency, error) {
	found := key
	err := s.pool.QueryRow(ctx, `select request_hmac, status, resource from sealtrail.idempotency
		where institution = $1 and principal = $2 and route = $3 and key_hmac = $4`,
		key.Institution, key.Principal, key.Route, key.KeyHMAC).Scan(&found.RequestHMAC, &found.Status, &found.Resource)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &found, Classify(err)
}

// InsertIdempotent remembers the use of a key in the transaction that makes the
// insertIdempotent remembers which request made which resource.
const insertIdempotent = `insert into sealtrail.idempotency (institution, principal, route, key_hmac, request_hmac, status, resource)
	values ($1, $2, $3, $4, $5, $6, $7)`

func (u *Idempotency) values() []any {
	return []any{u.Institution, u.Principal, u.Route, u.KeyHMAC, u.RequestHMAC, u.Status, u.Resource}
}
