package httpapi

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// Reading is the door's part about reading the log.
type Reading interface {
	SearchLog(context.Context, custody.Caller, custody.LogSearch) (*custody.LogPage, error)
	ExportLog(ctx context.Context, c custody.Caller, r custody.LogSearch, size uint64, encode func([]custody.LogEntry) ([]byte, error)) ([]byte, *custody.LogManifest, error)
	SaveQuery(ctx context.Context, c custody.Caller, q custody.SavedQuery, purpose string) (*custody.SavedQuery, error)
	SavedQueries(context.Context, custody.Caller) (*custody.SavedQueries, error)
	DeleteQuery(ctx context.Context, c custody.Caller, id, purpose string) (custody.AuditRef, error)
	Own(context.Context, custody.Caller, custody.OwnRequest) (*custody.OwnPage, error)
	Looked(ctx context.Context, c custody.Caller, id, purpose string, proofs bool) (*custody.Looked, error)
	RequestInvestigation(context.Context, custody.Caller, custody.Investigation) (*custody.Investigation, error)
	SettleInvestigation(ctx context.Context, c custody.Caller, id, verdict string) (*custody.Investigation, error)
	Investigation(ctx context.Context, c custody.Caller, id string) (*custody.Investigation, error)
	Investigations(ctx context.Context, c custody.Caller, state string) (*custody.Investigations, error)
}

// LogSearchInput searches the log.
type LogSearchInput struct {
	Query     string `json:"q" maxLength:"1000" doc:"key:value words, e.g. actor:han action:reveal decision:deny since:7d; docs/api.md"`
	PageSize  int    `json:"page_size,omitempty" minimum:"1" maximum:"200" doc:"Default 50"`
	PageToken string `json:"page_token,omitempty" doc:"next_page_token of the former page"`
}

// LogExportInput exports what a search shows.
type LogExportInput struct {
	Query  string `json:"q" maxLength:"1000"`
	Size   string `json:"size,omitempty" pattern:"^[0-9]+$" doc:"Size of the newest log to pin to, as a page said; default: now"`
	Format string `json:"format,omitempty" enum:"jsonl,csv" doc:"Default jsonl. The last line is the manifest"`
}

// SavedQueryInput keeps a search under a name.
type SavedQueryInput struct {
	Name  string `json:"name" maxLength:"64"`
	Query string `json:"q" maxLength:"1000"`
}

// InvestigationInput asks for a sealed investigation.
type InvestigationInput struct {
	Persons    []string  `json:"persons,omitempty" doc:"Ids of the duty register"`
	Complaints []string  `json:"complaints,omitempty" doc:"Complaint ids"`
	Reason     string    `json:"reason" maxLength:"500" doc:"For the second person; no personal data"`
	Until      time.Time `json:"until" doc:"At most 180 days from now"`
}

type codesInput struct {
	PurposeParam
	Query     string `query:"q" doc:"Codes only: action, decision, field, purpose, rule, article, reason, role, stage, since, until. A query that may name somebody goes into the body of POST /v1/audit/entries:search"`
	PageSize  string `query:"page_size" doc:"1 to 200, default 50"`
	PageToken string `query:"page_token"`
}

type ownInput struct {
	PageSize  string `query:"page_size" doc:"1 to 200, default 50"`
	PageToken string `query:"page_token"`
}

type lookedInput struct {
	RecordParam
	Proofs string `query:"proofs" enum:"true,false" doc:"With the place of each access in the signed log"`
}

type queryParam struct {
	PurposeParam
	ID string `path:"id"`
}

type investigationsInput struct {
	State string `query:"state" doc:"requested, approved, refused or closed; default all"`
}

type exportOutput struct {
	ContentType string `header:"Content-Type"`
	AuditEntry  string `header:"Audit-Entry"`
	Body        []byte
}

func auditOfInvestigation(i *custody.Investigation) custody.AuditRef { return i.Audit }

// reading are the routes of the log's readers.
func (s *service) reading() {
	s.searchLog()
	s.savedQueries()
	s.selfView()
	s.investigations()
}

