package server

import (
	"context"
	"fmt"
	"time"
)

// stillAfter is how long an entry may wait for its place in the log before the
// service is not ready: the sequencer works every 25 ms, and a full batch takes
// well below a second.
const stillAfter = 10 * time.Second

// logMoving asks whether entries that were written get their place in the log.
// Each is durable before anything is disclosed, but what is not in the log is
// neither published nor witnessed. Entries that no place can be given to do not
// count: the comparison names them as violations, and to end the service for
// one would let whoever wrote it end the service.
func (s *Server) logMoving(ctx context.Context) error {
	age, err := s.sequencer.Waiting(ctx)
	if err == nil && age > stillAfter {
		err = fmt.Errorf("the oldest entry has waited for %s", age.Round(time.Second))
	}
	return err
}
