package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/httpapi"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// floorConfig tells the floor's process what the service is told by flags.
type floorConfig struct {
	Listen, DSN, Institution, Issuer, Audience, JWKS string
}

// serveFloor is the floor of contracts.md 9: the very HTTP stack of the service
// (huma, tokens, decoding, checks, encoding, telemetry) over a door that seals
// nothing, asks no policy and keeps no log.
func serveFloor(ctx context.Context, file string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	server.TuneMemory() // as the service
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("configuring the floor: %w", err)
	}
	var cfg floorConfig
	if err := json.Unmarshal(raw, &cfg); err != nil {
		return fmt.Errorf("configuring the floor: %w", err)
	}
	pool, err := newPool(ctx, cfg.DSN)
	if err != nil {
		return err
	}
	defer pool.Close()
	verifier, err := authn.New(ctx, authn.Config{JWKSFile: cfg.JWKS, Issuer: cfg.Issuer, Audience: cfg.Audience})
	if err != nil {
		return err
	}
	tel, err := telemetry.New(ctx, telemetry.Config{Service: "floor"})
	if err != nil {
		return err
	}
	door := &floorDoor{institution: cfg.Institution, pool: pool, calendar: clock.China()}
	door.profile = clock.CNLaw().With(clock.Norm(), time.Date(2024, 1, 1, 0, 0, 0, 0, clock.Zone))
	api, err := httpapi.New(httpapi.Config{Door: door, Verifier: verifier, Logger: tel.Logger, Tracer: tel.Tracer, Meter: tel.Meter})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	return httpapi.Serve(ctx, httpapi.ServeConfig{Listener: listener, Handler: api})
}

// floorDoor stores and shows complaints in clear. It has the three operations
// that are measured; the others are not there to be called.
type floorDoor struct {
	httpapi.Door
	institution string
	pool        *pgxpool.Pool
	profile     clock.Profile
	calendar    *clock.Calendar
}

// clearRow is a complaint in clear with what it is found by.
type clearRow struct {
	store.Complaint
	values map[string]string
	index  []indexed
}

// indexed is one normalised value of an equality index.
type indexed struct {
	field string
	value []byte
}

// row checks a draft as the service does and makes a row of it.
func (d *floorDoor) row(draft intake.Draft, now time.Time) (*clearRow, error) {
	draft = intake.Clean(draft)
	if problems := intake.Validate(draft, now); len(problems) > 0 {
		return nil, &custody.InvalidError{Problems: problems}
	}
	r := &clearRow{values: draft.Fields}
	for _, f := range complaint.IndexedFields() {
		value := draft.Fields[f.Name]
		if value == "" {
			continue
		}
		normalised, err := blindindex.Normalise(blindindex.Kind(f.Index), value)
		if err != nil {
			return nil, err
		}
		r.index = append(r.index, indexed{f.Name, normalised})
		if f.Name == "id_number" {
			r.DataSubjectToken = normalised
		}
	}
	d.fill(&r.Complaint, draft, now)
	return r, nil
}

// fill copies what stays clear in the service too.
func (d *floorDoor) fill(c *store.Complaint, draft intake.Draft, now time.Time) {
	c.Institution, c.ID, c.Revision, c.SchemaVersion, c.Generation = d.institution, newUUID(), 1, complaint.CatalogueVersion(), 1
	c.ComplaintNo, c.Source, c.SourceID, c.Channel = complaint.ComplaintNo(), draft.Source, draft.SourceID, draft.Channel
	c.ReceivedAt, c.ReceivedEvidence, c.RecordedAt = draft.ReceivedAt.UTC().Truncate(time.Microsecond), draft.ReceivedEvidence, now
	c.State, c.Sensitivity, c.Level, c.Type = complaint.StateRecorded, "ordinary", draft.Level, draft.Type
	c.Stage = complaint.StageOf(c.State)
	if draft.Fields["whistle_report"] != "" {
		c.Sensitivity = "whistle"
	}
	c.BusinessCode, c.ProductCode, c.ReasonCode = draft.BusinessCode, draft.ProductCode, draft.ReasonCode
	c.Branch, c.Department, c.PartyType, c.IDType = draft.Branch, draft.Department, draft.PartyType, draft.IDType
	c.ThirdParty, c.RegulatorRef, c.Referral, c.GroupFlag = draft.ThirdParty, draft.RegulatorRef, draft.Referral, draft.GroupFlag
	c.Milestones, c.Performers, c.ExtensionDays = map[string]time.Time{"complaint.recorded": now}, map[string]string{}, map[string]int{}
	c.Holds, c.EarlierHandlers, c.RespondentTokens, c.DueAt = []string{}, []string{}, [][]byte{}, store.Never
	if due, ok := clock.Binding(clock.DueDates(d.profile, d.calendar, milestones(c))); ok {
		c.DueAt, c.DueClock, c.DueProvisional = due.DueAt.UTC(), due.Clock, due.Provisional
	}
}