func (s *service) searchLog() {
	body := newBody[LogSearchInput](nil)
	add(s, operation{id: "searchEntries", method: http.MethodPost, path: "/v1/audit/entries:search", tag: "audit", body: requestBody[LogSearchInput](s),
		summary: "Search the log", description: "The newest first. All pages are pinned to the size that the log had at the first one. The search is an entry itself."},
		func(ctx context.Context, x *exchange, in *PurposeParam) (*reply[*custody.LogPage], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			b, err := body.read(x)
			if err != nil {
				return nil, err
			}
			if b.PageSize < 0 || b.PageSize > 200 {
				return nil, x.place(codeInvalid, "/page_size", "out_of_range")
			}
			return s.logPage(ctx, x, custody.LogSearch{Purpose: purpose, Text: b.Query, PageSize: b.PageSize}, b.PageToken)
		})
	add(s, operation{id: "listEntries", method: http.MethodGet, path: "/v1/audit/entries", tag: "audit", summary: "Search the log by codes"},
		func(ctx context.Context, x *exchange, in *codesInput) (*reply[*custody.LogPage], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			size, err := pageSizeOf(x, in.PageSize)
			if err != nil {
				return nil, err
			}
			return s.logPage(ctx, x, custody.LogSearch{Purpose: purpose, Text: in.Query, PageSize: size, Codes: true}, in.PageToken)
		})
	s.exportLog()
}

// logPage asks the door for one page. The token holds the size, the query and the
// moment that the first page was pinned to.
func (s *service) logPage(ctx context.Context, x *exchange, r custody.LogSearch, token string) (*reply[*custody.LogPage], error) {
	key := bound(x, "log", r.Purpose, r.Text)
	after, ok := s.cursors.open(token, key, time.Now())
	if !ok {
		return nil, x.newProblem(codePageToken)
	}
	r.After = after
	page, err := s.cfg.Door.SearchLog(ctx, x.caller, r)
	if err != nil {
		return nil, err
	}
	sealed := *page
	sealed.Next = s.cursors.seal(page.Next, key, time.Now())
	return newReply(&sealed, 0, page.Audit), nil
}

func pageSizeOf(x *exchange, text string) (int, error) {
	if text == "" {
		return custody.DefaultPageSize, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > custody.MaxPageSize {
		return 0, x.place(codeInvalid, "/page_size", "out_of_range")
	}
	return n, nil
}

func (s *service) exportLog() {
	body := newBody[LogExportInput](nil)
	add(s, operation{id: "exportEntries", method: http.MethodPost, path: "/v1/audit/entries:export", tag: "audit", long: true, body: requestBody[LogExportInput](s),
		summary: "Export exactly what a search shows", description: "JSON lines or CSV, pinned to a size. The last line is a manifest with query, size, root, count and the SHA-256 of the lines before it."},
		func(ctx context.Context, x *exchange, in *PurposeParam) (*exportOutput, error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			b, err := body.read(x)
			if err != nil {
				return nil, err
			}
			encode, media := jsonLines, "application/jsonl"
			switch b.Format {
			case "", "jsonl":
			case "csv":
				encode, media = csvLines, "text/csv; charset=utf-8"
			default:
				return nil, x.member("/format", "jsonl", "csv")
			}
			size, err := uint64(0), error(nil)
			if b.Size != "" {
				if size, err = strconv.ParseUint(b.Size, 10, 63); err != nil {
					return nil, x.place(codeInvalid, "/size", "malformed")
				}
			}
			raw, m, err := s.cfg.Door.ExportLog(ctx, x.caller, custody.LogSearch{Purpose: purpose, Text: b.Query}, size, encode)
			if err != nil {
				return nil, err
			}
			last, err := json.Marshal(map[string]*custody.LogManifest{"manifest": m})
			if err != nil {
				return nil, fmt.Errorf("writing the manifest: %w", err)
			}
			if media != "application/jsonl" {
				last = append([]byte("#"), last...)
			}
			return &exportOutput{ContentType: media, AuditEntry: strconv.FormatUint(m.Audit.Entry, 10), Body: append(append(raw, last...), '\n')}, nil
		})
}

// jsonLines is one entry to a line.
func jsonLines(list []custody.LogEntry) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for i := range list {
		if err := enc.Encode(&list[i]); err != nil {
			return nil, fmt.Errorf("writing an entry: %w", err)
		}
	}
	return buf.Bytes(), nil
}

