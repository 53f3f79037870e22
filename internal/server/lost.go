package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Lost is a record that the log names and the tables lack, or have at an older
// revision, and that nobody erased.
type Lost struct {
	Complaint string
	Revision  uint64 // that the table has; 0: the record is not there
	Logged    uint64 // newest revision that the log names
	Entry     uint64 // the entry that names it
	Year      int    // log of that entry; 0 while it is pending
	Index     uint64 // its index there
}

// What is missing, as the entry record.lost says it.
const (
	lostRecord   = "missing" // all of the record
	lostRevision = "older"   // what was changed after the revision that is there
)

// What is "missing" or "older".
func (l Lost) What() string {
	if l.Revision == 0 {
		return lostRecord
	}
	return lostRevision
}

// LostRecords compares every complaint that the log in PostgreSQL names with the
// tables, in one snapshot, in the order of ids. Erased records are not lost: an
// entry says who had them erased. Nil: nothing is lost. After a failover that
// lost entries too, the log must be rebuilt first: what it does not name, nobody
// misses.
func LostRecords(ctx context.Context, pool *pgxpool.Pool, institution string) ([]Lost, error) {
	stale, err := store.CheckRevisions(ctx, pool, institution)
	if err != nil {
		return nil, fmt.Errorf("looking for lost records: %w", err)
	}
	return lostOf(stale), nil
}

func lostOf(stale []store.Stale) (list []Lost) {
	for _, s := range stale {
		if s.Lost() {
			list = append(list, Lost{Complaint: s.Complaint, Revision: s.Revision, Logged: s.Logged, Entry: s.Entry, Year: s.Year, Index: s.Index})
		}
	}
	return list
}

// staleFinding is one line of `sealtraild trail check`.
func staleFinding(s store.Stale) pglog.Finding {
	f := pglog.Finding{Table: "sealtrail.complaint", Code: foundStale, ID: s.Entry, HasID: s.Entry > 0, Index: s.Index, HasIndex: s.Year > 0,
		Detail: fmt.Sprintf("complaint %s is at revision %d, the log's newest is %d", s.Complaint, s.Revision, s.Logged)}
	if !s.Lost() {
		return f
	}
	f.Code = foundLost
	if s.Revision == 0 {
		f.Detail = fmt.Sprintf("complaint %s is in the log, newest revision %d, and not in the table", s.Complaint, s.Logged)
	}
	return f
}

// tellLost makes every lost record an entry of its own trail, once for each
// revision that was lost, whichever process found it and however often.
func (s *Server) tellLost(ctx context.Context) error {
	list, err := LostRecords(ctx, s.pool, s.cfg.Institution)
	if err != nil || len(list) == 0 {
		return err
	}
	alias, err := s.trail.Alias(ctx, "service")
	if err != nil {
		return err
	}
	for _, l := range list {
		told, err := s.toldLost(ctx, l)
		if err != nil {
			return err
		}
		if told {
			continue
		}
		s.log.ErrorContext(ctx, "a record that the log names is lost", slog.String("cause", l.What()), slog.Uint64("entry", l.Entry))
		facts := audit.Facts{"what": l.What(), "revision": int(l.Logged)}
		_, err = s.trail.Append(ctx, audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "record.lost", Actor: audit.Actor{ID: alias, Auth: "service"},
			Subject: "complaint:" + l.Complaint, Facts: facts})
		if err != nil {
			return err
		}
	}
	return nil
}

// toldDepth is how far back in a record's trail an entry record.lost is looked
// for: reading a lost record adds entries.
const toldDepth = 200

func (s *Server) toldLost(ctx context.Context, l Lost) (bool, error) {
	entries, err := s.trail.Trail(ctx, "complaint:"+l.Complaint, toldDepth)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		b, err := audit.ParseBody(e.Body)
		if err != nil || b.Kind != "record.lost" {
			continue
		}
		if revision, ok := b.Facts.Int("revision"); ok && revision == int64(l.Logged) {
			return true, nil
		}
	}
	return false, nil
}
