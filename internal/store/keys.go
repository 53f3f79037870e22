package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Kinds of wrapped keys, in the order in which OlderKeys walks them. The numbers
// are those of the context that a key is wrapped under (crypto/keyring).
const (
	KeyOfRecord byte = 1 // keys.wrapped
	KeyOfFile   byte = 2 // keys.wrapped_file
	KeyOfIntake byte = 3 // keys.intake
)

// KeyRef names one wrapped key. Refs are ordered: by kind, then by the primary
// key of the kind's table. The zero KeyRef comes before all of them.
type KeyRef struct {
	Kind       byte
	Complaint  string // empty for an intake key
	File       string // of a file's key, else empty
	Generation int    // of an intake key: its version
}

// String is the form that ParseKeyRef reads, for jobs that remember their place.
func (r KeyRef) String() string {
	return strings.Join([]string{strconv.Itoa(int(r.Kind)), r.Complaint, r.File, strconv.Itoa(r.Generation)}, "/")
}

// ParseKeyRef reads what String wrote; "" is the zero KeyRef.
func ParseKeyRef(text string) (KeyRef, error) {
	if text == "" {
		return KeyRef{}, nil
	}
	parts := strings.Split(text, "/")
	if len(parts) != 4 {
		return KeyRef{}, fmt.Errorf("reading the place of a job: want four parts, got %d", len(parts))
	}
	kind, err := strconv.ParseUint(parts[0], 10, 8)
	if err != nil {
		return KeyRef{}, fmt.Errorf("reading the place of a job: its kind is no number")
	}
	generation, err := strconv.Atoi(parts[3])
	if err != nil {
		return KeyRef{}, fmt.Errorf("reading the place of a job: its generation is no number")
	}
	return KeyRef{byte(kind), parts[1], parts[2], generation}, nil
}

// WrappedKey is a wrapped key on its way to a newer version of the master key.
type WrappedKey struct {
	KeyRef
	Blob    string
	Version int // of the master key
}

// olderSQL reads a page of one kind. Each walks its table's primary key, so that
// a page costs what it holds and not what lies before it.
var olderSQL = map[byte]string{
	KeyOfRecord: `select complaint::text, '', generation, wrapped, key_version from keys.wrapped
		where institution = $1 and key_version < $2 and (complaint, generation) > ($3::uuid, $5) and $4::text is not null
		order by institution, complaint, generation limit $6`,
	KeyOfFile: `select complaint::text, file::text, generation, wrapped, key_version from keys.wrapped_file
		where institution = $1 and key_version < $2 and (file, generation) > ($4::uuid, $5) and $3::text is not null
		order by institution, file, generation limit $6`,
	KeyOfIntake: `select '', '', version, wrapped, key_version from keys.intake
		where institution = $1 and key_version < $2 and version > $5 and $3::text is not null and $4::text is not null
		order by institution, version limit $6`,
}

const noUUID = "00000000-0000-0000-0000-000000000000"

// OlderKeys returns up to limit keys after a place whose master key is older
// than version, all of one kind. An empty page means that there are none left
// after that place. It locks nothing: whoever writes them back compares first
// (Rewrap).
func (s *Store) OlderKeys(ctx context.Context, institution string, version int, after KeyRef, limit int) ([]WrappedKey, error) {
	for kind := max(after.Kind, KeyOfRecord); kind <= KeyOfIntake; kind++ {
		from := after
		if kind != after.Kind {
			from = KeyRef{}
		}
		rows, err := s.pool.Query(ctx, olderSQL[kind], institution, version, orNoUUID(from.Complaint), orNoUUID(from.File), from.Generation, limit)
		if err != nil {
			return nil, Classify(err)
		}
		page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (WrappedKey, error) {
			k := WrappedKey{KeyRef: KeyRef{Kind: kind}}
			err := row.Scan(&k.Complaint, &k.File, &k.Generation, &k.Blob, &k.Version)
			return k, err
		})
		if err != nil || len(page) > 0 {
			return page, Classify(err)
		}
	}
	return nil, nil
}

func orNoUUID(id string) string {
	if id == "" {
		return noUUID
	}
	return id
}

// KeyCount is how many keys of a kind are wrapped under one version.
type KeyCount struct {
	Kind    byte
	Version int
	Keys    int64
}