// csvLines has a header line. A cell that a spreadsheet would take for a formula
// begins with an apostrophe.
func csvLines(list []custody.LogEntry) ([]byte, error) {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	rows := [][]string{{"log", "index", "leaf_hash", "entry", "at", "seq_at", "stage", "kind", "actor", "name", "roles", "subject", "purpose", "fields",
		"decision", "rule", "article", "reason", "request", "net", "facts"}}
	for _, e := range list {
		var d custody.LogDecision
		if e.Decision != nil {
			d = *e.Decision
		}
		rows = append(rows, []string{e.Log, strconv.FormatUint(e.Index, 10), e.LeafHash, strconv.FormatUint(e.Entry, 10), e.At.Format(time.RFC3339Nano),
			e.SeqAt.Format(time.RFC3339Nano), e.Stage, e.Kind, e.Actor, e.Name, e.Roles, e.Subject, e.Purpose, strings.Join(e.Fields, " "),
			d.Result, d.Rule, d.Article, d.Reason, e.Request, e.Net, factsCell(e.Facts)})
	}
	for _, row := range rows {
		for i, cell := range row {
			if strings.HasPrefix(cell, "=") || strings.HasPrefix(cell, "+") || strings.HasPrefix(cell, "@") || strings.HasPrefix(cell, "-") {
				row[i] = "'" + cell
			}
		}
	}
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("writing entries: %w", err)
	}
	return buf.Bytes(), nil
}

func factsCell(facts map[string]any) string {
	words := make([]string, 0, len(facts))
	for name, value := range facts {
		words = append(words, fmt.Sprintf("%s=%v", name, value))
	}
	sort.Strings(words)
	return strings.Join(words, " ")
}

func (s *service) savedQueries() {
	door := s.cfg.Door
	body := newBody[SavedQueryInput](nil)
	add(s, operation{id: "saveQuery", method: http.MethodPost, path: "/v1/audit/queries", tag: "audit", status: http.StatusCreated, body: requestBody[SavedQueryInput](s),
		summary: "Keep a search of the log under a name, for oneself"},
		func(ctx context.Context, x *exchange, in *PurposeParam) (*reply[*custody.SavedQuery], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			b, err := body.read(x)
			if err != nil {
				return nil, err
			}
			q, err := door.SaveQuery(ctx, x.caller, custody.SavedQuery{Name: b.Name, Text: b.Query}, purpose)
			return answered(q, func(q *custody.SavedQuery) custody.AuditRef { return q.Audit }, err)
		})
	add(s, operation{id: "listQueries", method: http.MethodGet, path: "/v1/audit/queries", tag: "audit", summary: "One's own searches of the log"},
		func(ctx context.Context, x *exchange, _ *struct{}) (*reply[*custody.SavedQueries], error) {
			list, err := door.SavedQueries(ctx, x.caller)
			return answered(list, func(*custody.SavedQueries) custody.AuditRef { return custody.AuditRef{} }, err)
		})
	add(s, operation{id: "deleteQuery", method: http.MethodDelete, path: "/v1/audit/queries/{id}", tag: "audit", summary: "Forget one of one's own searches"},
		func(ctx context.Context, x *exchange, in *queryParam) (*reply[struct{}], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			ref, err := door.DeleteQuery(ctx, x.caller, in.ID, purpose)
			if err != nil {
				return nil, err
			}
			return newReply(struct{}{}, 0, ref), nil
		})
}

