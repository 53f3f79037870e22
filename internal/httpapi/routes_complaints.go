package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// PurposeParam is how a purpose travels; one of the two is needed. It and the
// other embedded parameters are exported because huma skips those that are not.
type PurposeParam struct {
	Query  string `query:"purpose" doc:"Why: what the decision is taken for, and what the log says"`
	Header string `header:"Sealtrail-Purpose" doc:"The same as a header"`
}

// purpose checks the request's purpose.
func (p PurposeParam) purpose(x *exchange) (string, error) {
	value := p.Query
	if value == "" {
		value = p.Header
	}
	if value == "" {
		return "", x.newProblem(codePurposeRequired)
	}
	if !complaint.Registry().Has("purpose", value) || (p.Header != "" && p.Header != value) {
		pr := x.place(codeInvalid, "/purpose", "unknown_value")
		pr.Errors[0].Allowed = complaint.Registry().Allowed("purpose")
		return "", pr
	}
	return value, nil
}

// IDParam is a complaint's id in a path.
type IDParam struct {
	ID string `path:"id" format:"uuid" doc:"Complaint id"`
}

// complaintID is the id as the door knows ids. What is not a UUID goes through
// the door, too: it is as unknown as a UUID that nobody has, and as recorded.
func (p IDParam) complaintID() string { return strings.ToLower(p.ID) }

// reply carries a body with its revision and log entry.
type reply[B any] struct {
	ETag       string `header:"ETag" doc:"The record's revision, for If-Match"`
	AuditEntry string `header:"Audit-Entry" doc:"Log entry that was durable before this answer"`
	Body       B
}

func newReply[B any](body B, revision uint64, audit custody.AuditRef) *reply[B] {
	r := &reply[B]{Body: body}
	if revision > 0 {
		r.ETag = `"` + strconv.FormatUint(revision, 10) + `"`
	}
	if audit.Entry > 0 {
		r.AuditEntry = strconv.FormatUint(audit.Entry, 10)
	}
	return r
}

func viewReply(v *custody.View, err error) (*reply[*custody.View], error) {
	if err != nil {
		return nil, err
	}
	return newReply(v, v.Revision, v.Audit), nil
}

func (s *service) complaints() {
	s.createOne()
	s.createBatch()
	s.readOnes()
	s.listThem()
	s.changeOne()
}

type createInput struct {
	PurposeParam
	Key string `header:"Idempotency-Key" maxLength:"255" doc:"Required. A repeated call with the same key and body answers with the first one's complaint"`
}

func (s *service) createOne() {
	body := newBody[intake.Draft](isField)
	add(s, operation{id: "createComplaint", method: http.MethodPost, path: "/v1/complaints", tag: "complaints", status: http.StatusCreated,
		summary: "Seal and record one complaint", body: requestBody[intake.Draft](s)},
		func(ctx context.Context, x *exchange, in *createInput) (*reply[*custody.Created], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			if in.Key == "" {
				return nil, x.newProblem(codeKeyRequired)
			}
			if !isToken(in.Key, 255) {
				return nil, x.place(codeMalformed, "/Idempotency-Key", "malformed")
			}
			draft, err := body.read(x)
			if err != nil {
				return nil, err
			}
			c, err := s.cfg.Door.Create(ctx, x.caller, custody.CreateRequest{Purpose: purpose, Draft: *draft, IdempotencyKey: in.Key})
			if err != nil {
				return nil, err
			}
			x.Header().Set("Location", "/v1/complaints/"+c.ID)
			return newReply(c, c.Revision, c.Audit), nil
		})
}

// isToken reports whether s is printable ASCII of at most n bytes.
func isToken(s string, n int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= n
}

// BatchInput is the body of a batch. Each draft is judged by itself.
type BatchInput struct {
	Items []intake.Draft `json:"items" minItems:"1" maxItems:"500"`
}

// BatchResult has one result per item, in order.
type BatchResult struct {
	Items []BatchItemResult `json:"items"`
}

// BatchItemResult is what became of one item: exactly one member is set.
type BatchItemResult struct {
	Created *custody.Created `json:"created,omitempty"`
	Problem *Problem         `json:"problem,omitempty"`
}

