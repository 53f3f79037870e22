package store

import (
	"context"
	"crypto/rand"
	"fmt"
)

// Shared returns the 32 random bytes that the replicas of an institution's
// service share under a name. The first process that asks makes them; whichever
// of several that ask at once was first, all get the same.
func (s *Store) Shared(ctx context.Context, institution, name string) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails
	_, err := s.pool.Exec(ctx, `insert into jobs.shared (institution, name, secret) values ($1, $2, $3) on conflict do nothing`, institution, name, fresh)
	if err != nil {
		return nil, fmt.Errorf("making a shared secret: %w", Classify(err))
	}
	var secret []byte
	err = s.pool.QueryRow(ctx, `select secret from jobs.shared where institution = $1 and name = $2`, institution, name).Scan(&secret)
	if err != nil {
		return nil, fmt.Errorf("reading a shared secret: %w", Classify(err))
	}
	return secret, nil
}
