// Package httpapi is the /v1 JSON face of Sealtrail: it decodes and checks what
// comes in, asks the door, and says what came of it.
//
// The one idea: nothing that a caller sent is ever sent back, logged, traced or
// counted. Problems name places by the catalogue's words, routes by their
// pattern, and requests by an id that we made. The package must never know SQL,
// a key, the log's own format or the policy: it speaks to internal/custody only.
package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/receipt"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

const (
	// maxBody bounds a request body in bytes; the longest narrative of the real
	// complaints has 33 KB.
	maxBody = 1 << 20
	// maxBatchBody bounds the body of a batch of maxBatch drafts.
	maxBatchBody = 8 << 20
	// maxBatch is how many drafts one batch may hold.
	maxBatch = 500
)

// Door is what this package asks of internal/custody; *custody.Door has it.
type Door interface {
	Create(context.Context, custody.Caller, custody.CreateRequest) (*custody.Created, error)
	CreateBatch(context.Context, custody.Caller, string, []intake.Draft) ([]custody.BatchItem, error)
	Read(context.Context, custody.Caller, custody.ReadRequest) (*custody.View, error)
	List(context.Context, custody.Caller, custody.ListRequest) (*custody.Page, error)
	Reveal(context.Context, custody.Caller, custody.RevealRequest) (*custody.View, error)
	Search(context.Context, custody.Caller, custody.SearchRequest) (*custody.Page, error)
	Amend(context.Context, custody.Caller, custody.AmendRequest) (*custody.View, error)
	Transition(context.Context, custody.Caller, custody.TransitionRequest) (*custody.View, error)
	Trail(ctx context.Context, c custody.Caller, id, purpose string) (*custody.Trail, error)
	Entry(ctx context.Context, c custody.Caller, entry uint64) (*custody.EntryView, error)
	Publishing
	Report(ctx context.Context, c custody.Caller, purpose, period string) (*supervision.Report, custody.AuditRef, error)
	Filing
	Register
	Grants
	Disclosing
	Sealed
	MasterKeys
	Erasing
	Reading
	Checking
	Evidencing
	Sources
}

// Filing is the door's part about attachments and recordings.
type Filing interface {
	Attach(context.Context, custody.Caller, custody.AttachRequest, io.Reader) (*custody.Attached, error)
	Files(context.Context, custody.Caller, custody.FilesRequest) (*custody.FileList, error)
	OpenFile(context.Context, custody.Caller, custody.OpenFileRequest) (*custody.OpenedFile, error)
}

// Register is the door's part about people and their duties.
type Register interface {
	AddPerson(context.Context, custody.Caller, custody.Person) (*custody.Person, error)
	Person(ctx context.Context, c custody.Caller, id string) (*custody.Person, error)
	SetStatus(ctx context.Context, c custody.Caller, person, status string) (*custody.Person, error)
	Appoint(ctx context.Context, c custody.Caller, person string, d custody.Duty) (*custody.Duty, error)
	ConfirmDuty(ctx context.Context, c custody.Caller, person, duty string) (*custody.Duty, error)
	EndDuty(ctx context.Context, c custody.Caller, person, duty string) (*custody.Duty, error)
	RecordTraining(context.Context, custody.Caller, custody.Training) (*custody.Training, error)
	SignUndertaking(context.Context, custody.Caller, custody.Undertaking) (*custody.Undertaking, error)
}

// Grants is the door's part about access grants and break-glass.
type Grants interface {
	RequestGrant(context.Context, custody.Caller, custody.Grant) (*custody.Grant, error)
	ReviewGrant(ctx context.Context, c custody.Caller, id string, approve bool) (*custody.Grant, error)
	RevokeGrant(ctx context.Context, c custody.Caller, id string) (*custody.Grant, error)
	OpenBreakGlass(context.Context, custody.Caller, custody.BreakGlass) (*custody.BreakGlass, error)
	CloseBreakGlass(ctx context.Context, c custody.Caller, id string) (*custody.BreakGlass, error)
	ReviewBreakGlass(ctx context.Context, c custody.Caller, id string, justified bool) (*custody.BreakGlass, error)
}

// Erasing is the door's part about legal holds, erasures and their receipts.
type Erasing interface {
	PlaceHold(context.Context, custody.Caller, custody.LegalHold) (*custody.LegalHold, error)
	Holds(ctx context.Context, c custody.Caller, complaint, purpose string) (*custody.LegalHolds, error)
	AskHoldRelease(ctx context.Context, c custody.Caller, id string) (*custody.LegalHold, error)
	ReleaseHold(ctx context.Context, c custody.Caller, id string) (*custody.LegalHold, error)
	RequestErasure(context.Context, custody.Caller, custody.ErasureRequest) (*custody.Erasure, error)
	ReviewErasure(ctx context.Context, c custody.Caller, id string, approve bool) (*custody.Erasure, error)
	Erasure(ctx context.Context, c custody.Caller, id, purpose string) (*custody.Erasure, error)
	Erasures(ctx context.Context, c custody.Caller, state, purpose string) (*custody.Erasures, error)
	DueForErasure(context.Context, custody.Caller, custody.ListRequest) (*custody.Page, error)
	ErasureReceipt(ctx context.Context, c custody.Caller, id, purpose string) (*receipt.Receipt, custody.AuditRef, error)
}

