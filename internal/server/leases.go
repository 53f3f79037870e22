package server

import (
	"context"
	"crypto/fips140"
	"log/slog"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// voided is a withdrawal of keys that has no entry yet.
type voided struct {
	why  string // "sealed", "denied", "policy"
	keys int
}

const (
	// voidedQueue is how many withdrawals may wait for their entries. A sealed
	// Vault voids once, and then there is nothing left to void.
	voidedQueue = 64
	// voidedRetry is the pause after an entry that could not be written.
	voidedRetry = time.Second
)

// keysVoided hears of keys that were withdrawn. It never blocks: it is called on
// the way of requests. What does not fit is logged and has no entry.
func (s *Server) keysVoided(why string, keys int) {
	if why == "shutdown" {
		return
	}
	s.log.Warn("key leases voided", slog.String("cause", why), slog.Int("keys", keys))
	select {
	case s.voided <- voided{why, keys}:
	default:
		s.log.Error("no entry of voided key leases: too many wait", slog.String("cause", why))
	}
}

// leases makes every withdrawal of keys an entry. One that cannot be written is
// tried again: the trail says that Vault was sealed even if PostgreSQL was away
// at that moment.
func (s *Server) leases(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case v := <-s.voided:
			for !s.voidedEntry(ctx, v) {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(voidedRetry):
				}
			}
		}
	}
}

func (s *Server) voidedEntry(ctx context.Context, v voided) bool {
	alias, err := s.trail.Alias(ctx, "service")
	if err != nil {
		return false
	}
	facts := audit.Facts{"why": v.why, "keys": v.keys}
	_, err = s.trail.Append(ctx, s.serviceEvent(alias, "leases", "key.leases_voided", facts))
	return err == nil
}

// fipsMode is the mode of Go's cryptographic module: "off", "on", or "only",
// where anything outside the module fails.
func fipsMode() string {
	switch {
	case !fips140.Enabled():
		return "off"
	case fips140.Enforced():
		return "only"
	default:
		return "on"
	}
}
