package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/complaint"
)

// SealedFields are the catalogue fields that have a sealed column, in the order
// of Complaint.Sealed. Adding one is a migration and a line here; a test holds
// the list against the catalogue and the table.
var SealedFields = []string{
	"complainant_name", "representative_name", "id_number", "birth_date", "address",
	"phone", "email", "bank_card", "account_no", "transactions",
	"narrative", "demand", "respondent_staff_id", "respondent_name",
	"contact_notes", "findings", "plan", "decision_text",
	"amount_claimed", "amount_paid", "satisfaction_reason", "whistle_report",
}

// Complaint is one row of sealtrail.complaint. Times are UTC with microseconds.
type Complaint struct {
	Institution, ID                                 string
	Revision                                        uint64
	SchemaVersion, Generation                       uint32
	ComplaintNo, Source, SourceID, Channel          string
	ReceivedAt                                      time.Time
	ReceivedEvidence                                string
	RecordedAt                                      time.Time
	State, Stage, Sensitivity, Level, Type          string
	BusinessCode, ProductCode, ReasonCode           string
	Branch, Department, Assignee, PartyType, IDType string
	ThirdParty, RegulatorRef, Referral              string
	GroupFlag                                       bool
	AmountBand                                      string
	Holds                                           []string
	RetentionUntil                                  *time.Time
	Milestones                                      map[string]time.Time
	Performers                                      map[string]string
	ExtensionDays                                   map[string]int
	UnderReview                                     bool
	EarlierHandlers                                 []string
	RespondentTokens                                [][]byte
	DataSubjectToken                                []byte
	DueAt                                           time.Time // Never if no limit is open
	DueClock                                        string
	DueProvisional                                  bool
	Manifest                                        []byte
	Suite                                           uint8 // of every envelope of the row; 0 is written as 1
	Files                                           []complaint.File
	ErasedGroups                                    []string
	RestrictedFrom, RetentionReason                 string
	Sealed                                          [][]byte // by index of SealedFields; nil = nothing stored
	Logged                                          Logged   // not a column: what the log says of the row, where a reader needs it
}

// Never is the DueAt of a complaint without open time limits.
var Never = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

const clearColumns = `institution, id, revision, schema_version, generation, complaint_no, source, source_id, channel,
received_at, received_evidence, recorded_at, state, stage, sensitivity, level, type, business_code, product_code, reason_code,
branch, department, assignee, party_type, id_type, third_party, regulator_ref, referral, group_flag, amount_band, holds,
retention_until, milestones, performers, extension_days, under_review, earlier_handlers, respondent_bidx, data_subject_bidx, due_at, due_clock, due_provisional, manifest,
suite, files, erased_groups, restricted_from, retention_reason`

var (
	columnNames  = allColumns()
	columnList   = strings.Join(columnNames, ", ")
	selectByID   = "select " + columnList + " from sealtrail.complaint where institution = $1 and id = $2"
	selectLocked = selectByID + " for no key update"
	updateByID   = updateStatement()
)

func allColumns() []string {
	var names []string
	for name := range strings.SplitSeq(clearColumns, ",") {
		names = append(names, strings.TrimSpace(name))
	}
	for _, field := range SealedFields {
		names = append(names, field+"_sealed")
	}
	return names
}

// updateStatement sets every column but the key, if the revision is still the
// one named by the last parameter.
func updateStatement() string {
	var sets []string
	for i, name := range columnNames {
		if i >= 2 {
			sets = append(sets, name+" = $"+itoa(i+1))
		}
	}
	return "update sealtrail.complaint set " + strings.Join(sets, ", ") +
		" where institution = $1 and id = $2 and revision = $" + itoa(len(columnNames)+1)
}