func (s *service) createBatch() {
	draft := newBody[intake.Draft](isField)
	documented := requestBody[BatchInput](s)
	add(s, operation{id: "createComplaints", method: http.MethodPost, path: "/v1/complaints:batch", tag: "complaints", long: true,
		summary: "Seal and record up to 500 complaints", body: documented,
		description: "Items are judged one by one; the answer has one result per item, in order. Repeating a batch is safe: source and source id identify a complaint."},
		func(ctx context.Context, x *exchange, in *PurposeParam) (*reply[BatchResult], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			items, err := x.readItems()
			if err != nil {
				return nil, err
			}
			results, drafts, places := x.judge(items, draft)
			if len(drafts) > 0 {
				outcomes, err := s.cfg.Door.CreateBatch(ctx, x.caller, purpose, drafts)
				if err != nil {
					return nil, err
				}
				x.settle(results, places, outcomes)
			}
			return newReply(BatchResult{Items: results}, 0, custody.AuditRef{}), nil
		})
}

// readItems splits a batch's body into its items.
func (x *exchange) readItems() ([]json.RawMessage, error) {
	raw, err := x.readBody(maxBatchBody, "")
	if err != nil {
		return nil, err
	}
	outer := shape{kind: shapeObject, required: []string{"items"}, fields: map[string]*shape{"items": {kind: shapeArray, elem: &shape{kind: shapeAny}}}}
	problems, err := outer.check(raw)
	if err != nil {
		return nil, x.newProblem(codeMalformed)
	}
	if len(problems) > 0 {
		return nil, x.invalid(problems)
	}
	var in struct{ Items []json.RawMessage }
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, x.newProblem(codeMalformed)
	}
	if len(in.Items) == 0 || len(in.Items) > maxBatch {
		return nil, x.place(codeInvalid, "/items", "out_of_range")
	}
	return in.Items, nil
}

// judge decodes each item; places tells where each good draft stood.
func (x *exchange) judge(items []json.RawMessage, body bodyOf[intake.Draft]) (results []BatchItemResult, drafts []intake.Draft, places []int) {
	results = make([]BatchItemResult, len(items))
	for i, raw := range items {
		problems, err := body.shape.check(raw)
		if err != nil || len(problems) > 0 {
			results[i].Problem = x.itemProblem(&custody.InvalidError{Problems: problems})
			continue
		}
		var d intake.Draft
		if err := json.Unmarshal(raw, &d); err != nil {
			results[i].Problem = x.itemProblem(&custody.InvalidError{Problems: []intake.Problem{{Code: "malformed"}}})
			continue
		}
		drafts, places = append(drafts, d), append(places, i)
	}
	return results, drafts, places
}

func (x *exchange) settle(results []BatchItemResult, places []int, outcomes []custody.BatchItem) {
	for i, place := range places {
		switch {
		case i >= len(outcomes):
			results[place].Problem = x.itemProblem(custody.ErrUnrecorded)
		case outcomes[i].Err != nil:
			results[place].Problem = x.itemProblem(outcomes[i].Err)
		default:
			results[place].Created = outcomes[i].Created
		}
	}
}

// itemProblem is a problem of one item: the answer as a whole stays a success.
func (x *exchange) itemProblem(err error) *Problem {
	p := x.problem(err)
	x.code = ""
	x.Header().Del("Retry-After")
	x.Header().Del("Audit-Entry")
	return p
}

type readInput struct {
	IDParam
	PurposeParam
	View string `query:"view" enum:"masked,meta" doc:"meta leaves every sealed field out and needs no key server"`
}

// RevealInput is the body of a reveal.
type RevealInput struct {
	Fields []string `json:"fields" minItems:"1" doc:"Catalogue names of sealed fields"`
	Reason string   `json:"reason,omitempty" maxLength:"500" doc:"Why these fields; sealed in the log"`
	Ticket string   `json:"ticket,omitempty" maxLength:"64"`
}

// RecordParam is what every act on one complaint needs.
type RecordParam struct {
	IDParam
	PurposeParam
}

