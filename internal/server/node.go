package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// What the newest entry about the node says.
const (
	nodeSubject   = "charter:node"
	nodeAccepted  = "single_node" // an acknowledged write may live on one node only
	nodeWithdrawn = "withdrawn"   // no longer
)

// SingleNodeAccepted reports whether the log says that the institution accepts
// to lose what was acknowledged together with its one database node.
func SingleNodeAccepted(ctx context.Context, pool *pgxpool.Pool, institution string) (bool, error) {
	trail, err := pglog.New(ctx, pglog.Config{Pool: pool, Institution: institution})
	if err != nil {
		return false, err
	}
	return singleNodeAccepted(ctx, trail)
}

func singleNodeAccepted(ctx context.Context, trail *pglog.Log) (bool, error) {
	entries, err := trail.Trail(ctx, nodeSubject, 1)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	body, err := audit.ParseBody(entries[0].Body)
	if err != nil {
		return false, fmt.Errorf("reading what the log says of the node: %w", err)
	}
	what, _ := body.Facts.Text("what")
	return body.Kind == "node.accepted" && what == nodeAccepted, nil
}

// AcceptSingleNode makes the acceptance of a single node an entry, or its
// withdrawal. It is durable on return; what the log says already is not said
// again. who is "operator" or "service".
func AcceptSingleNode(ctx context.Context, pool *pgxpool.Pool, institution, who string, accept bool) (written bool, err error) {
	trail, err := pglog.New(ctx, pglog.Config{Pool: pool, Institution: institution})
	if err != nil {
		return false, err
	}
	before, err := singleNodeAccepted(ctx, trail)
	if err != nil || before == accept {
		return false, err
	}
	alias, err := trail.Alias(ctx, who)
	if err != nil {
		return false, err
	}
	what := nodeWithdrawn
	if accept {
		what = nodeAccepted
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := trail.AppendTx(ctx, tx, audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "node.accepted",
			Actor: audit.Actor{ID: alias, Auth: who}, Subject: nodeSubject, Facts: audit.Facts{"what": what}})
		return err
	})
	return err == nil, err
}

// checkNode refuses to start where a failover, or the loss of one node, loses
// what was acknowledged, unless the log says that this is accepted. The flag
// --accept-single-node says so in the log.
func (s *Server) checkNode(ctx context.Context) error {
	single, err := s.singleNode(ctx)
	if err != nil || !single {
		return err
	}
	accepted, err := singleNodeAccepted(ctx, s.trail)
	if err != nil {
		return err
	}
	if !accepted && s.cfg.AcceptNode {
		accepted = true
		// Into a database that is not the published one nothing is written, not even this; acceptNode writes it when it is.
		if _, err := s.compareOnce(ctx); err == nil {
			if accepted, err = AcceptSingleNode(ctx, s.pool, s.cfg.Institution, "service", true); err != nil {
				return err
			}
		}
	}
	if !accepted {
		return fmt.Errorf("%w: no synchronous standby; give one, or accept a single node in the log: sealtraild trail accept-single-node --confirm %s",
			ErrUnfit, s.cfg.Institution)
	}
	s.log.WarnContext(ctx, "no synchronous standby: a single node is accepted", slog.String("institution", s.cfg.Institution))
	return nil
}

// acceptNode makes the flag --accept-single-node an entry, if the start could
// not.
func (s *Server) acceptNode(ctx context.Context) error {
	if !s.cfg.AcceptNode {
		return nil
	}
	return s.standing.during(func(ctx context.Context) error {
		single, err := s.singleNode(ctx)
		if err == nil && single {
			_, err = AcceptSingleNode(ctx, s.pool, s.cfg.Institution, "service", true)
		}
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "acceptance of a single node is no entry yet", slog.String("cause", err.Error()))
		}
		<-ctx.Done()
		return nil
	})(ctx)
}

func (s *Server) singleNode(ctx context.Context) (bool, error) {
	var standbys string
	if err := s.pool.QueryRow(ctx, "show synchronous_standby_names").Scan(&standbys); err != nil {
		return false, fmt.Errorf("asking for standbys: %w", err)
	}
	return standbys == "", nil
}