// CountKeys is the inventory of wrapped keys by kind and version. It reads every
// key's row: once at the start and the end of a job, not in a loop.
func (s *Store) CountKeys(ctx context.Context, institution string) ([]KeyCount, error) {
	rows, err := s.pool.Query(ctx, `select 1::int2, key_version, count(*) from keys.wrapped where institution = $1 group by key_version
		union all select 2, key_version, count(*) from keys.wrapped_file where institution = $1 group by key_version
		union all select 3, key_version, count(*) from keys.intake where institution = $1 group by key_version
		order by 1, 2`, institution)
	if err != nil {
		return nil, Classify(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c KeyCount, err error) {
		var kind int16
		err = row.Scan(&kind, &c.Version, &c.Keys)
		c.Kind = byte(kind)
		return c, err
	})
	return list, Classify(err)
}

// CountOlder is how many keys are wrapped under a version older than the one
// named.
func (s *Store) CountOlder(ctx context.Context, institution string, version int) (int64, error) {
	counts, err := s.CountKeys(ctx, institution)
	older := int64(0)
	for _, c := range counts {
		if c.Version < version {
			older += c.Keys
		}
	}
	return older, err
}

// CountMislabelled is how many keys say themselves ("vault:v<n>:") that they are
// wrapped under another version than the column beside them, which CountOlder
// and paging go by: none, unless somebody wrote it there.
func (s *Store) CountMislabelled(ctx context.Context, institution string) (n int64, err error) {
	err = s.pool.QueryRow(ctx, `select count(*) from (
			select wrapped, key_version from keys.wrapped where institution = $1
			union all select wrapped, key_version from keys.wrapped_file where institution = $1
			union all select wrapped, key_version from keys.intake where institution = $1) k
		where starts_with(k.wrapped, 'vault:v') and not starts_with(k.wrapped, 'vault:v' || k.key_version || ':')`, institution).Scan(&n)
	return n, Classify(err)
}

// Rewrapped is a key as it was read and as it shall be.
type Rewrapped struct {
	WrappedKey        // as it was read
	Now        string // the same data key under NowVersion
	NowVersion int
}

// Rewrap writes rewrapped keys back, each only if it is still what was read. It
// returns how many were: the others were destroyed or rewrapped meanwhile, which
// loses nothing.
func (s *Store) Rewrap(ctx context.Context, tx pgx.Tx, institution string, keys []Rewrapped) (int64, error) {
	done, byVersion := int64(0), map[int]*rewrapColumns{}
	for _, k := range keys {
		if k.Kind == KeyOfIntake {
			tag, err := tx.Exec(ctx, `update keys.intake set wrapped = $4, key_version = $5
				where institution = $1 and version = $2 and wrapped = $3 and key_version < $5`, institution, k.Generation, k.Blob, k.Now, k.NowVersion)
			if err != nil {
				return 0, Classify(err)
			}
			done += tag.RowsAffected()
			continue
		}
		if byVersion[k.NowVersion] == nil {
			byVersion[k.NowVersion] = &rewrapColumns{}
		}
		byVersion[k.NowVersion].add(k)
	}
	for version, c := range byVersion {
		var n int64
		err := tx.QueryRow(ctx, `select keys.rewrap($1, $2, $3, $4, $5, $6, $7)`,
			institution, c.complaints, c.files, c.generations, c.was, c.now, version).Scan(&n)
		if err != nil {
			return 0, Classify(err)
		}
		done += n
	}
	return done, nil
}

type rewrapColumns struct {
	complaints, files, was, now []string
	generations                 []int
}

func (c *rewrapColumns) add(k Rewrapped) {
	c.complaints, c.files, c.generations = append(c.complaints, k.Complaint), append(c.files, k.File), append(c.generations, k.Generation)
	c.was, c.now = append(c.was, k.Blob), append(c.now, k.Now)
}

// Why a key was destroyed.
const (
	DestroyedByShred      = "shred"      // the record, or the file, was erased
	DestroyedByGeneration = "generation" // a newer generation took its place
)

// DestroyKey deletes one wrapped key and leaves the row that says so. It says
// whether there was one.
func (s *Store) DestroyKey(ctx context.Context, tx pgx.Tx, institution string, key KeyRef, why string, at time.Time) (bool, error) {
	var n int64
	err := tx.QueryRow(ctx, `select keys.destroy($1, $2, $3, $4, $5, $6)`, institution, key.Complaint, key.File, key.Generation, why, at).Scan(&n)
	return n > 0, Classify(err)
}
