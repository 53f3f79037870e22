package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// probeEvery is how often the parts that can be away are asked.
const probeEvery = 2 * time.Second

// part is something whose absence is an entry: figures mark breaches that
// overlap an outage, and never excuse them.
type part struct {
	name  string
	ask   func(context.Context) error
	since time.Time // zero: it answers
	told  bool      // outage.began is durable
}

// outages writes outage.began and outage.ended for Vault and PostgreSQL. While
// PostgreSQL is away nothing can be written: both entries follow when it is
// back, with the times that they speak of.
func (s *Server) outages(ctx context.Context) error {
	parts := []*part{
		{name: "vault", ask: func(context.Context) error { return errors.Join(s.login.Err(), s.keys.Health()) }},
		{name: "database", ask: s.pool.Ping},
	}
	return every(ctx, probeEvery, func(ctx context.Context) {
		for _, p := range parts {
			attempt, cancel := context.WithTimeout(ctx, probeEvery)
			err := p.ask(attempt)
			cancel()
			if ctx.Err() == nil {
				s.note(ctx, p, err)
			}
		}
	})
}

func (s *Server) note(ctx context.Context, p *part, err error) {
	now := time.Now().UTC()
	switch {
	case err != nil && p.since.IsZero():
		p.since = now
		s.log.WarnContext(ctx, "outage began", slog.String("name", p.name))
		p.told = s.outageEntry(ctx, "outage.began", audit.Facts{"what": p.name, "occurred_at": now.Format(time.RFC3339Nano)})
	case err == nil && !p.since.IsZero():
		if !p.told {
			p.told = s.outageEntry(ctx, "outage.began", audit.Facts{"what": p.name, "occurred_at": p.since.Format(time.RFC3339Nano)})
		}
		ended := s.outageEntry(ctx, "outage.ended", audit.Facts{"what": p.name, "occurred_at": now.Format(time.RFC3339Nano), "seconds": int(now.Sub(p.since).Seconds())})
		if p.told && ended {
			s.log.InfoContext(ctx, "outage ended", slog.String("name", p.name))
			p.since, p.told = time.Time{}, false
		}
	}
}

func (s *Server) outageEntry(ctx context.Context, kind string, facts audit.Facts) bool {
	alias, err := s.trail.Alias(ctx, "service")
	if err != nil {
		return false
	}
	_, err = s.trail.Append(ctx, s.serviceEvent(alias, "outage", kind, facts))
	return err == nil
}
