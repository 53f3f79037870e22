package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

type entryParam struct {
	Entry string `path:"entry" pattern:"^[0-9]+$" doc:"Entry id, as in the header Audit-Entry"`
}

type reportInput struct {
	PurposeParam
	Period string `query:"period" doc:"Required: 2026-01 or 2026-01-01..2026-03-31"`
	Format string `query:"format" enum:"json,csv,html" doc:"json is canonical: the bytes that trailcheck recomputes"`
}

type reportOutput struct {
	ContentType string `header:"Content-Type"`
	AuditEntry  string `header:"Audit-Entry"`
	Body        []byte
}

// StatusView says who the service takes the caller for, and what it is.
type StatusView struct {
	Version     string       `json:"version"`
	Institution string       `json:"institution"`
	Person      string       `json:"person"`
	Kind        custody.Kind `json:"kind"`
	Roles       []string     `json:"roles" doc:"As the token claims them; the duty register may hold fewer"`
	OnBehalf    string       `json:"on_behalf,omitempty"`
	Auth        string       `json:"auth"`
}

func (s *service) audit() {
	add(s, operation{id: "getEntry", method: http.MethodGet, path: "/v1/audit/entries/{entry}", tag: "audit",
		summary: "State of one entry of the log: pending, or its index and leaf hash"},
		func(ctx context.Context, x *exchange, in *entryParam) (*reply[*custody.EntryView], error) {
			entry, err := strconv.ParseUint(in.Entry, 10, 64)
			if err != nil {
				return nil, x.newProblem(codeNotFound)
			}
			v, err := s.cfg.Door.Entry(ctx, x.caller, entry)
			if err != nil {
				return nil, err
			}
			return newReply(v, 0, custody.AuditRef{}), nil
		})
	add(s, operation{id: "getReport", method: http.MethodGet, path: "/v1/reports", tag: "audit", long: true,
		summary: "Supervision figures of a period, computed from the log alone"}, s.report)
	add(s, operation{id: "getStatus", method: http.MethodGet, path: "/v1/status", tag: "service", summary: "Who am I, and what is this"},
		func(_ context.Context, x *exchange, _ *struct{}) (*reply[StatusView], error) {
			c := x.caller
			return newReply(StatusView{Version: s.cfg.Version, Institution: c.Institution, Person: c.Person, Kind: c.Kind, Roles: c.Roles,
				OnBehalf: c.OnBehalf, Auth: c.Auth}, 0, custody.AuditRef{}), nil
		})
	s.serveDocument()
}

func (s *service) report(ctx context.Context, x *exchange, in *reportInput) (*reportOutput, error) {
	purpose, err := in.purpose(x)
	if err != nil {
		return nil, err
	}
	if _, err := supervision.ParsePeriod(in.Period); err != nil {
		return nil, x.place(codeInvalid, "/period", "malformed")
	}
	if _, ok := reportMedia(in.Format); !ok {
		return nil, x.member("/format", "json", "csv", "html")
	}
	r, audit, err := s.cfg.Door.Report(ctx, x.caller, purpose, in.Period)
	if err != nil {
		return nil, err
	}
	raw, err := render(r, in.Format, x.zh)
	if err != nil {
		return nil, fmt.Errorf("rendering the report: %w", err)
	}
	media, _ := reportMedia(in.Format)
	return &reportOutput{ContentType: media, AuditEntry: strconv.FormatUint(audit.Entry, 10), Body: raw}, nil
}

// reportMedia is the content type of a format; ok is false for an unknown one.
func reportMedia(format string) (media string, ok bool) {
	switch format {
	case "", "json":
		return "application/json", true
	case "csv":
		return "text/csv; charset=utf-8", true
	case "html":
		return "text/html; charset=utf-8", true
	}
	return "", false
}

// render writes a report. JSON is verbatim its canonical form: whoever has the
// log recomputes the same bytes.
func render(r *supervision.Report, format string, zh bool) ([]byte, error) {
	lang := supervision.EN
	if zh {
		lang = supervision.ZH
	}
	var buf bytes.Buffer
	switch format {
	case "csv":
		err := r.WriteCSV(&buf, lang)
		return buf.Bytes(), err
	case "html":
		err := r.WriteHTML(&buf, lang)
		return buf.Bytes(), err
	}
	return r.Canonical()
}
