package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/store"
)

// floorDatabase is the floor's, in the same cluster.
const floorDatabase = "floor"

// floorTables are the service's own tables with clear text where it has sealed
// envelopes, no manifest and no wrapped keys; keys and indexes are the same.
func floorTables() string {
	var alter []string
	for _, name := range store.SealedFields {
		alter = append(alter, "alter column "+name+"_sealed type text using null")
	}
	return `
create schema floor;
create table floor.complaint (like sealtrail.complaint including all);
alter table floor.complaint drop column manifest, ` + strings.Join(alter, ", ") + `;
create table floor.value_index (like sealtrail.blind_index including all);
alter table floor.value_index add constraint value_index_complaint_fkey foreign key (institution, complaint)
	references floor.complaint (institution, id) deferrable initially immediate;
create table floor.idempotency (like sealtrail.idempotency including all);
create table floor.entry (
	institution text not null, id bigint generated always as identity, body bytea not null, subject text not null,
	inserted_at timestamptz not null default clock_timestamp(), primary key (institution, id)
);
create table floor.record (id bigint primary key, revision bigint not null);
insert into floor.record select n, 0 from generate_series(0, 9999) n;
grant usage on schema floor to sealtrail_app;
grant select, insert, update on all tables in schema floor to sealtrail_app;`
}

func migrateFloor(ctx context.Context, dsn string) error {
	if err := store.Migrate(ctx, dsn); err != nil {
		return err
	}
	return execOn(ctx, dsn, floorTables())
}

const floorClear = `institution, id, revision, schema_version, generation, complaint_no, source, source_id, channel,
received_at, received_evidence, recorded_at, state, stage, sensitivity, level, type, business_code, product_code, reason_code,
branch, department, assignee, party_type, id_type, third_party, regulator_ref, referral, group_flag, amount_band, holds,
retention_until, milestones, performers, extension_days, under_review, earlier_handlers, respondent_bidx, data_subject_bidx, due_at, due_clock, due_provisional`

// floorColumns are those of floor.complaint, in the order of pointers.
var floorColumns = sync.OnceValue(func() []string {
	var names []string
	for name := range strings.SplitSeq(floorClear, ",") {
		names = append(names, strings.TrimSpace(name))
	}
	for _, name := range store.SealedFields {
		names = append(names, name+"_sealed")
	}
	return names
})

var floorSelect = sync.OnceValue(func() string {
	return "select " + strings.Join(floorColumns(), ", ") + " from floor.complaint where institution = $1 and id = $2"
})

// floorInsert stores a row and its index values in one statement, as the
// service does.
var floorInsert = sync.OnceValue(func() string {
	n := len(floorColumns())
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + strconv.Itoa(i+1)
	}
	return fmt.Sprintf(`with tokens as (
	insert into floor.value_index (institution, field, epoch, token, complaint)
	select $1, t.field, 1, t.token, $2 from unnest($%d::text[], $%d::bytea[]) as t (field, token)
) insert into floor.complaint (%s) values (%s)`, n+1, n+2, strings.Join(floorColumns(), ", "), strings.Join(list, ", "))
})

// pointers are the places of a row's columns, for scanning.
func (r *clearRow) pointers(sealed []*string) []any {
	c := &r.Complaint
	all := []any{
		&c.Institution, &c.ID, &c.Revision, &c.SchemaVersion, &c.Generation, &c.ComplaintNo, &c.Source, &c.SourceID, &c.Channel,
		&c.ReceivedAt, &c.ReceivedEvidence, &c.RecordedAt, &c.State, &c.Stage, &c.Sensitivity, &c.Level, &c.Type, &c.BusinessCode,
		&c.ProductCode, &c.ReasonCode, &c.Branch, &c.Department, &c.Assignee, &c.PartyType, &c.IDType, &c.ThirdParty, &c.RegulatorRef,
		&c.Referral, &c.GroupFlag, &c.AmountBand, &c.Holds, &c.RetentionUntil, &c.Milestones, &c.Performers, &c.ExtensionDays, &c.UnderReview,
		&c.EarlierHandlers, &c.RespondentTokens, &c.DataSubjectToken, &c.DueAt, &c.DueClock, &c.DueProvisional,
	}
	for i := range sealed {
		all = append(all, &sealed[i])
	}
	return all
}