func (s *service) selfView() {
	door := s.cfg.Door
	add(s, operation{id: "getOwn", method: http.MethodGet, path: "/v1/audit/own", tag: "audit", summary: "What the log holds about one's own accesses and account",
		description: "Of every year. Needs no purpose: whoever is recorded may see what was recorded about her. It is an entry itself."},
		func(ctx context.Context, x *exchange, in *ownInput) (*reply[*custody.OwnPage], error) {
			size, err := pageSizeOf(x, in.PageSize)
			if err != nil {
				return nil, err
			}
			key := bound(x, "own")
			after, ok := s.cursors.open(in.PageToken, key, time.Now())
			if !ok {
				return nil, x.newProblem(codePageToken)
			}
			page, err := door.Own(ctx, x.caller, custody.OwnRequest{PageSize: size, After: after})
			if err != nil {
				return nil, err
			}
			sealed := *page
			sealed.Next = s.cursors.seal(page.Next, key, time.Now())
			return newReply(&sealed, 0, page.Audit), nil
		})
	add(s, operation{id: "getLooked", method: http.MethodGet, path: "/v1/complaints/{id}/looked", tag: "complaints", long: true,
		summary: "Who looked at a complaint: duties and days, never names", description: "For the complainant, and the data protection officer in his place."},
		func(ctx context.Context, x *exchange, in *lookedInput) (*reply[*custody.Looked], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			if in.Proofs != "" && in.Proofs != "true" && in.Proofs != "false" {
				return nil, x.member("/proofs", "true", "false")
			}
			v, err := door.Looked(ctx, x.caller, in.complaintID(), purpose, in.Proofs == "true")
			return answered(v, func(l *custody.Looked) custody.AuditRef { return l.Audit }, err)
		})
}

func (s *service) investigations() {
	door := s.cfg.Door
	command(s, operation{id: "requestInvestigation", path: "/v1/investigations", tag: "audit", summary: "Ask for a sealed investigation", status: http.StatusCreated,
		description: "While it runs, what the auditor who asked reads about its subjects for purpose audit stays out of other people's views. Then it appears."},
		func(ctx context.Context, x *exchange, _ *struct{}, b *InvestigationInput) (*reply[*custody.Investigation], error) {
			complaints := make([]string, len(b.Complaints))
			for i, id := range b.Complaints {
				complaints[i] = IDParam{ID: id}.complaintID()
			}
			made, err := door.RequestInvestigation(ctx, x.caller, custody.Investigation{Persons: b.Persons, Complaints: complaints, Reason: b.Reason, Until: b.Until})
			return answered(made, auditOfInvestigation, err)
		})
	for verdict, summary := range map[string]string{"approve": "Assent to an investigation that somebody else asked for",
		"refuse": "Refuse one", "close": "End one: what it kept back appears"} {
		add(s, operation{id: verdict + "Investigation", method: http.MethodPost, path: "/v1/investigations/{id}/" + verdict, tag: "audit", summary: summary},
			func(ctx context.Context, x *exchange, in *grantParam) (*reply[*custody.Investigation], error) {
				if err := x.named(in.ID); err != nil {
					return nil, err
				}
				made, err := door.SettleInvestigation(ctx, x.caller, in.ID, verdict)
				return answered(made, auditOfInvestigation, err)
			})
	}
	add(s, operation{id: "getInvestigation", method: http.MethodGet, path: "/v1/investigations/{id}", tag: "audit", summary: "An investigation; its subjects' commitment is opened when it has ended"},
		func(ctx context.Context, x *exchange, in *grantParam) (*reply[*custody.Investigation], error) {
			if err := x.named(in.ID); err != nil {
				return nil, err
			}
			i, err := door.Investigation(ctx, x.caller, in.ID)
			return answered(i, auditOfInvestigation, err)
		})
	add(s, operation{id: "listInvestigations", method: http.MethodGet, path: "/v1/investigations", tag: "audit", summary: "Investigations that the caller may know of"},
		func(ctx context.Context, x *exchange, in *investigationsInput) (*reply[*custody.Investigations], error) {
			list, err := door.Investigations(ctx, x.caller, in.State)
			return answered(list, func(l *custody.Investigations) custody.AuditRef { return l.Audit }, err)
		})
}