// clear returns pointers to the fields of clearColumns, in their order.
func (c *Complaint) clear() []any {
	return []any{
		&c.Institution, &c.ID, &c.Revision, &c.SchemaVersion, &c.Generation, &c.ComplaintNo, &c.Source, &c.SourceID, &c.Channel,
		&c.ReceivedAt, &c.ReceivedEvidence, &c.RecordedAt, &c.State, &c.Stage, &c.Sensitivity, &c.Level, &c.Type, &c.BusinessCode,
		&c.ProductCode, &c.ReasonCode, &c.Branch, &c.Department, &c.Assignee, &c.PartyType, &c.IDType, &c.ThirdParty, &c.RegulatorRef,
		&c.Referral, &c.GroupFlag, &c.AmountBand, &c.Holds, &c.RetentionUntil, &c.Milestones, &c.Performers, &c.ExtensionDays, &c.UnderReview, &c.EarlierHandlers,
		&c.RespondentTokens, &c.DataSubjectToken,
		&c.DueAt, &c.DueClock, &c.DueProvisional, &c.Manifest,
		&c.Suite, &c.Files, &c.ErasedGroups, &c.RestrictedFrom, &c.RetentionReason,
	}
}

func (c *Complaint) pointers() []any {
	if c.Sealed == nil {
		c.Sealed = make([][]byte, len(SealedFields))
	}
	all := c.clear()
	for i := range c.Sealed {
		all = append(all, &c.Sealed[i])
	}
	return all
}

// Field returns the envelope of a sealed field; ok is false if there is no such
// column, nil means that nothing is stored.
func (c *Complaint) Field(name string) (envelope []byte, ok bool) {
	if i := SealedIndex(name); i >= 0 && i < len(c.Sealed) {
		return c.Sealed[i], true
	}
	return nil, false
}

// Stored lists the sealed fields of which there is an envelope.
func (c *Complaint) Stored() []string {
	names := make([]string, 0, len(SealedFields))
	for i, envelope := range c.Sealed {
		if envelope != nil {
			names = append(names, SealedFields[i])
		}
	}
	return names
}

// SealedIndex returns the position of a field in SealedFields, or -1.
func SealedIndex(name string) int {
	for i, field := range SealedFields {
		if field == name {
			return i
		}
	}
	return -1
}

// utc puts every time of a scanned row into UTC, because the manifest's bytes
// are computed from them.
func (c *Complaint) utc() {
	c.ReceivedAt, c.RecordedAt, c.DueAt = c.ReceivedAt.UTC(), c.RecordedAt.UTC(), c.DueAt.UTC()
	if c.RetentionUntil != nil {
		t := c.RetentionUntil.UTC()
		c.RetentionUntil = &t
	}
	for name, at := range c.Milestones {
		c.Milestones[name] = at.UTC()
	}
}

// Wrapped is a row of keys.wrapped.
type Wrapped struct {
	Blob       string
	Commitment []byte
	Version    int
}

// Token is one blind-index entry of a complaint.
type Token struct {
	Field string
	Epoch uint32
	Token []byte
}

// NewComplaint is what a create writes in one statement.
type NewComplaint struct {
	Complaint
	Key    Wrapped
	Tokens []Token
}

var insertOne = `with key as (
	insert into keys.wrapped (institution, complaint, generation, wrapped, commitment, key_version)
	values ($1, $2, $5, ` + param(1) + `, ` + param(2) + `, ` + param(3) + `)
), tokens as (
	insert into sealtrail.blind_index (institution, field, epoch, token, complaint)
	select $1, t.field, t.epoch, t.token, $2
	from unnest(` + param(4) + `::text[], ` + param(5) + `::int[], ` + param(6) + `::bytea[]) as t (field, epoch, token)
)
insert into sealtrail.complaint (` + columnList + `) values (` + placeholders(len(columnNames)) + `)`

// param numbers the parameters behind the complaint's own columns.
func param(n int) string { return "$" + itoa(len(columnNames)+n) }

