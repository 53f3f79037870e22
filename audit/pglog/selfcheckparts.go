package pglog

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// relation is a table-like thing of schema audit, or a child of one wherever it lies.
type relation struct {
	Name   string // with its schema
	Kind   string // pg_class.relkind
	Parent string // "" if it inherits from nothing
	Bound  string // of a partition
	Going  bool   // being detached concurrently
}

// span is the ids or indexes that a partition holds: [lo, hi).
type span struct{ lo, hi int64 }

const relations = `
select n.nspname || '.' || c.relname, c.relkind::text, coalesce(h.inhparent::regclass::text, ''),
	coalesce(pg_get_expr(c.relpartbound, c.oid), ''), coalesce(h.inhdetachpending, false)
from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_inherits h on h.inhrelid = c.oid
where c.relkind in ('r', 'p', 'f', 'v', 'm') and (c.relnamespace = 'audit'::regnamespace
	or h.inhparent in (select oid from pg_class where relnamespace = 'audit'::regnamespace and relkind in ('r', 'p')))
order by 1`

// madeTable finds the tables that the migrations make.
var madeTable = regexp.MustCompile(`(?m)^create table (audit\.[a-z_]+) `)

// partitionBound is the bound of a partition as PostgreSQL spells it.
var partitionBound = regexp.MustCompile(`^FOR VALUES FROM \('(\d+)'\) TO \('(\d+)'\)$`)

// weakPartitions compares the tables of schema audit with those that the migrations and ensure_partition make: what is foreign,
// what is gone, and whether the next partition is there.
func weakPartitions(ctx context.Context, pool *pgxpool.Pool) ([]Weakness, error) {
	rows, err := pool.Query(ctx, relations)
	if err != nil {
		return nil, unavailable("checking the partitions", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[relation])
	if err != nil {
		return nil, unavailable("checking the partitions", err)
	}
	var width, used, below, leaves int64
	err = pool.QueryRow(ctx, `
		select audit.partition_width(), (select last_value from audit.entry_id), (select coalesce(max(size), 0) from audit.tree),
			coalesce((select min(coalesce(r.below, 0)) from (select distinct t.institution from audit.tree t where t.size > 0) i left join lateral (
				select max(k.ids_below) as below from audit.retained k where k.institution = i.institution) r on true), 0)`).Scan(&width, &used, &leaves, &below)
	if err != nil {
		return nil, unavailable("checking the partitions", err)
	}
	text, err := migrationText()
	if err != nil {
		return nil, err
	}
	p := partitions{width: width, below: below, known: map[string]bool{"audit.migration": true}, spans: map[string][]span{}}
	for _, m := range madeTable.FindAllStringSubmatch(text, -1) {
		p.known[m[1]] = true
	}
	for _, r := range list {
		p.relation(r)
	}
	p.coverage("audit.entry", below, used)
	p.coverage("audit.leaf", 0, leaves)
	return p.found, nil
}

// partitions is one look at them.
type partitions struct {
	width, below int64 // entry ids under below may be detached
	known        map[string]bool
	spans        map[string][]span // of the attached partitions, by parent, ascending
	found        []Weakness
}

func (p *partitions) add(object, detail string) {
	p.found = append(p.found, Weakness{WeakPartition, object, detail})
}

// relation judges one relation by itself.
func (p *partitions) relation(r relation) {
	switch {
	case p.known[r.Name] && r.Parent == "" && (r.Kind == "r" || r.Kind == "p"):
	case r.Parent == "audit.entry" || r.Parent == "audit.leaf":
		p.attached(r)
	case r.Parent != "":
		p.add(r.Name, "inherits from "+r.Parent+": its rows look like rows of the log")
	case p.detached(r):
	default:
		p.add(r.Name, "is not part of the log: a detached partition, or somebody's own")
	}
}

// attached judges a partition by name, kind and bound.
func (p *partitions) attached(r relation) {
	m := partitionBound.FindStringSubmatch(r.Bound)
	if r.Kind != "r" || r.Going || m == nil {
		p.add(r.Name, "is a child of "+r.Parent+" and no partition of rows here (foreign, being detached, or without bounds)")
		return
	}
	lo, errLo := strconv.ParseInt(m[1], 10, 64)
	hi, errHi := strconv.ParseInt(m[2], 10, 64)
	if errLo != nil || errHi != nil || hi-lo != p.width || lo%p.width != 0 || r.Name != fmt.Sprintf("%s_%06d", r.Parent, lo/p.width) {
		p.add(r.Name, "was attached by hand: its name or bounds are not those that the log gives a partition")
	}
	p.spans[r.Parent] = append(p.spans[r.Parent], span{lo, hi})
}

// detachedName is the name of a partition of entry.
var detachedName = regexp.MustCompile(`^audit\.entry_(\d{6,})$`)

// detached reports whether a table was detached as the log says.
func (p *partitions) detached(r relation) bool {
	m := detachedName.FindStringSubmatch(r.Name)
	if m == nil || r.Kind != "r" {
		return false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	return err == nil && n >= 0 && n < 1<<38 && (n+1)*p.width <= p.below
}

// coverage looks for holes between the partitions of a parent and for the next one. Of ids under below, partitions may be gone.
func (p *partitions) coverage(parent string, below, used int64) {
	list := p.spans[parent]
	next := below / p.width * p.width
	for _, s := range list { // ascending: names have their number padded with zeros
		if s.lo > next {
			p.add(parent, fmt.Sprintf("has no partition for %d to %d", next, s.lo-1))
		}
		next = max(next, s.hi)
	}
	if next-used < p.width/4 {
		p.add(parent, fmt.Sprintf("has no partition ahead: %d are used of %d", used, next))
	}
}