// Disclosing is the door's part about packages for a recipient's key.
type Disclosing interface {
	RequestDisclosure(context.Context, custody.Caller, custody.Disclosure) (*custody.Disclosure, error)
	SettleDisclosure(ctx context.Context, c custody.Caller, id, verdict string) (*custody.Disclosure, error)
	Disclosure(ctx context.Context, c custody.Caller, id string) (*custody.Disclosure, error)
	Produce(ctx context.Context, c custody.Caller, id string) (custody.Package, error)
}

// Sealed is the door's part about drafts that were sealed while it was away.
type Sealed interface {
	IntakeKey(context.Context) (*custody.IntakeKey, error)
	Ingest(ctx context.Context, c custody.Caller, purpose string, envelopes [][]byte) ([]custody.BatchItem, error)
}

// Reason is what a person is told about a decision's reason code.
type Reason struct {
	ZH, EN         string // whole sentences: why
	NextZH, NextEN string // whole sentences: what she can do now; may be empty
}

// Config is all that the API needs.
type Config struct {
	Door     Door           // required
	Verifier authn.Verifier // required
	Logger   *slog.Logger   // default: none
	Tracer   trace.TracerProvider
	Meter    metric.MeterProvider
	// Reasons explains a reason code of the policy; nil: codes without sentences.
	Reasons func(code string) (Reason, bool)
	// CursorKey seals page tokens: 32 bytes, the same on every replica. Nil: a
	// random key, so that tokens end with the process.
	CursorKey []byte
	// Deadline bounds every request. Default 2 s.
	Deadline time.Duration
	// LongDeadline bounds batches and reports. Default 30 s.
	LongDeadline time.Duration
	// Idle is how long the transfer of a file may stand still; the file as a
	// whole has no deadline. Default 30 s.
	Idle time.Duration
	// Zone names the network zone of a request for the log: never an address.
	// Nil: "default".
	Zone func(*http.Request) string
	// Version of the program, for /v1/status and the OpenAPI document.
	Version string
}

// service is the API's handler and what its operations share.
type service struct {
	cfg     Config
	mux     *http.ServeMux
	api     huma.API
	tracer  trace.Tracer
	log     *slog.Logger
	metrics *instruments
	cursors *cursorBox
	spec    []byte
}

// New builds the handler of the API port. It starts nothing.
func New(cfg Config) (http.Handler, error) {
	if cfg.Door == nil || cfg.Verifier == nil {
		return nil, errors.New("building the API: a door and a verifier are required")
	}
	return build(cfg)
}

func build(cfg Config) (*service, error) {
	cfg = withDefaults(cfg)
	var err error
	s := &service{cfg: cfg, mux: http.NewServeMux(), log: cfg.Logger, tracer: cfg.Tracer.Tracer("sealtrail/httpapi")}
	if s.cursors, err = newCursorBox(cfg.CursorKey); err != nil {
		return nil, fmt.Errorf("building the API: %w", err)
	}
	if s.metrics, err = newInstruments(cfg.Meter); err != nil {
		return nil, fmt.Errorf("building the API: %w", err)
	}
	s.api = humago.New(s.mux, humaConfig(cfg.Version))
	s.complaints()
	s.files()
	s.people()
	s.access()
	s.checks()
	s.evidence()
	s.sources()
	s.disclosure()
	s.intake()
	s.keys()
	s.erasure()
	s.audit()
	s.publishedLog()
	s.reading()
	s.mux.HandleFunc("/", s.unmatched)
	if s.spec, err = s.document(); err != nil {
		return nil, fmt.Errorf("building the API: %w", err)
	}
	return s, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Tracer == nil {
		cfg.Tracer = tracenoop.NewTracerProvider()
	}
	if cfg.Meter == nil {
		cfg.Meter = metricnoop.NewMeterProvider()
	}
	if cfg.Reasons == nil {
		cfg.Reasons = func(string) (Reason, bool) { return Reason{}, false }
	}
	if cfg.CursorKey == nil {
		cfg.CursorKey = make([]byte, 32)
		rand.Read(cfg.CursorKey) // never fails
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = 2 * time.Second
	}
	if cfg.LongDeadline == 0 {
		cfg.LongDeadline = 30 * time.Second
	}
	if cfg.Idle == 0 {
		cfg.Idle = 30 * time.Second
	}
	if cfg.Zone == nil {
		cfg.Zone = func(*http.Request) string { return "default" }
	}
	if cfg.Version == "" {
		cfg.Version = "0.0.0-dev"
	}
	return cfg
}
