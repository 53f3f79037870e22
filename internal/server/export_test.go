package server

import (
	"context"

	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// Keys are the keys that the service has borrowed.
func (s *Server) Keys() *keyring.Keyring { return s.keys }

// MirrorAlarm is what a round of copying ends with, for a store that may be
// behind for a nanosecond.
func (s *Server) MirrorAlarm(ctx context.Context, m *publish.Mirror) {
	s.publisher.mirrors.mu.Lock()
	s.publisher.mirrors.list, s.publisher.mirrors.limit = map[int]*publish.Mirror{0: m}, 1
	s.publisher.mirrors.mu.Unlock()
	s.mirrorAlarm(ctx)
}

// VerifierKey is that of this year's log.
func (s *Server) VerifierKey() string { return s.publisher.vkeyOf(s.shard().Year) }
