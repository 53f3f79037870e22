package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/receipt"
)

// HoldInput puts a complaint under a legal hold.
type HoldInput struct {
	Reason    string `json:"reason" doc:"Member of the set hold_reason"`
	Reference string `json:"reference" maxLength:"64" doc:"File number of the court or authority; no personal data"`
}

// ErasureInput asks for an erasure, which another person decides on.
type ErasureInput struct {
	Scope     string   `json:"scope" enum:"record,groups,subject" doc:"One record, some groups of its fields, or every record of its complainant"`
	Complaint string   `json:"complaint" format:"uuid"`
	Groups    []string `json:"groups,omitempty" doc:"For scope groups only"`
	Basis     string   `json:"basis" doc:"Member of the set erasure_basis"`
}

type objectParam struct {
	ID string `path:"id"`
}

func (p objectParam) ids() []string { return []string{p.ID} }

type shownParam struct {
	PurposeParam
	ID string `path:"id"`
}

type stateInput struct {
	PurposeParam
	State string `query:"state" doc:"requested (default), approved, executed or refused"`
}

type dueInput struct {
	PurposeParam
	PageSize  string `query:"page_size" doc:"1 to 200, default 50"`
	PageToken string `query:"page_token" doc:"next_page_token of the former page"`
}

type purposeOnly struct {
	PurposeParam
}

func auditOfHold(h *custody.LegalHold) custody.AuditRef   { return h.Audit }
func auditOfErasure(e *custody.Erasure) custody.AuditRef  { return e.Audit }
func auditOfHolds(h *custody.LegalHolds) custody.AuditRef { return h.Audit }

// erasure are the routes of holds and erasures.
func (s *service) erasure() {
	s.holds()
	s.erasures()
	s.receipts()
}

func (s *service) holds() {
	door := s.cfg.Door
	command(s, operation{id: "placeHold", path: "/v1/complaints/{id}/holds", tag: "erasure", summary: "Put a complaint under a legal hold", status: http.StatusCreated,
		description: "While a hold is open nothing of the complaint is erased and nothing stored is overwritten; its handling goes on."},
		func(ctx context.Context, x *exchange, in *IDParam, b *HoldInput) (*reply[*custody.LegalHold], error) {
			if !complaint.Registry().Has("hold_reason", b.Reason) {
				return nil, x.member("/reason", complaint.Registry().Allowed("hold_reason")...)
			}
			h, err := door.PlaceHold(ctx, x.caller, custody.LegalHold{Complaint: in.complaintID(), Reason: b.Reason, Reference: b.Reference})
			return answered(h, auditOfHold, err)
		})
	add(s, operation{id: "listHolds", method: http.MethodGet, path: "/v1/complaints/{id}/holds", tag: "erasure", summary: "Legal holds of a complaint, open and released"},
		func(ctx context.Context, x *exchange, in *RecordParam) (*reply[*custody.LegalHolds], error) {
			id, purpose, err := in.both(x)
			if err != nil {
				return nil, err
			}
			h, err := door.Holds(ctx, x.caller, id, purpose)
			return answered(h, auditOfHolds, err)
		})
	add(s, operation{id: "askHoldRelease", method: http.MethodPost, path: "/v1/holds/{id}/release-request", tag: "erasure", summary: "Ask for the release of a legal hold"},
		func(ctx context.Context, x *exchange, in *objectParam) (*reply[*custody.LegalHold], error) {
			if err := x.named(in.ID); err != nil {
				return nil, err
			}
			h, err := door.AskHoldRelease(ctx, x.caller, in.ID)
			return answered(h, auditOfHold, err)
		})
	add(s, operation{id: "releaseHold", method: http.MethodPost, path: "/v1/holds/{id}/release", tag: "erasure", summary: "Release a legal hold, which another person asked for"},
		func(ctx context.Context, x *exchange, in *objectParam) (*reply[*custody.LegalHold], error) {
			if err := x.named(in.ID); err != nil {
				return nil, err
			}
			h, err := door.ReleaseHold(ctx, x.caller, in.ID)
			return answered(h, auditOfHold, err)
		})
}