func (s *service) readOnes() {
	add(s, operation{id: "getComplaint", method: http.MethodGet, path: "/v1/complaints/{id}", tag: "complaints",
		summary: "Read one complaint, masked", description: "Never plaintext: see reveals. An unknown id and a complaint that the caller may not know of are the same 404."},
		func(ctx context.Context, x *exchange, in *readInput) (*reply[*custody.View], error) {
			id := in.complaintID()
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			if in.View != "" && in.View != "masked" && in.View != "meta" {
				return nil, x.member("/view", "masked", "meta")
			}
			return viewReply(s.cfg.Door.Read(ctx, x.caller, custody.ReadRequest{ID: id, Purpose: purpose, MetaOnly: in.View == "meta"}))
		})
	body := newBody[RevealInput](nil)
	add(s, operation{id: "revealFields", method: http.MethodPost, path: "/v1/complaints/{id}/reveals", tag: "complaints",
		summary: "Open named fields in clear", body: requestBody[RevealInput](s)},
		func(ctx context.Context, x *exchange, in *RecordParam) (*reply[*custody.View], error) {
			id, purpose, err := in.both(x)
			if err != nil {
				return nil, err
			}
			b, err := body.read(x)
			if err != nil {
				return nil, err
			}
			if err := x.checkFields(b.Fields); err != nil {
				return nil, err
			}
			return viewReply(s.cfg.Door.Reveal(ctx, x.caller, custody.RevealRequest{ID: id, Purpose: purpose, Fields: b.Fields, Reason: b.Reason, Ticket: b.Ticket}))
		})
	add(s, operation{id: "getTrail", method: http.MethodGet, path: "/v1/complaints/{id}/trail", tag: "complaints",
		summary: "Who saw or did what on this complaint, why, under which article"},
		func(ctx context.Context, x *exchange, in *RecordParam) (*reply[*custody.Trail], error) {
			id, purpose, err := in.both(x)
			if err != nil {
				return nil, err
			}
			t, err := s.cfg.Door.Trail(ctx, x.caller, id, purpose)
			if err != nil {
				return nil, err
			}
			return newReply(t, 0, t.Audit), nil
		})
}

func (in RecordParam) both(x *exchange) (id, purpose string, err error) {
	purpose, err = in.purpose(x)
	return in.complaintID(), purpose, err
}

func (x *exchange) member(pointer string, allowed ...string) *Problem {
	p := x.place(codeInvalid, pointer, "unknown_value")
	p.Errors[0].Allowed = allowed
	return p
}

// checkFields refuses names that the catalogue does not have, by their place.
func (x *exchange) checkFields(names []string) error {
	if len(names) == 0 {
		return x.place(codeInvalid, "/fields", "required")
	}
	var problems []intake.Problem
	for i, name := range names {
		if !isField(name) && len(problems) < maxProblems {
			problems = append(problems, intake.Problem{Pointer: "/fields/" + strconv.Itoa(i), Code: "unknown_field"})
		}
	}
	if len(problems) > 0 {
		return x.invalid(problems)
	}
	return nil
}

type listInput struct {
	PurposeParam
	State      string `query:"state"`
	Department string `query:"department"`
	Assignee   string `query:"assignee"`
	DueBefore  string `query:"due_before" format:"date-time"`
	PageSize   string `query:"page_size" doc:"1 to 200, default 50"`
	PageToken  string `query:"page_token" doc:"next_page_token of the former page, with the same filters"`
}

// SearchInput is the body of a search: the term never stands in a URL.
type SearchInput struct {
	Field    string `json:"field" doc:"A blind-indexed field: phone, id_number, bank_card, account_no, email or respondent_staff_id"`
	Value    string `json:"value" maxLength:"256"`
	PageSize int    `json:"page_size,omitempty" minimum:"1" maximum:"200"`
}

func (s *service) listThem() {
	add(s, operation{id: "listComplaints", method: http.MethodGet, path: "/v1/complaints", tag: "complaints",
		summary: "List complaints by clear attributes, the next due first", description: "Needs no key server."},
		func(ctx context.Context, x *exchange, in *listInput) (*reply[*custody.Page], error) {
			req, err := in.request(x)
			if err != nil {
				return nil, err
			}
			key := bound(x, "list", req.Purpose, in.State, in.Department, in.Assignee, in.DueBefore)
			after, ok := s.cursors.open(in.PageToken, key, time.Now())
			if !ok {
				return nil, x.newProblem(codePageToken)
			}
			req.After = after
			page, err := s.cfg.Door.List(ctx, x.caller, req)
			if err != nil {
				return nil, err
			}
			sealed := *page
			sealed.Next = s.cursors.seal(page.Next, key, time.Now())
			return newReply(&sealed, 0, page.Audit), nil
		})
	body := newBody[SearchInput](nil)
	add(s, operation{id: "searchComplaints", method: http.MethodPost, path: "/v1/complaints:search", tag: "complaints",
		summary: "Find complaints by one blind-indexed field", body: requestBody[SearchInput](s)},
		func(ctx context.Context, x *exchange, in *PurposeParam) (*reply[*custody.Page], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			b, err := body.read(x)
			if err != nil {
				return nil, err
			}
			f, ok := complaint.FieldByName(b.Field)
			if !ok || f.Index == "" {
				return nil, x.place(codeInvalid, "/field", "unknown_field")
			}
			if b.PageSize < 0 || b.PageSize > 200 {
				return nil, x.place(codeInvalid, "/page_size", "out_of_range")
			}
			page, err := s.cfg.Door.Search(ctx, x.caller, custody.SearchRequest{Purpose: purpose, Field: b.Field, Value: b.Value, PageSize: b.PageSize})
			if err != nil {
				return nil, err
			}
			return newReply(page, 0, page.Audit), nil
		})
}

