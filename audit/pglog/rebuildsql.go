package pglog

import (
	"fmt"

	"github.com/jackc/pgx/v5"
)

// contradictions names what the database holds and the published log does not say, or says otherwise.
func (r *Rebuilder) contradictions() error {
	found, err := r.contradicted()
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return &ContradictionError{found}
	}
	return nil
}

func (r *Rebuilder) contradicted() (found []Finding, err error) {
	rows, err := r.tx.Query(r.ctx, `
		select 'audit.leaf', 'changed', l.entry_id, l.idx, 'the published leaf at this index is another' -- a leaf of another history
		from audit.leaf l join rebuilt_leaf p on p.year = l.year and p.idx = l.idx where l.institution = $1
		  and (l.entry_id, l.hash, l.seq_at, l.trail_n, l.prev) is distinct from (p.id, p.hash, p.seq_at, p.trail_n, p.prev)
		union all
		select 'audit.leaf', 'twice', l.entry_id, l.idx, 'the entry is published at another index'
		from audit.leaf l join rebuilt_leaf p on p.id = l.entry_id where l.institution = $1 and (l.year, l.idx) is distinct from (p.year, p.idx)
		union all
		select 'audit.entry', 'changed', e.id, null, 'the published entry with this id is another'
		from audit.entry e join rebuilt_leaf p on p.id = e.id where e.institution = $1 and (e.body, e.subject) is distinct from (p.body, p.subject)
		union all
		select 'audit.entry', 'missing', l.entry_id, l.idx, 'the entry of this leaf is gone'
		from audit.leaf l where l.institution = $1 and not exists (select from audit.entry e where e.institution = $1 and e.id = l.entry_id)
		  and not exists (select from rebuilt_leaf p where p.id = l.entry_id)
		union all
		select 'audit.checkpoint', 'root', null, c.size - 1, 'the published checkpoint of this size has another root'
		from audit.checkpoint c join rebuilt_checkpoint p on p.year = c.year and p.size = c.size where c.institution = $1 and c.root <> p.root
		union all
		select 'audit.log', 'changed', null, null, 'log ' || l.year || ' has another origin than the published one'
		from audit.log l join unnest($2::integer[], $3::text[]) p (year, origin) on p.year = l.year where l.institution = $1 and l.origin <> p.origin
		union all
		select 'audit.tree', 'behind', null, t.size, 'log ' || t.year || ' goes on although a log is behind the published one'
		from audit.tree t join unnest($2::integer[], $4::bigint[]) p (year, size) on p.year = t.year where t.institution = $1 and t.size > p.size
		  and exists (select from unnest($2::integer[], $4::bigint[]) q (year, size)
			left join audit.tree k on k.institution = $1 and k.year = q.year where coalesce(k.size, 0) < q.size)
		order by 1, 3, 4 limit $5`, r.cfg.Institution, r.years(), r.origins(), r.sizes(), maxNamed)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Finding, err error) {
		var id, index *int64
		err = row.Scan(&f.Table, &f.Code, &id, &index, &f.Detail)
		if id != nil {
			f.ID, f.HasID = uint64(*id), true
		}
		if index != nil {
			f.Index, f.HasIndex = uint64(*index), true
		}
		return f, err
	})
}

func (r *Rebuilder) years() (list []int32) {
	for _, l := range r.logs {
		list = append(list, int32(l.Shard.Year))
	}
	return list
}

func (r *Rebuilder) origins() (list []string) {
	for _, l := range r.logs {
		list = append(list, l.Shard.Origin)
	}
	return list
}

func (r *Rebuilder) sizes() (list []int64) {
	for _, l := range r.logs {
		list = append(list, int64(l.Size))
	}
	return list
}

// insert adds what the database lacks, and moves the heads of logs and trails, which are no evidence but a summary of it.
func (r *Rebuilder) insert() error {
	for _, l := range r.logs {
		if err := r.insertLog(l); err != nil {
			return err
		}
	}
	if err := r.partitions(); err != nil {
		return err
	}
	added := map[int]int{}
	rows, err := r.tx.Query(r.ctx, `
		with new as (
			insert into audit.entry (institution, id, body, subject, inserted_at)
			select $1, p.id, p.body, p.subject, p.seq_at from rebuilt_leaf p
			where not exists (select from audit.entry e where e.institution = $1 and e.id = p.id) order by p.id
			returning id)
		select p.year, count(*) from new join rebuilt_leaf p using (id) group by 1`, r.cfg.Institution)
	if err != nil {
		return err
	}
	var year, n int
	if _, err := pgx.ForEachRow(rows, []any{&year, &n}, func() error { added[year] = n; return nil }); err != nil {
		return err
	}
	if err := r.insertRest(); err != nil {
		return err
	}
	for _, l := range r.logs {
		if l.Had < l.Size {
			l.Added = added[l.Shard.Year]
			r.out.Logs = append(r.out.Logs, l.RebuiltLog)
		}
	}
	return nil
}