// InsertOne stores a new complaint, its wrapped key and its tokens, what use
// says of the request that made it (nil: nothing), and whatever more queues
// (nil: nothing): one transaction in one round trip, because PostgreSQL runs a
// batch that does not say otherwise as one. ErrDuplicate means that source and
// source id are already stored, ErrIndexMoved that the tokens are of generations
// that are not written any more; then nothing of all that is.
func (s *Store) InsertOne(ctx context.Context, c *NewComplaint, use *Idempotency, more func(*pgx.Batch) error) error {
	batch := &pgx.Batch{}
	if len(c.Tokens) > 0 {
		batch.Queue(holdIndex, c.Institution, epochsOf(c.Tokens))
	}
	fields, epochs, tokens := tokenColumns(c.Tokens)
	batch.Queue(insertOne, append(deref(c.pointers()), c.Key.Blob, c.Key.Commitment, c.Key.Version, fields, epochs, tokens)...)
	if use != nil {
		batch.Queue(insertIdempotent, use.values()...)
	}
	if more != nil {
		if err := more(batch); err != nil {
			return err
		}
	}
	return Classify(s.pool.SendBatch(ctx, batch).Close())
}

func tokenColumns(list []Token) (fields []string, epochs []int32, tokens [][]byte) {
	for _, t := range list {
		fields, epochs, tokens = append(fields, t.Field), append(epochs, int32(t.Epoch)), append(tokens, t.Token)
	}
	return fields, epochs, tokens
}

// InsertMany stores many new complaints by COPY, all or none.
func (s *Store) InsertMany(ctx context.Context, tx pgx.Tx, list []*NewComplaint) error {
	rows := pgx.CopyFromSlice(len(list), func(i int) ([]any, error) { return deref(list[i].pointers()), nil })
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"sealtrail", "complaint"}, columnNames, rows); err != nil {
		return Classify(err)
	}
	keys := pgx.CopyFromSlice(len(list), func(i int) ([]any, error) {
		c := list[i]
		return []any{c.Institution, c.ID, c.Generation, c.Key.Blob, c.Key.Commitment, c.Key.Version}, nil
	})
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"keys", "wrapped"},
		[]string{"institution", "complaint", "generation", "wrapped", "commitment", "key_version"}, keys); err != nil {
		return Classify(err)
	}
	var tokens [][]any
	var epochs []int32
	for _, c := range list {
		if epochs == nil && len(c.Tokens) > 0 {
			epochs = epochsOf(c.Tokens)
		}
		for _, t := range c.Tokens {
			tokens = append(tokens, []any{c.Institution, t.Field, t.Epoch, t.Token, c.ID})
		}
	}
	if len(tokens) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, holdIndex, list[0].Institution, epochs); err != nil {
		return Classify(err)
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"sealtrail", "blind_index"},
		[]string{"institution", "field", "epoch", "token", "complaint"}, pgx.CopyFromRows(tokens))
	return Classify(err)
}

// Update writes c over the row that still has revision was, and replaces the
// tokens of the fields named in retoken. ErrStale if the row has moved on.
func (s *Store) Update(ctx context.Context, tx pgx.Tx, c *Complaint, was uint64, retoken []string, tokens []Token) error {
	tag, err := tx.Exec(ctx, updateByID, append(deref(c.pointers()), was)...)
	if err != nil {
		return Classify(err)
	}
	if tag.RowsAffected() == 0 {
		return ErrStale
	}
	if len(retoken) == 0 {
		return nil
	}
	return s.retoken(ctx, tx, c, retoken, tokens)
}

// deref turns scan pointers into the values to write.
func deref(pointers []any) []any {
	values := make([]any, len(pointers))
	for i, p := range pointers {
		values[i] = valueOf(p)
	}
	return values
}

func valueOf(pointer any) any {
	switch p := pointer.(type) {
	case *string:
		return *p
	case *uint64:
		return int64(*p)
	case *uint32:
		return int32(*p)
	case *uint8:
		return int16(max(*p, 1))
	case *[]complaint.File:
		return nonNil(*p)
	case *bool:
		return *p
	case *time.Time:
		return *p
	case **time.Time:
		return *p
	case *[]byte:
		return *p
	case *[]string:
		return nonNil(*p)
	case *[][]byte:
		return nonNil(*p)
	case *map[string]time.Time:
		return nonNilMap(*p)
	case *map[string]string:
		return nonNilMap(*p)
	case *map[string]int:
		return nonNilMap(*p)
	}
	panic("store: a column of a type that valueOf does not know")
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func nonNilMap[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}
