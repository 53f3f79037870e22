package custody_test

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/clock"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
	"github.com/sealtrail/sealtrail/policy"
)

// house is a door on a real PostgreSQL and a real Vault, with the personas of
// the demo appointed the ordinary way.
type house struct {
	*custody.Door
	t           *testing.T
	institution string
	db          *pgtest.DB
	admin       *pgxpool.Pool
	log         *pglog.Log
	keys        *keyring.Keyring
	now         func() time.Time
	requests    int
	config      custody.Config
}

func migrate(ctx context.Context, dsn string) error {
	if err := pglog.Migrate(ctx, dsn); err != nil {
		return err
	}
	return store.Migrate(ctx, dsn)
}

func open(t *testing.T) *house {
	t.Helper()
	return openWith(t, vaulttest.New(t), nil)
}

func openWith(t *testing.T, vault *vaulttest.Vault, tune func(*custody.Config)) *house {
	t.Helper()
	return openOn(t, pgtest.New(t, "custody", migrate), vault, taps{config: tune})
}

// taps are where a test listens in on, or changes, what a door stands on. Nil
// leaves a part alone.
type taps struct {
	config  func(*custody.Config)
	pool    func(*pgxpool.Config)
	wrapper func(keyring.Wrapper) keyring.Wrapper
	// restored is the institution of a database that was restored: nobody is
	// appointed and nothing is set up in it. Empty: a new institution.
	restored string
}

// openOn opens a door of a new institution on a database that may hold others.
func openOn(t *testing.T, db *pgtest.DB, vault *vaulttest.Vault, tap taps) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{t: t, institution: cmp.Or(tap.restored, vaulttest.Name("bank")), db: db, now: time.Now}
	cfg, err := pgxpool.ParseConfig(h.db.App)
	must(t, err)
	cfg.MaxConns = 8
	if tap.pool != nil {
		tap.pool(cfg)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	h.admin, err = pgxpool.New(ctx, h.db.Admin)
	must(t, err)
	t.Cleanup(h.admin.Close)
	if tap.restored == "" {
		must(t, store.SetRequirements(ctx, h.db.Admin, h.institution, map[string]string{
			"undertaking_version": "2026-1", "pass_mark": "80", "reveals_per_hour": "5"}))
		_, err = pglog.EnsureLog(ctx, pool, pglog.Shard{Institution: h.institution, Year: time.Now().UTC().Year(), Origin: "test/" + h.institution})
		must(t, err)
	}
	h.log, err = pglog.New(ctx, pglog.Config{Pool: pool, Institution: h.institution})
	must(t, err)
	role, secret := vault.Institution(h.institution)
	client, err := transit.NewClient(transit.ClientConfig{Address: vault.Addr, CACert: vault.CACert})
	must(t, err)
	login, err := transit.NewLogin(transit.LoginConfig{Client: client, RoleID: role, SecretID: transit.StaticSecret(secret)})
	must(t, err)
	must(t, login.Now(ctx))
	conf := transit.Config{Client: client, Institution: h.institution, Login: login}
	wrapper, err := transit.New(conf)
	must(t, err)
	index, err := transit.NewIndexer(conf)
	must(t, err)
	keys := keyring.Config{Wrapper: wrapper}
	if tap.wrapper != nil {
		keys.Wrapper = tap.wrapper(wrapper)
	}
	h.keys, err = keyring.New(keys)
	must(t, err)
	config := custody.Config{Institution: h.institution, Store: store.New(pool), Log: h.log, Policy: engine(t), Keys: h.keys, Index: index, Master: wrapper,
		Calendar: clock.China(), Profile: clock.CNLaw().With(clock.Norm(), time.Time{}), Now: func() time.Time { return h.now() }}
	if tap.config != nil {
		tap.config(&config)
	}
	h.config = config
	h.Door, err = custody.New(ctx, config)
	must(t, err)
	for _, run := range []func(context.Context) error{h.log.Run, h.keys.Run, login.Run, h.Run} {
		runDuring(t, run)
	}
	if tap.restored == "" {
		h.appoint()
	}
	return h
}

// runDuring runs a part until the test ends and waits for its end.
func runDuring(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a part ended: %v", err)
		}
	})
}

func engine(t *testing.T) *policy.Engine {
	t.Helper()
	var catalogue policy.Catalogue
	for _, f := range complaint.Fields() {
		catalogue.Fields = append(catalogue.Fields, policy.Field{Name: f.Name, Group: f.Group, Class: f.Class})
	}
	e, err := policy.New(t.Context(), policy.Config{Catalogue: catalogue})
	must(t, err)
	return e
}

