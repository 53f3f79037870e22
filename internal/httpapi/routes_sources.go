package httpapi

import (
	"context"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// Sources is the door's part about what source systems say that they sent.
type Sources interface {
	ReportSource(ctx context.Context, c custody.Caller, r custody.SourceCount) (custody.AuditRef, error)
}

// sourceInput names the source in the path.
type sourceInput struct {
	purposeOnly
	ID string `path:"id" maxLength:"64" doc:"name of the source system, as in its complaints"`
}

// CountInput says how many complaints a source system sent on a day.
type CountInput struct {
	Day   string `json:"day" format:"date" doc:"YYYY-MM-DD, in China"`
	Count int    `json:"count" minimum:"0"`
}

// Counted answers a report of a source system.
type Counted struct {
	Audit custody.AuditRef `json:"audit"`
}

func (s *service) sources() {
	command(s, operation{id: "reportSource", path: "/v1/sources/{id}/counts", tag: "complaints",
		summary:     "How many complaints a source system sent on a day; compared every night with what was received",
		description: "The newest report of a day counts. For whoever may file complaints."},
		func(ctx context.Context, x *exchange, in *sourceInput, b *CountInput) (*reply[*Counted], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			ref, err := s.cfg.Door.ReportSource(ctx, x.caller, custody.SourceCount{Purpose: purpose, Source: in.ID, Day: b.Day, Count: b.Count})
			if err != nil {
				return nil, err
			}
			return newReply(&Counted{ref}, 0, ref), nil
		})
}