func (in *listInput) request(x *exchange) (custody.ListRequest, error) {
	req := custody.ListRequest{State: in.State, Department: in.Department, Assignee: in.Assignee, PageSize: 50}
	var err error
	if req.Purpose, err = in.purpose(x); err != nil {
		return req, err
	}
	if in.State != "" && !complaint.Registry().Has("state", in.State) {
		return req, x.member("/state", complaint.Registry().Allowed("state")...)
	}
	if in.Department != "" && !isToken(in.Department, 64) {
		return req, x.place(codeInvalid, "/department", "malformed")
	}
	if in.Assignee != "" && !isToken(in.Assignee, 64) {
		return req, x.place(codeInvalid, "/assignee", "malformed")
	}
	if in.DueBefore != "" {
		if req.DueBefore, err = time.Parse(time.RFC3339, in.DueBefore); err != nil {
			return req, x.place(codeInvalid, "/due_before", "malformed")
		}
	}
	if in.PageSize != "" {
		if req.PageSize, err = strconv.Atoi(in.PageSize); err != nil || req.PageSize < 1 || req.PageSize > 200 {
			return req, x.place(codeInvalid, "/page_size", "out_of_range")
		}
	}
	return req, nil
}

type changeInput struct {
	RecordParam
	IfMatch string `header:"If-Match" doc:"Required: the ETag that the change is based on"`
}

// revision reads If-Match: one strong ETag of ours.
func (in changeInput) revision(x *exchange) (uint64, error) {
	if in.IfMatch == "" {
		return 0, x.newProblem(codeETagRequired)
	}
	n, err := strconv.ParseUint(strings.Trim(in.IfMatch, `"`), 10, 64)
	if err != nil || n == 0 {
		return 0, x.place(codeMalformed, "/If-Match", "malformed")
	}
	return n, nil
}

// AmendInput is a merge patch (RFC 7396) of sealed fields; null empties one.
type AmendInput struct {
	Fields map[string]*string `json:"fields"`
}

// TransitionInput is the body of a transition.
type TransitionInput struct {
	Name   string            `json:"name" doc:"Transition of the registry, e.g. accept, classify, assign"`
	Inputs map[string]string `json:"inputs,omitempty" doc:"What the transition requires, by the registry's names; booleans as true and false"`
}

func (s *service) changeOne() {
	amend := newBody[AmendInput](isField)
	amend.media = "application/merge-patch+json"
	add(s, operation{id: "amendComplaint", method: http.MethodPatch, path: "/v1/complaints/{id}", tag: "complaints",
		summary: "Replace sealed fields", body: requestBody[AmendInput](s, amend.media)},
		func(ctx context.Context, x *exchange, in *changeInput) (*reply[*custody.View], error) {
			id, purpose, revision, err := in.all(x)
			if err != nil {
				return nil, err
			}
			b, err := amend.read(x)
			if err != nil {
				return nil, err
			}
			if len(b.Fields) == 0 {
				return nil, x.place(codeInvalid, "/fields", "required")
			}
			return viewReply(s.cfg.Door.Amend(ctx, x.caller, custody.AmendRequest{ID: id, Purpose: purpose, Revision: revision, Fields: b.Fields}))
		})
	move := newBody[TransitionInput](isInput())
	add(s, operation{id: "moveComplaint", method: http.MethodPost, path: "/v1/complaints/{id}/transitions", tag: "complaints",
		summary: "Move a complaint through its lifecycle", body: requestBody[TransitionInput](s)},
		func(ctx context.Context, x *exchange, in *changeInput) (*reply[*custody.View], error) {
			id, purpose, revision, err := in.all(x)
			if err != nil {
				return nil, err
			}
			b, err := move.read(x)
			if err != nil {
				return nil, err
			}
			if _, ok := complaint.Registry().Transition(b.Name); !ok {
				return nil, x.place(codeInvalid, "/name", "unknown_transition")
			}
			return viewReply(s.cfg.Door.Transition(ctx, x.caller, custody.TransitionRequest{ID: id, Purpose: purpose, Revision: revision, Name: b.Name, Inputs: b.Inputs}))
		})
}

func (in changeInput) all(x *exchange) (id, purpose string, revision uint64, err error) {
	if id, purpose, err = in.both(x); err != nil {
		return "", "", 0, err
	}
	revision, err = in.revision(x)
	return id, purpose, revision, err
}
