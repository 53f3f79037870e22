package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// searchTerms is how many different telephone numbers are searched for.
const searchTerms = 50

// searching measures an equality search through HTTP, the hit opened and masked,
// while the table grows to many times its size. What the table grows by are
// copies of one row with index tokens of their own, written past the door: no
// search hits them, so that nobody need have sealed them.
func searching(ctx context.Context, b *bench) error {
	in, err := b.installed(ctx)
	if err != nil {
		return err
	}
	if _, err := in.admin[ourSide].Exec(ctx, "update people.requirement set value = '100000000' where name = 'reveals_per_hour'"); err != nil {
		return fmt.Errorf("lifting the budget of searches: %w", err)
	}
	c, err := b.clientOf(ctx, ourSide, nil)
	if err != nil {
		return err
	}
	terms, err := c.fileTerms(ctx)
	if err != nil {
		return err
	}
	search := func(ctx context.Context, _ int) error { return c.search(ctx, terms[rand.IntN(len(terms))]) }
	if err := in.growTo(ctx, 10_000); err != nil {
		return err
	}
	to := int64(100_000)
	if b.long {
		to = 1_000_000
	}
	before, small, err := b.searchLoad(ctx, in, search)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := in.growTo(ctx, to); err != nil {
		return err
	}
	grew := time.Since(began)
	after, large, err := b.searchLoad(ctx, in, search)
	if err != nil {
		return err
	}
	b.judge(Line{Name: fmt.Sprintf("equality search, 1 client, p50 at %d records to that at %d", large, small),
		Value: p50Of(after) / p50Of(before), Unit: "x",
		Note: fmt.Sprintf("%.0f against %.0f us, p99 %.0f against %.0f us; grown in %s", p50Of(after), p50Of(before), p99Of(after), p99Of(before), grew.Round(time.Second))},
		atMost(1.3), p50Of(before))
	return nil
}

// searchLoad warms up and measures one client.
func (b *bench) searchLoad(ctx context.Context, in *installation, search act) (load, int64, error) {
	n, err := in.count(ctx, ourSide, "select count(*) from sealtrail.complaint")
	if err != nil {
		return load{}, 0, err
	}
	if _, err := drive(ctx, 1, time.Second, search); err != nil {
		return load{}, 0, err
	}
	l, err := drive(ctx, 1, 2*b.each, search)
	return l, n, err
}

// fileTerms files complaints with telephone numbers that nobody else has.
func (c *client) fileTerms(ctx context.Context) ([]string, error) {
	terms := make([]string, searchTerms)
	for i := range terms {
		terms[i] = fmt.Sprintf("1390%07d", 1_000_003*(i+1)%10_000_000)
		body, err := json.Marshal(map[string]any{
			"source": "bench-search", "source_id": fmt.Sprint(i), "channel": "phone", "received_evidence": "call_record",
			"received_at": time.Now().UTC().Format(time.RFC3339), "level": "unclassified",
			"fields": map[string]string{"narrative": "The fee was taken twice.", "phone": terms[i]},
		})
		if err != nil {
			return nil, err
		}
		if err := c.do(ctx, http.MethodPost, "/v1/complaints", body, http.StatusCreated); err != nil {
			return nil, fmt.Errorf("filing what is searched for: %w", err)
		}
	}
	return terms, nil
}

// search looks for one number and wants one hit.
func (c *client) search(ctx context.Context, phone string) error {
	body, err := json.Marshal(map[string]any{"field": "phone", "value": phone})
	if err != nil {
		return err
	}
	before := c.answered.Load()
	if err := c.do(ctx, http.MethodPost, "/v1/complaints:search", body, http.StatusOK); err != nil {
		return err
	}
	if c.answered.Load()-before < 500 {
		return fmt.Errorf("searching: no hit")
	}
	return nil
}

// growTo adds rows until there are so many.
func (in *installation) growTo(ctx context.Context, to int64) error {
	conn := in.admin[ourSide]
	var columns string
	err := conn.QueryRow(ctx, `select string_agg(case attname when 'id' then 'r.id' when 'complaint_no' then 'r.id::text' when 'source_id' then 'r.id::text'
		when 'source' then '''bench-grown''' else case when attname like '%\_sealed' then 'null' else 'c.' || quote_ident(attname) end end, ', ' order by attnum)
		from pg_attribute where attrelid = 'sealtrail.complaint'::regclass and attnum > 0 and not attisdropped`).Scan(&columns)
	if err != nil {
		return fmt.Errorf("growing the table: %w", err)
	}
	var sql bytes.Buffer
	fmt.Fprintf(&sql, `set session_replication_role = replica;
		create temporary table grown as select gen_random_uuid() as id from generate_series(1, greatest(0, %d - (select count(*) from sealtrail.complaint)));
		insert into sealtrail.complaint select %s from grown r, (select * from sealtrail.complaint where source = 'bench-search' limit 1) c;
		insert into sealtrail.blind_index (institution, field, epoch, token, complaint)
		select c.institution, f.field, 1, sha256(convert_to(f.field || g.id::text, 'UTF8')), g.id
		from grown g, unnest(array['phone', 'id_number', 'bank_card', 'account_no', 'email']) f (field), (select institution from sealtrail.complaint limit 1) c;
		drop table grown;
		set session_replication_role = origin;
		analyze sealtrail.complaint; analyze sealtrail.blind_index;`, to, columns)
	if _, err := conn.Exec(ctx, sql.String()); err != nil {
		return fmt.Errorf("growing the table: %w", err)
	}
	return nil
}