// staff are the personas: id, roles and department.
var staff = []struct {
	id, role, department, level string
}{
	{"ivy", "intake", "front", "major"},
	{"han", "handler", "cards", "major"},
	{"hugo", "handler", "cards", "major"},
	{"hedda", "head", "cards", "major"},
	{"quinn", "quality", "qa", "major"},
	{"aud", "auditor", "audit", "major"},
	{"dora", "dpo", "dpo", "major"},
	{"cora", "compliance", "compliance", "major"},
}

// appoint founds the institution and appoints everybody through the door: two
// persons for each duty, training recorded, undertaking signed by oneself.
func (h *house) appoint() {
	ctx := h.t.Context()
	must(h.t, h.Found(ctx, [2]custody.Person{{ID: "sec-a", Department: "security", StaffID: "S-0001"}, {ID: "sec-b", Department: "security", StaffID: "S-0002"}}))
	for _, id := range []string{"sec-a", "sec-b"} {
		_, err := h.SignUndertaking(ctx, h.as(id), custody.Undertaking{Person: id, Version: "2026-1"})
		must(h.t, err)
	}
	for i, p := range staff {
		_, err := h.AddPerson(ctx, h.as("sec-a"), custody.Person{ID: p.id, Kind: custody.Human, Department: p.department, StaffID: fmt.Sprintf("E-%04d", 100+i), Status: "active"})
		must(h.t, err)
		h.duty(p.id, p.role, p.level, p.department)
		h.train(p.id)
		_, err = h.SignUndertaking(ctx, h.as(p.id), custody.Undertaking{Person: p.id, Version: "2026-1"})
		must(h.t, err)
	}
}

func (h *house) duty(id, role, level, department string) {
	h.t.Helper()
	d, err := h.Appoint(h.t.Context(), h.as("sec-a"), id, custody.Duty{Role: role, Level: level, Department: department, Until: time.Now().AddDate(1, 0, 0)})
	must(h.t, err)
	_, err = h.ConfirmDuty(h.t.Context(), h.as("sec-b"), id, d.ID)
	must(h.t, err)
}

func (h *house) train(id string) {
	h.t.Helper()
	_, err := h.RecordTraining(h.t.Context(), h.as("sec-a"), custody.Training{Person: id, Course: "confidentiality", Score: 90,
		PassedAt: time.Now().Add(-time.Hour), ValidUntil: time.Now().AddDate(1, 0, 0)})
	must(h.t, err)
}

// as is a caller whose token claims every role of the register: what counts is
// the register.
func (h *house) as(id string) custody.Caller {
	h.requests++
	roles := []string{"secadmin"}
	for _, p := range staff {
		if p.id == id {
			roles = []string{p.role}
		}
	}
	return custody.Caller{Institution: h.institution, Person: id, Kind: custody.Human, Roles: roles, Auth: "test", Request: "r" + strconv.Itoa(h.requests), Net: "office"}
}

func draft(n int) intake.Draft {
	return intake.Draft{Source: "app", SourceID: "s-" + strconv.Itoa(n), Channel: channel(), ReceivedAt: time.Now().Add(-time.Hour),
		ReceivedEvidence: "portal_receipt", Department: "cards", Branch: "b01", PartyType: "self",
		Fields: map[string]string{"complainant_name": "张三丰", "id_number": "11010519491231002X", "phone": "13800138000",
			"bank_card": "6222020200112230004", "narrative": "我的信用卡被多收了年费,请退还。", "respondent_staff_id": "E-0102"}}
}

func channel() string { return complaint.Registry().Allowed("channel")[0] }

// file stores a complaint and assigns it to han.
func (h *house) file(n int) *custody.Created {
	h.t.Helper()
	d := draft(n)
	delete(d.Fields, "respondent_staff_id")
	created, err := h.Create(h.t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
	must(h.t, err)
	return created
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// moves are the acts of the lifecycle with who does them and what they need.
var moves = map[string]struct {
	by     string
	inputs map[string]string
}{
	"accept":   {"ivy", map[string]string{"identity_valid": "true", "content_clear": "true", "demand_concrete": "true", "in_scope": "true"}},
	"classify": {"ivy", map[string]string{"type": "service", "level": "general", "business": "credit_card", "reason_class": "attitude_quality"}},
	"assign":   {"hedda", map[string]string{"assignee": "han"}},
}

// walk takes a complaint through acts and returns its revision.
func (h *house) walk(c *custody.Created, acts ...string) uint64 {
	h.t.Helper()
	revision := c.Revision
	for _, act := range acts {
		m := moves[act]
		purpose := "handle"
		view, err := h.Transition(h.t.Context(), h.as(m.by), custody.TransitionRequest{ID: c.ID, Purpose: purpose, Revision: revision, Name: act, Inputs: m.inputs})
		if err != nil {
			h.t.Fatalf("%s by %s: %v", act, m.by, err)
		}
		revision = view.Revision
	}
	c.Revision = revision
	return revision
}
