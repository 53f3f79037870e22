package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// MasterKeys is the door's part about master keys.
type MasterKeys interface {
	Keys(ctx context.Context, c custody.Caller, purpose string) (*custody.Keys, error)
	ProposeEpoch(context.Context, custody.Caller, custody.EpochRequest) (*custody.KeyEpoch, error)
	ConfirmEpoch(context.Context, custody.Caller, custody.EpochRequest) (*custody.KeyEpoch, error)
	WithdrawEpoch(context.Context, custody.Caller, custody.EpochRequest) (*custody.KeyEpoch, error)
}

// EpochInput names the closing of a key epoch.
type EpochInput struct {
	Version int `json:"version" minimum:"2" doc:"The oldest version of the record key that stays"`
}

type versionParam struct {
	PurposeParam
	Version string `path:"version" pattern:"^[0-9]{1,9}$" doc:"The oldest version of the record key that stays"`
}

type keysParam struct {
	PurposeParam
}

func auditOfEpoch(e *custody.KeyEpoch) custody.AuditRef { return e.Audit }

// keys are the routes of master keys and of the closing of their epochs.
func (s *service) keys() {
	door, body := s.cfg.Door, newBody[EpochInput](nil)
	add(s, operation{id: "getKeys", method: http.MethodGet, path: "/v1/keys", tag: "keys",
		summary: "Master keys, what is wrapped under each version, epochs and jobs"},
		func(ctx context.Context, x *exchange, in *keysParam) (*reply[*custody.Keys], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			keys, err := door.Keys(ctx, x.caller, purpose)
			if err != nil {
				return nil, err
			}
			return newReply(keys, 0, keys.Audit), nil
		})
	add(s, operation{id: "proposeEpoch", method: http.MethodPost, path: "/v1/keys/epochs", tag: "keys", status: http.StatusCreated,
		summary:     "Propose to give up older versions of the record key, which another custodian confirms",
		description: "Refused while any key is wrapped under an older version; the answer says how many.", body: requestBody[EpochInput](s)},
		func(ctx context.Context, x *exchange, in *keysParam) (*reply[*custody.KeyEpoch], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			b, err := body.read(x)
			if err != nil {
				return nil, err
			}
			e, err := door.ProposeEpoch(ctx, x.caller, custody.EpochRequest{Purpose: purpose, Version: b.Version})
			return answered(e, auditOfEpoch, err)
		})
	s.settleEpoch("confirm", "confirmEpoch", "Confirm a closing that another custodian proposed", door.ConfirmEpoch)
	s.settleEpoch("withdraw", "withdrawEpoch", "Take a closing back that was not carried out", door.WithdrawEpoch)
}

type epochAct func(context.Context, custody.Caller, custody.EpochRequest) (*custody.KeyEpoch, error)

func (s *service) settleEpoch(verb, id, summary string, act epochAct) {
	add(s, operation{id: id, method: http.MethodPost, path: "/v1/keys/epochs/{version}/" + verb, tag: "keys", summary: summary},
		func(ctx context.Context, x *exchange, in *versionParam) (*reply[*custody.KeyEpoch], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			version, err := strconv.Atoi(in.Version)
			if err != nil {
				return nil, x.newProblem(codeNotFound)
			}
			e, err := act(ctx, x.caller, custody.EpochRequest{Purpose: purpose, Version: version})
			return answered(e, auditOfEpoch, err)
		})
}
