package httpapi

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// DisclosureInput asks for a package for a recipient's public key.
type DisclosureInput struct {
	Scope         string    `json:"scope" enum:"record,subject,institution"`
	Complaint     string    `json:"complaint,omitempty" format:"uuid" doc:"The record, or a record of the data subject; absent for scope institution"`
	Groups        []string  `json:"groups" minItems:"1"`
	Recipient     string    `json:"recipient" maxLength:"4096" doc:"age public key: age1pq1... or age1..."`
	RecipientName string    `json:"recipient_name,omitempty" maxLength:"128" doc:"Authority or institution; absent for basis subject_access"`
	Basis         string    `json:"basis"`
	Purpose       string    `json:"purpose"`
	ExpiresAt     time.Time `json:"expires_at" doc:"At most 92 days from now"`
}

func auditOfDisclosure(d *custody.Disclosure) custody.AuditRef { return d.Audit }

func (s *service) disclosure() {
	door := s.cfg.Door
	command(s, operation{id: "requestDisclosure", path: "/v1/disclosures", tag: "disclosure", summary: "Ask for a package for a recipient's public key", status: http.StatusCreated},
		func(ctx context.Context, x *exchange, _ *struct{}, b *DisclosureInput) (*reply[*custody.Disclosure], error) {
			r := custody.Disclosure{Scope: b.Scope, Groups: b.Groups, Recipient: b.Recipient, RecipientName: b.RecipientName,
				Basis: b.Basis, Purpose: b.Purpose, ExpiresAt: b.ExpiresAt, Complaint: IDParam{ID: b.Complaint}.complaintID()}
			made, err := door.RequestDisclosure(ctx, x.caller, r)
			return answered(made, auditOfDisclosure, err)
		})
	for verdict, summary := range map[string]string{"approve": "Give the first assent to a request that somebody else made",
		"confirm": "Give the second assent", "refuse": "Refuse a request that somebody else made"} {
		add(s, operation{id: verdict + "Disclosure", method: http.MethodPost, path: "/v1/disclosures/{id}/" + verdict, tag: "disclosure", summary: summary},
			func(ctx context.Context, x *exchange, in *grantParam) (*reply[*custody.Disclosure], error) {
				if err := x.named(in.ID); err != nil {
					return nil, err
				}
				made, err := door.SettleDisclosure(ctx, x.caller, in.ID, verdict)
				return answered(made, auditOfDisclosure, err)
			})
	}
	add(s, operation{id: "getDisclosure", method: http.MethodGet, path: "/v1/disclosures/{id}", tag: "disclosure", summary: "A request and what became of it"},
		func(ctx context.Context, x *exchange, in *grantParam) (*reply[*custody.Disclosure], error) {
			if err := x.named(in.ID); err != nil {
				return nil, err
			}
			made, err := door.Disclosure(ctx, x.caller, in.ID)
			return answered(made, auditOfDisclosure, err)
		})
	s.disclosurePackage()
}

// Trailers of a package: they come behind its last byte, and only if it is whole.
const (
	trailerSHA256   = "Package-Sha256"
	trailerEntry    = "Audit-Entry"
	trailerRecords  = "Package-Records"
	trailerWithheld = "Package-Withheld"
)

// disclosurePackage streams. It is a POST because it is an act: each record of
// it is an entry, and a whole package is made once.
func (s *service) disclosurePackage() {
	whole := &huma.Response{Description: "The package: docs/formats/disclosure-package.md",
		Content: map[string]*huma.MediaType{"application/age": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
	add(s, operation{id: "produceDisclosure", method: http.MethodPost, path: "/v1/disclosures/{id}/package", tag: "disclosure", stream: true,
		summary: "Produce the package: once, as a stream", responses: map[string]*huma.Response{"200": whole},
		description: "Answers application/age. The trailers Package-Sha256, Package-Records, Package-Withheld and Audit-Entry follow its last byte; without them it is not whole."},
		func(ctx context.Context, x *exchange, in *grantParam) (*huma.StreamResponse, error) {
			if err := x.named(in.ID); err != nil {
				return nil, err
			}
			made, err := s.cfg.Door.Produce(ctx, x.caller, in.ID)
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(h huma.Context) { x.stream(h.Context(), made) }}, nil //nolint:contextcheck // the answer is written under the request's own context, which lives on
		})
}

// stream writes a package. An error after the first byte breaks the connection:
// nothing that follows could be told from the package.
func (x *exchange) stream(ctx context.Context, made custody.Package) {
	for _, name := range []string{trailerSHA256, trailerEntry, trailerRecords, trailerWithheld} {
		x.Header().Add("Trailer", name)
	}
	x.Header().Set("Content-Type", "application/age")
	done, err := made.Stream(ctx, &patient{Writer: x, control: http.NewResponseController(x), idle: x.s.cfg.Idle})
	switch {
	case err == nil:
		x.Header().Set(trailerSHA256, hex.EncodeToString(done.PackageSHA256[:]))
		x.Header().Set(trailerEntry, strconv.FormatUint(done.Audit.Entry, 10))
		x.Header().Set(trailerRecords, strconv.Itoa(done.Records))
		x.Header().Set(trailerWithheld, strconv.Itoa(done.Withheld))
	case x.status == 0:
		x.Header().Del("Trailer")
		x.write(x.problem(err))
	default:
		p := x.problem(err)
		x.s.log.LogAttrs(ctx, slog.LevelWarn, "a package broke off", slog.String(telemetry.AttrRequest, x.id), slog.String(telemetry.AttrCode, p.Code))
		x.broken = true
	}
}

// patient gives each write a time of its own: a package may take hours, a client
// that reads nothing may not.
type patient struct {
	io.Writer
	control *http.ResponseController
	idle    time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(p.idle)) // the server's own deadline holds where there is none to set
	return p.Writer.Write(b)
}
