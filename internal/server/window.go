package server

import (
	"context"

	"github.com/sealtrail/sealtrail/audit/publish"
)

// storedEntry reads an entry whose body has left PostgreSQL from what is
// published. The log compares it with the leaf's hash.
func (s *Server) storedEntry(ctx context.Context, year int, index uint64) ([]byte, error) {
	shard := s.shard()
	shard.Year, shard.Origin = year, Origin(s.cfg.LogDomain, s.cfg.Institution, year)
	folder, err := publish.NewFolder(s.publisher.folder(shard))
	if err != nil {
		return nil, err
	}
	reader, err := publish.NewReader(ctx, folder)
	if err != nil {
		return nil, err
	}
	leaf, _, err := reader.Entry(ctx, index)
	return leaf, err
}
