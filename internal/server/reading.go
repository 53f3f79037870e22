package server

import (
	"context"

	"github.com/sealtrail/sealtrail/audit/pglog"
)

// indexLog fills the search index behind the sequencer. Each replica does: the
// second to a batch does nothing, and one that is stopped holds nobody up.
func (s *Server) indexLog(ctx context.Context) error {
	x, err := pglog.NewIndexer(ctx, pglog.IndexerConfig{Pool: s.pool, Institution: s.cfg.Institution, Logger: s.log})
	if err != nil {
		return err
	}
	return x.Run(ctx)
}
