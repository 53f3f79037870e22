package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
)

// Stale is a complaint whose row is not what the log last said of it.
type Stale struct {
	Complaint string
	Revision  uint64 // of the row; 0 if there is none
	Logged    uint64 // newest revision in the log; 0 if there is none
	Entry     uint64 // the entry that says so; 0 if there is none
	Year      int    // the log that the entry stands in; 0 while it is pending
	Index     uint64 // its index there
	Erased    uint64 // the entry by which the record was erased; 0 if it was not
}

// Lost reports whether something of the record that was acknowledged is gone:
// the log names a newer revision than the table has, or a record that the table
// has not, and no entry says that it was erased.
func (s Stale) Lost() bool { return s.Revision < s.Logged && s.Erased == 0 }

// said is what the log says of a complaint.
type said struct {
	revision, entry uint64 // the newest revision and the entry that names it
	manifests       []sealed
	// twice: two changes made one revision, each with a manifest of its own:
	// the trace of a change made from an older state.
	twice bool
}

// sealed is the digest of the manifest of one revision.
type sealed struct {
	revision uint64
	manifest [sha256.Size]byte
}

// of is the manifest of a revision.
func (s *said) of(revision uint64) (manifest [sha256.Size]byte, ok bool) {
	for _, m := range slices.Backward(s.manifests) {
		if m.revision == revision {
			return m.manifest, true
		}
	}
	return manifest, false
}

// add takes up one more entry.
func (s *said) add(id, revision uint64, manifest [sha256.Size]byte) {
	was, known := s.of(revision)
	if known && was != manifest {
		s.twice, s.entry = true, id
	}
	if !known {
		s.manifests = append(s.manifests, sealed{revision, manifest})
	}
	if revision >= s.revision {
		s.revision = revision
		if !s.twice {
			s.entry = id
		}
	}
}

// CheckRevisions names complaints that are not at the revision, or have not the
// manifest, that the log last recorded, in the order of their ids. A row that
// was put back to an older state as a whole verifies by itself; only the log
// knows better. It reads the whole log in one snapshot and changes nothing.
// Entries that cannot be read are the business of pglog.Check.
func CheckRevisions(ctx context.Context, pool *pgxpool.Pool, institution string) ([]Stale, error) {
	var list []Stale
	err := pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		newest, err := logged(ctx, tx, institution)
		if err != nil {
			return err
		}
		if list, err = compare(ctx, tx, institution, newest); err != nil || len(list) == 0 {
			return err
		}
		return placed(ctx, tx, institution, list)
	})
	slices.SortFunc(list, func(a, b Stale) int { return cmp.Compare(a.Complaint, b.Complaint) })
	return list, Classify(err)
}

// logged folds the entries of all changes, from the log's own tables: both sides
// must come from one snapshot. (A reader of one complaint asks the head of its
// trail instead, joinLogged.)
func logged(ctx context.Context, tx pgx.Tx, institution string) (map[string]*said, error) {
	rows, err := tx.Query(ctx, `select id, body from audit.entry where institution = $1 and subject like 'complaint:%'
		and position('"manifest":'::bytea in body) > 0 order by id`, institution)
	if err != nil {
		return nil, err
	}
	newest := map[string]*said{}
	var id uint64
	var body []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &body}, func() error {
		b, err := audit.ParseBody(body)
		if err != nil || b.Revision == 0 {
			return nil //nolint:nilerr // pglog.Check names entries that cannot be read
		}
		digest, err := hex.DecodeString(b.Commit["manifest"])
		if err != nil || len(digest) != sha256.Size {
			return nil //nolint:nilerr // of another kind: it says nothing of a manifest
		}
		complaint := strings.TrimPrefix(b.Subject, "complaint:")
		if newest[complaint] == nil {
			newest[complaint] = &said{}
		}
		newest[complaint].add(id, b.Revision, [sha256.Size]byte(digest))
		return nil
	})
	return newest, err
}

// compare holds the rows against the log. What the log knows and the table does
// not have is a row that was removed.
func compare(ctx context.Context, tx pgx.Tx, institution string, newest map[string]*said) ([]Stale, error) {
	rows, err := tx.Query(ctx, `select id, revision, manifest from sealtrail.complaint where institution = $1`, institution)
	if err != nil {
		return nil, err
	}
	var list []Stale
	var id string
	var revision uint64
	var manifest []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &revision, &manifest}, func() error {
		s := newest[id]
		delete(newest, id)
		if s == nil {
			list = append(list, Stale{Complaint: id, Revision: revision})
			return nil
		}
		if logged, ok := s.of(revision); s.twice || s.revision != revision || !ok || logged != sha256.Sum256(manifest) {
			list = append(list, Stale{Complaint: id, Revision: revision, Logged: s.revision, Entry: s.entry})
		}
		return nil
	})
	for id, s := range newest {
		list = append(list, Stale{Complaint: id, Logged: s.revision, Entry: s.entry})
	}
	return list, err
}

// placed adds where in the log each finding's entry stands, and whether the
// record was erased.
func placed(ctx context.Context, tx pgx.Tx, institution string, list []Stale) error {
	byEntry, bySubject := map[int64]*Stale{}, map[string]*Stale{}
	var entries []int64
	var subjects []string
	for i := range list {
		s := &list[i]
		byEntry[int64(s.Entry)], bySubject["complaint:"+s.Complaint] = s, s
		entries, subjects = append(entries, int64(s.Entry)), append(subjects, "complaint:"+s.Complaint)
	}
	rows, err := tx.Query(ctx, `select entry_id, year, idx from audit.leaf where institution = $1 and entry_id = any($2)`, institution, entries)
	if err != nil {
		return err
	}
	var id, index int64
	var year int
	_, err = pgx.ForEachRow(rows, []any{&id, &year, &index}, func() error {
		byEntry[id].Year, byEntry[id].Index = year, uint64(index)
		return nil
	})
	if err != nil {
		return err
	}
	rows, err = tx.Query(ctx, `select id, subject from audit.entry where institution = $1 and subject = any($2)
		and position('"kind":"erasure.shredded"'::bytea in body) > 0`, institution, subjects)
	if err != nil {
		return err
	}
	var subject string
	_, err = pgx.ForEachRow(rows, []any{&id, &subject}, func() error {
		bySubject[subject].Erased = uint64(id)
		return nil
	})
	return err
}
