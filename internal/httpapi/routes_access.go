package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// GrantInput asks for access to some groups of one complaint's fields.
type GrantInput struct {
	Complaint string   `json:"complaint" format:"uuid"`
	Purpose   string   `json:"purpose"`
	Groups    []string `json:"groups" minItems:"1"`
	Reason    string   `json:"reason" maxLength:"500" doc:"Sealed; the reviewer reads it"`
	Minutes   int      `json:"minutes" minimum:"1" doc:"Access life, counted from approval"`
}

// ReviewInput decides on a request that somebody else made.
type ReviewInput struct {
	Verdict string `json:"verdict" enum:"approve,refuse"`
}

// BreakGlassInput opens one record in an emergency. It is loud: it is reviewed.
type BreakGlassInput struct {
	Complaint string     `json:"complaint" format:"uuid"`
	Ticket    string     `json:"ticket" maxLength:"64"`
	Reason    string     `json:"reason" maxLength:"500"`
	Until     *time.Time `json:"until,omitempty" doc:"At most 60 minutes from now; default that"`
}

// BreakGlassReviewInput judges an emergency access afterwards.
type BreakGlassReviewInput struct {
	Justified bool `json:"justified"`
}

type grantParam struct {
	ID string `path:"id"`
}

func (p grantParam) ids() []string { return []string{p.ID} }

func auditOfGrant(g *custody.Grant) custody.AuditRef           { return g.Audit }
func auditOfBreakGlass(b *custody.BreakGlass) custody.AuditRef { return b.Audit }

func (s *service) access() {
	door := s.cfg.Door
	command(s, operation{id: "requestAccess", path: "/v1/access-requests", tag: "access", summary: "Ask for an access grant", status: http.StatusCreated},
		func(ctx context.Context, x *exchange, _ *struct{}, b *GrantInput) (*reply[*custody.Grant], error) {
			id := IDParam{ID: b.Complaint}.complaintID()
			g, err := door.RequestGrant(ctx, x.caller, custody.Grant{Complaint: id, Purpose: b.Purpose, Groups: b.Groups, Reason: b.Reason, Minutes: b.Minutes})
			return answered(g, auditOfGrant, err)
		})
	command(s, operation{id: "reviewAccess", path: "/v1/access-requests/{id}/reviews", tag: "access", summary: "Approve or refuse a request that somebody else made"},
		func(ctx context.Context, x *exchange, in *grantParam, b *ReviewInput) (*reply[*custody.Grant], error) {
			if b.Verdict != "approve" && b.Verdict != "refuse" {
				return nil, x.member("/verdict", "approve", "refuse")
			}
			g, err := door.ReviewGrant(ctx, x.caller, in.ID, b.Verdict == "approve")
			return answered(g, auditOfGrant, err)
		})
	add(s, operation{id: "revokeAccess", method: http.MethodPost, path: "/v1/access-requests/{id}/revoke", tag: "access", summary: "End a grant at once"},
		func(ctx context.Context, x *exchange, in *grantParam) (*reply[*custody.Grant], error) {
			if err := x.named(in.ID); err != nil {
				return nil, err
			}
			g, err := door.RevokeGrant(ctx, x.caller, in.ID)
			return answered(g, auditOfGrant, err)
		})
	s.breakGlass()
}

func (s *service) breakGlass() {
	door := s.cfg.Door
	command(s, operation{id: "openBreakGlass", path: "/v1/break-glass", tag: "access", summary: "Open one record in an emergency", status: http.StatusCreated},
		func(ctx context.Context, x *exchange, _ *struct{}, b *BreakGlassInput) (*reply[*custody.BreakGlass], error) {
			id := IDParam{ID: b.Complaint}.complaintID()
			asked := custody.BreakGlass{Complaint: id, Ticket: b.Ticket, Reason: b.Reason}
			if b.Until != nil {
				asked.Until = *b.Until
			}
			g, err := door.OpenBreakGlass(ctx, x.caller, asked)
			return answered(g, auditOfBreakGlass, err)
		})
	add(s, operation{id: "closeBreakGlass", method: http.MethodPost, path: "/v1/break-glass/{id}/close", tag: "access", summary: "Close an emergency access"},
		func(ctx context.Context, x *exchange, in *grantParam) (*reply[*custody.BreakGlass], error) {
			if err := x.named(in.ID); err != nil {
				return nil, err
			}
			g, err := door.CloseBreakGlass(ctx, x.caller, in.ID)
			return answered(g, auditOfBreakGlass, err)
		})
	command(s, operation{id: "reviewBreakGlass", path: "/v1/break-glass/{id}/review", tag: "access", summary: "Judge an emergency access afterwards"},
		func(ctx context.Context, x *exchange, in *grantParam, b *BreakGlassReviewInput) (*reply[*custody.BreakGlass], error) {
			g, err := door.ReviewBreakGlass(ctx, x.caller, in.ID, b.Justified)
			return answered(g, auditOfBreakGlass, err)
		})
}
