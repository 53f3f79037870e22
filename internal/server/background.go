package server

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/httpapi"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

// ErrUnfit says that the service must not start on this database or with these
// rights. The message lists why.
var ErrUnfit = errors.New("the database is not fit to keep the log")

// selfCheck refuses to start where an acknowledged entry could be lost or
// changed without a trace (audit.md, append-only fences).
func (s *Server) selfCheck(ctx context.Context) error {
	found, err := pglog.SelfCheck(ctx, s.pool)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return s.checkNode(ctx)
	}
	lines := make([]string, len(found))
	for i, w := range found {
		lines[i] = w.String()
	}
	return fmt.Errorf("%w: %s", ErrUnfit, strings.Join(lines, "; "))
}

func (s *Server) api(ctx context.Context) (http.Handler, error) {
	pages, err := store.New(s.pool).Shared(ctx, s.cfg.Institution, "pages")
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Config{CursorKey: pages, Door: s.door, Verifier: s.verifier, Logger: s.log, Tracer: s.tel.Tracer, Meter: s.tel.Meter,
		Version: Version, Reasons: s.reason})
}

func (s *Server) reason(code string) (httpapi.Reason, bool) {
	r, ok := s.policy.Reason(code)
	return httpapi.Reason{ZH: r.Chinese, EN: r.English, NextZH: r.NextChinese, NextEN: r.NextEnglish}, ok
}

// checks are what /readyz asks.
func (s *Server) checks() []httpapi.Check {
	return []httpapi.Check{
		{Name: "db", Check: s.pool.Ping},
		{Name: "vault", Check: func(context.Context) error { return errors.Join(s.login.Err(), s.keys.Health()) }},
		{Name: "audit-writable", Check: s.auditWritable},
		{Name: "log-moving", Check: s.logMoving},
		{Name: "log-standing", Check: func(context.Context) error { return s.standing.Err() }},
		{Name: "policy", Check: func(context.Context) error {
			if digest, _ := s.policy.Bundle(); digest == "" {
				return errors.New("no policy bundle is active")
			}
			return nil
		}},
		{Name: "published", Check: func(context.Context) error {
			p := s.publisher.current()
			if p == nil {
				return errors.New("the log has no publisher yet")
			}
			return p.Status().Err
		}},
	}
}

// auditWritable asks whether an entry could be written, without writing one:
// probes must not feed the log.
func (s *Server) auditWritable(ctx context.Context) error {
	var writable bool
	err := s.pool.QueryRow(ctx, `select not pg_is_in_recovery() and has_function_privilege('audit.append(text, bytea[], text[])', 'execute')`).Scan(&writable)
	if err == nil && !writable {
		err = errors.New("entries cannot be appended")
	}
	return err
}

// founding is data that the log names and whose bytes are published beside it.
type founding struct {
	subject, kind string
	facts         audit.Facts
	blob          []byte
	digest        string
}

