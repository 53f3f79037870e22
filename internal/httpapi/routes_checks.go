package httpapi

import (
	"context"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// Checking is the door's part about decisions that are only asked for.
type Checking interface {
	CheckDecisions(ctx context.Context, c custody.Caller, purpose string, list []custody.Check) ([]custody.Checked, error)
}

// ChecksInput asks what would be allowed.
type ChecksInput struct {
	Items []custody.Check `json:"items" minItems:"1" maxItems:"100"`
}

// Checks are the answers, each in the place of its question.
type Checks struct {
	Items []custody.Checked `json:"items"`
}

func (s *service) checks() {
	command(s, operation{id: "checkDecisions", path: "/v1/decisions:check", tag: "access",
		summary:     "What would be allowed, without doing it; each question is an entry of the log",
		description: "For greying out what would be refused. The act itself is decided on anew."},
		func(ctx context.Context, x *exchange, in *purposeOnly, b *ChecksInput) (*reply[*Checks], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			list, err := s.cfg.Door.CheckDecisions(ctx, x.caller, purpose, b.Items)
			if err != nil {
				return nil, err
			}
			return newReply(&Checks{list}, 0, list[0].Audit), nil
		})
}