// insertLog makes a log's row and moves its tree. The newest log is open, the others are closed.
func (r *Rebuilder) insertLog(l *rebuiltLog) error {
	if l.Had >= l.Size {
		return nil
	}
	s := l.Shard
	var b pgx.Batch
	b.Queue("update audit.log set state = 'closed' where institution = $1 and year < $2 and state = 'open'", s.Institution, s.Year)
	b.Queue(`insert into audit.log (institution, year, origin, state)
		select $1, $2, $3, case when exists (select from audit.log where institution = $1 and year > $2) then 'closed' else 'open' end
		on conflict (institution, year) do nothing`, s.Institution, s.Year, s.Origin)
	b.Queue(`insert into audit.tree as t (institution, year, size, compact, root, epoch, last_seq_at) values ($1, $2, $3, $4, $5, 1, $6)
		on conflict (institution, year) do update
		set size = excluded.size, compact = excluded.compact, root = excluded.root, epoch = t.epoch + 1, last_seq_at = excluded.last_seq_at`,
		s.Institution, s.Year, int64(l.Size), flatten(l.tree.Hashes()), l.Root[:], l.seqAt)
	return r.tx.SendBatch(r.ctx, &b).Close()
}

// partitions makes every partition that the rows need, with its fences, and moves the ids of new entries out of the way.
func (r *Rebuilder) partitions() error {
	if err := r.tx.QueryRow(r.ctx, "select setval('audit.entry_id', greatest((select last_value from audit.entry_id), $1))",
		int64(r.maxID+idsSkipped)).Scan(&r.out.SkipTo); err != nil {
		return err
	}
	if _, err := r.tx.Exec(r.ctx, `
		select audit.ensure_partition('entry', n) from (select distinct id / 16777216 as n from rebuilt_leaf order by 1) p`); err != nil {
		return err
	}
	_, err := r.tx.Exec(r.ctx, `
		select audit.ensure_partition('leaf', n) from (select distinct idx / 16777216 as n from rebuilt_leaf order by 1) p;
		select audit.ensure_partitions();`)
	return err
}

// insertRest adds leaves, trail heads and checkpoints and takes what is published out of the queue.
func (r *Rebuilder) insertRest() error {
	claimed, err := r.tx.Exec(r.ctx, "delete from audit.pending q using rebuilt_leaf p where q.institution = $1 and q.id = p.id", r.cfg.Institution)
	if err != nil {
		return err
	}
	r.out.Claimed = int(claimed.RowsAffected())
	for what, sql := range map[string]string{
		"audit.leaf": `
			insert into audit.leaf (institution, year, idx, entry_id, hash, seq_at, trail_n, prev, prev_id)
			select $1, p.year, p.idx, p.id, p.hash, p.seq_at, p.trail_n, p.prev, p.prev_id from rebuilt_leaf p
			where not exists (select from audit.leaf l where l.institution = $1 and l.year = p.year and l.idx = p.idx) order by p.year, p.idx`,
		"audit.trail": `
			insert into audit.trail (institution, subject, n, year, last_idx, last_id, last_hash, revision, state, state_id)
			select $1, p.* from rebuilt_trail p
			on conflict (institution, subject) do update
			set n = excluded.n, year = excluded.year, last_idx = excluded.last_idx, last_id = excluded.last_id, last_hash = excluded.last_hash,
				revision = excluded.revision, state = excluded.state, state_id = excluded.state_id`,
		"audit.checkpoint": `
			insert into audit.checkpoint as c (institution, year, size, root, note) select $1, p.* from rebuilt_checkpoint p
			on conflict (institution, year, size) do update set note = excluded.note where c.note is null`,
	} {
		if _, err := r.tx.Exec(r.ctx, sql, r.cfg.Institution); err != nil {
			return fmt.Errorf("inserting into %s: %w", what, withoutDetail(err))
		}
	}
	return nil
}

// leftOver names what stays pending.
func (r *Rebuilder) leftOver() error {
	if err := r.tx.QueryRow(r.ctx, "select count(*) from audit.pending where institution = $1", r.cfg.Institution).Scan(&r.out.Waiting); err != nil {
		return err
	}
	rows, err := r.tx.Query(r.ctx, "select id from audit.pending where institution = $1 order by id limit $2", r.cfg.Institution, maxNamed)
	if err != nil {
		return err
	}
	r.out.Pending, err = pgx.CollectRows(rows, pgx.RowTo[uint64])
	return err
}