func (s *service) erasures() {
	door, body := s.cfg.Door, newBody[ErasureInput](nil)
	add(s, operation{id: "requestErasure", method: http.MethodPost, path: "/v1/erasures", tag: "erasure", status: http.StatusCreated,
		summary: "Ask for an erasure, which the data protection officer decides on", body: requestBody[ErasureInput](s)},
		func(ctx context.Context, x *exchange, in *purposeOnly) (*reply[*custody.Erasure], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			b, err := body.read(x)
			if err != nil {
				return nil, err
			}
			e, err := door.RequestErasure(ctx, x.caller, custody.ErasureRequest{Purpose: purpose, Scope: b.Scope, Complaint: strings.ToLower(b.Complaint),
				Groups: b.Groups, Basis: b.Basis})
			if err != nil {
				return nil, err
			}
			x.Header().Set("Location", "/v1/erasures/"+e.ID)
			return newReply(e, 0, e.Audit), nil
		})
	command(s, operation{id: "reviewErasure", path: "/v1/erasures/{id}/reviews", tag: "erasure", long: true,
		summary: "Approve or refuse an erasure that somebody else asked for",
		description: "What is approved is carried out at once, record by record. A legal hold and unexpired retention win, always: such a record is kept, and the answer says so. " +
			"Approving again goes on with records that are still pending."},
		func(ctx context.Context, x *exchange, in *objectParam, b *ReviewInput) (*reply[*custody.Erasure], error) {
			if b.Verdict != "approve" && b.Verdict != "refuse" {
				return nil, x.member("/verdict", "approve", "refuse")
			}
			e, err := door.ReviewErasure(ctx, x.caller, in.ID, b.Verdict == "approve")
			return answered(e, auditOfErasure, err)
		})
	add(s, operation{id: "listErasures", method: http.MethodGet, path: "/v1/erasures", tag: "erasure", summary: "Erasures in a state, oldest first"},
		func(ctx context.Context, x *exchange, in *stateInput) (*reply[*custody.Erasures], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			state := in.State
			if state == "" {
				state = "requested"
			}
			list, err := door.Erasures(ctx, x.caller, state, purpose)
			if err != nil {
				return nil, err
			}
			return newReply(list, 0, list.Audit), nil
		})
	add(s, operation{id: "listDueErasures", method: http.MethodGet, path: "/v1/erasures/due", tag: "erasure",
		summary: "Complaints whose retention has ended, that are under no hold and not asked about yet"},
		func(ctx context.Context, x *exchange, in *dueInput) (*reply[*custody.Page], error) {
			req, err := (&listInput{PurposeParam: in.PurposeParam, PageSize: in.PageSize}).request(x)
			if err != nil {
				return nil, err
			}
			var ok bool
			key := bound(x, "due", req.Purpose)
			if req.After, ok = s.cursors.open(in.PageToken, key, time.Now()); !ok {
				return nil, x.newProblem(codePageToken)
			}
			page, err := door.DueForErasure(ctx, x.caller, req)
			if err != nil {
				return nil, err
			}
			sealed := *page
			sealed.Next = s.cursors.seal(page.Next, key, time.Now())
			return newReply(&sealed, 0, page.Audit), nil
		})
}

func (s *service) receipts() {
	door := s.cfg.Door
	add(s, operation{id: "getErasure", method: http.MethodGet, path: "/v1/erasures/{id}", tag: "erasure", summary: "An erasure and what became of each record"},
		func(ctx context.Context, x *exchange, in *shownParam) (*reply[*custody.Erasure], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			if err := x.named(in.ID); err != nil {
				return nil, err
			}
			e, err := door.Erasure(ctx, x.caller, in.ID, purpose)
			return answered(e, auditOfErasure, err)
		})
	add(s, operation{id: "getErasureReceipt", method: http.MethodGet, path: "/v1/erasures/{id}/receipt", tag: "erasure", long: true,
		summary:     "Receipt of an executed erasure, which trailcheck verifies offline",
		description: "Stage 1 proves that the keys were destroyed; stage 2, once the key epoch is closed, that no older key backup opens them. Format: docs/formats/erasure-receipt.md."},
		func(ctx context.Context, x *exchange, in *shownParam) (*reply[*receipt.Receipt], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			if err := x.named(in.ID); err != nil {
				return nil, err
			}
			r, ref, err := door.ErasureReceipt(ctx, x.caller, in.ID, purpose)
			if err != nil {
				return nil, err
			}
			return newReply(r, 0, ref), nil
		})
}