// charter writes, once per change, what the service decides and counts by: the
// policy bundle, the calendar, the limits, the definitions, the adopted norm.
// It waits until this year's log is open and then ends; signing may come later.
func (s *Server) charter(ctx context.Context) error {
	for s.standing.Err() != nil || s.publisher.ensure(ctx) != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
	list, err := s.foundings()
	if err != nil {
		return err
	}
	for {
		if err = s.proclaim(ctx, list); err == nil || ctx.Err() != nil {
			return nil
		}
		s.log.WarnContext(ctx, "founding entries not written yet", slog.String("cause", err.Error()))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func (s *Server) foundings() ([]founding, error) {
	digest, archive := s.policy.Bundle()
	origin := s.shard().Origin
	list := []founding{
		{subject: "log", kind: "log.opened", facts: audit.Facts{"origin": origin}, digest: origin},
		{subject: "bundle", kind: "bundle.activated", facts: audit.Facts{"sequence": int(s.policy.Sequence()), "digest": digest}, blob: archive, digest: digest},
	}
	for _, n := range supervision.Publications() {
		facts := audit.Facts{"digest": n.Digest}
		if n.What != "" {
			facts["what"] = n.What
		}
		list = append(list, founding{subject: strings.TrimSuffix(n.Kind+"."+n.What, "."), kind: n.Kind, facts: facts, blob: n.Data, digest: n.Digest})
	}
	adopted, err := s.cfg.adopted()
	if err == nil && !adopted.IsZero() {
		list = append(list, founding{subject: "norm", kind: "norm.adopted", digest: clock.ProfilesDigest(), blob: clock.ProfilesJSON(),
			facts: audit.Facts{"norm": "norm", "digest": clock.ProfilesDigest(), "effective_from": adopted.Format(time.RFC3339Nano)}})
	}
	return list, err
}

// proclaim publishes the blobs first and then appends the entries that name
// them. crash here: a blob that no entry names yet, named by the next start.
func (s *Server) proclaim(ctx context.Context, list []founding) error {
	alias, err := s.trail.Alias(ctx, "service")
	if err != nil {
		return err
	}
	folder, err := publish.NewFolder(s.publisher.folder(s.shard()))
	if err != nil {
		return err
	}
	digest, _ := s.policy.Bundle()
	bodies := []audit.Body{s.serviceEvent(alias, "service", "service.started", audit.Facts{"version": Version, "bundle": digest, "calendar": clock.China().Digest(), "fips": fips140.Enabled(),
		"fips_mode": fipsMode(), "memory_locked": s.keys.Locked()})}
	for _, f := range list {
		if f.blob != nil {
			if _, err := publish.PutBlob(ctx, folder, f.blob); err != nil {
				return err
			}
		}
		said, err := s.said(ctx, f)
		if err != nil {
			return err
		}
		if !said {
			bodies = append(bodies, s.serviceEvent(alias, f.subject, f.kind, f.facts))
		}
	}
	_, err = s.trail.Append(ctx, bodies...)
	return err
}

// said reports whether the newest entry about the subject names this very data.
func (s *Server) said(ctx context.Context, f founding) (bool, error) {
	entries, err := s.trail.Trail(ctx, "charter:"+f.subject, 1)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	if f.kind == "log.opened" {
		return true, nil // of a later year's log, the log itself says so, and names the one before
	}
	b, err := audit.ParseBody(entries[len(entries)-1].Body)
	if err != nil {
		return false, err
	}
	digest, _ := b.Facts.Text("digest")
	origin, _ := b.Facts.Text("origin")
	return digest == f.digest || origin == f.digest, nil
}

func (s *Server) serviceEvent(alias, subject, kind string, facts audit.Facts) audit.Body {
	return audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: kind, Actor: audit.Actor{ID: alias, Auth: "service"},
		Subject: "charter:" + subject, Facts: facts}
}

// tell alarms about a finding and makes it an entry.
func (s *Server) tell(ctx context.Context, f pglog.Finding) error {
	s.log.ErrorContext(ctx, "stored log differs", slog.String("table", f.Table), slog.String("cause", f.Code))
	alias, err := s.trail.Alias(ctx, "service")
	if err != nil {
		return err
	}
	table := f.Table
	if !complaint.Registry().FactFits("trail.violation", "table", table) {
		table = "other"
	}
	facts := audit.Facts{"table": table, "what": f.Code}
	if f.HasID {
		facts["id"] = fmt.Sprintf("e%d", f.ID)
	}
	if f.HasIndex {
		facts["idx"] = int(f.Index)
	}
	_, err = s.trail.Append(ctx, s.serviceEvent(alias, "violation", "trail.violation", facts))
	return err
}

// expire closes emergency accesses whose time is over.
func (s *Server) expire(ctx context.Context) error {
	return every(ctx, 5*time.Second, func(ctx context.Context) {
		if err := s.door.ExpireBreakGlass(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "break-glass not closed", slog.String("cause", err.Error()))
		}
	})
}

// health writes the hourly entry about the log itself, if the log grew
// otherwise: an idle log does not feed itself.
func (s *Server) health(ctx context.Context) error {
	var last uint64
	return every(ctx, time.Hour, func(ctx context.Context) {
		p := s.publisher.current()
		if p == nil || !s.publisher.leads() {
			return
		}
		status := p.Status()
		if status.Size <= last+1 || status.PublishedAt.IsZero() {
			return
		}
		alias, err := s.trail.Alias(ctx, "service")
		if err != nil {
			return
		}
		lag := max(0, time.Since(status.PublishedAt).Milliseconds())
		facts := audit.Facts{"max_lag_ms": int(lag), "verified_to": int(status.Size), "gaps": 0}
		if _, err := s.trail.Append(ctx, s.serviceEvent(alias, "health", "trail.health", facts)); err == nil {
			last = status.Size
		}
	})
}