func milestones(c *store.Complaint) clock.Milestones {
	return clock.Milestones{ReceivedAt: c.ReceivedAt, Events: c.Milestones, Referral: c.Referral}
}

// dues are computed with each answer, as in the service.
func (d *floorDoor) dues(c *store.Complaint) []custody.Due {
	list := clock.DueDates(d.profile, d.calendar, milestones(c))
	binding, found := clock.Binding(list)
	dues := make([]custody.Due, len(list))
	for i, x := range list {
		dues[i] = custody.Due{Clock: x.Clock, Basis: x.Basis, Law: x.Law, DueAt: x.DueAt.UTC(), RolledDueAt: x.RolledDueAt.UTC(),
			Provisional: x.Provisional, MetAt: x.Met, Binding: found && x.Clock == binding.Clock}
	}
	return dues
}

func (d *floorDoor) created(c *store.Complaint) *custody.Created {
	return &custody.Created{ID: c.ID, ComplaintNo: c.ComplaintNo, Revision: c.Revision, State: c.State, Due: d.dues(c), Audit: someEntry()}
}

// someEntry fills the places that the service fills from its log, so that the
// answers have the same bytes.
func someEntry() custody.AuditRef {
	return custody.AuditRef{Entry: 123456, BodySHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
}

// Create stores one complaint.
func (d *floorDoor) Create(ctx context.Context, c custody.Caller, r custody.CreateRequest) (*custody.Created, error) {
	request, err := json.Marshal(r.Draft)
	if err != nil {
		return nil, err
	}
	row, err := d.row(r.Draft, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return nil, err
	}
	if err := d.insertOne(ctx, row, use{c.Person, r.IdempotencyKey, request}); err != nil {
		return nil, err
	}
	return d.created(&row.Complaint), nil
}

// CreateBatch stores many, each with an audit row.
func (d *floorDoor) CreateBatch(ctx context.Context, c custody.Caller, _ string, drafts []intake.Draft) ([]custody.BatchItem, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	out := make([]custody.BatchItem, len(drafts))
	var rows []*clearRow
	for i, draft := range drafts {
		row, err := d.row(draft, now)
		if err != nil {
			out[i].Err = err
			continue
		}
		rows = append(rows, row)
		out[i].Created = d.created(&row.Complaint)
	}
	return out, d.insertMany(ctx, rows, c.Person)
}

// Read shows one complaint, masked.
func (d *floorDoor) Read(ctx context.Context, _ custody.Caller, r custody.ReadRequest) (*custody.View, error) {
	row, err := d.load(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	v := &custody.View{ID: row.ID, ComplaintNo: row.ComplaintNo, Revision: row.Revision, Meta: meta(&row.Complaint), Due: d.dues(&row.Complaint), Audit: someEntry(),
		Decision: custody.DecisionView{ID: "d-0123456789abcdef", Rule: "R3", Article: "6.1.2", Bundle: someEntry().BodySHA256},
		Fields:   make([]custody.FieldView, 0, len(store.SealedFields))}
	for _, name := range store.SealedFields {
		f, _ := complaint.FieldByName(name)
		view := custody.FieldView{Name: name, Group: f.Group, State: custody.StateEmpty}
		if value := row.values[name]; value != "" {
			view.State, view.Value = custody.StateMasked, complaint.Mask(f.Mask, value)
		}
		v.Fields = append(v.Fields, view)
	}
	return v, nil
}

// meta is the clear part of an answer.
func meta(row *store.Complaint) map[string]string {
	m := map[string]string{
		"received_at": row.ReceivedAt.UTC().Format(time.RFC3339Nano), "channel": row.Channel, "source": row.Source, "state": row.State, "stage": row.Stage,
		"level": row.Level, "type": row.Type, "business_code": row.BusinessCode, "product_code": row.ProductCode, "reason_code": row.ReasonCode,
		"branch": row.Branch, "department": row.Department, "assignee": row.Assignee, "third_party": row.ThirdParty,
		"regulator_ref": row.RegulatorRef, "referral": row.Referral, "party_type": row.PartyType, "id_type": row.IDType,
		"amount_band": row.AmountBand, "group_flag": strconv.FormatBool(row.GroupFlag), "legal_hold": strconv.FormatBool(len(row.Holds) > 0),
	}
	for name, value := range m {
		if value == "" {
			delete(m, name)
		}
	}
	return m
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