// arguments are the values of a row's columns, for writing.
func (r *clearRow) arguments() []any {
	c := &r.Complaint
	all := []any{
		c.Institution, c.ID, int64(c.Revision), int32(c.SchemaVersion), int32(c.Generation), c.ComplaintNo, c.Source, c.SourceID, c.Channel,
		c.ReceivedAt, c.ReceivedEvidence, c.RecordedAt, c.State, c.Stage, c.Sensitivity, c.Level, c.Type, c.BusinessCode,
		c.ProductCode, c.ReasonCode, c.Branch, c.Department, c.Assignee, c.PartyType, c.IDType, c.ThirdParty, c.RegulatorRef,
		c.Referral, c.GroupFlag, c.AmountBand, c.Holds, c.RetentionUntil, c.Milestones, c.Performers, c.ExtensionDays, c.UnderReview,
		c.EarlierHandlers, c.RespondentTokens, c.DataSubjectToken, c.DueAt, c.DueClock, c.DueProvisional,
	}
	for _, name := range store.SealedFields {
		if value, ok := r.values[name]; ok {
			all = append(all, value)
			continue
		}
		all = append(all, nil)
	}
	return all
}

func (d *floorDoor) load(ctx context.Context, id string) (*clearRow, error) {
	r, sealed := &clearRow{values: map[string]string{}}, make([]*string, len(store.SealedFields))
	err := d.pool.QueryRow(ctx, floorSelect(), d.institution, id).Scan(r.pointers(sealed)...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, custody.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("loading: %w", err)
	}
	for i, value := range sealed {
		if value != nil {
			r.values[store.SealedFields[i]] = *value
		}
	}
	return r, nil
}

// use is what the idempotency table keeps, in clear.
type use struct {
	principal, key string
	request        []byte
}

// insertOne looks the idempotency key up and stores a row, its index values and
// the key in one transaction of one round trip.
func (d *floorDoor) insertOne(ctx context.Context, r *clearRow, u use) error {
	const route = "complaints.create"
	var resource string
	err := d.pool.QueryRow(ctx, "select resource from floor.idempotency where institution = $1 and principal = $2 and route = $3 and key_hmac = $4",
		d.institution, u.principal, route, []byte(u.key)).Scan(&resource)
	if !errors.Is(err, pgx.ErrNoRows) {
		return errors.Join(err, custody.ErrIdempotencyReused)
	}
	fields, values := make([]string, len(r.index)), make([][]byte, len(r.index))
	for i, x := range r.index {
		fields[i], values[i] = x.field, x.value
	}
	batch := &pgx.Batch{}
	batch.Queue(floorInsert(), append(r.arguments(), fields, values)...)
	batch.Queue("insert into floor.idempotency (institution, principal, route, key_hmac, request_hmac, status, resource) values ($1, $2, $3, $4, $5, 201, $6)",
		d.institution, u.principal, route, []byte(u.key), u.request, r.ID)
	return d.pool.SendBatch(ctx, batch).Close()
}

// insertMany stores rows, index values and one audit row each by COPY.
func (d *floorDoor) insertMany(ctx context.Context, rows []*clearRow, actor string) error {
	var values, entries [][]any
	for _, r := range rows {
		for _, x := range r.index {
			values = append(values, []any{d.institution, x.field, int32(1), x.value, r.ID})
		}
		body, err := auditRow(r, actor)
		if err != nil {
			return err
		}
		entries = append(entries, []any{d.institution, body, "complaint:" + r.ID})
	}
	return pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return rows[i].arguments(), nil })
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"floor", "complaint"}, floorColumns(), source); err != nil {
			return err
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"floor", "value_index"}, []string{"institution", "field", "epoch", "token", "complaint"}, pgx.CopyFromRows(values)); err != nil {
			return err
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"floor", "entry"}, []string{"institution", "body", "subject"}, pgx.CopyFromRows(entries))
		return err
	})
}

// auditRow is what an ordinary application writes into its audit table.
func auditRow(r *clearRow, actor string) ([]byte, error) {
	return json.Marshal(struct {
		At                                             time.Time
		Kind, Actor, Subject, Purpose                  string
		Channel, Source, Level, Type, Business, Branch string
		ReceivedAt                                     time.Time
	}{r.RecordedAt, "complaint.recorded", actor, "complaint:" + r.ID, "handle", r.Channel, r.Source, r.Level, r.Type, r.BusinessCode, r.Branch, r.ReceivedAt})
}
