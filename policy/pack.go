package policy

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
)

// decisionID is 96 random bits.
type decisionID [12]byte

// newDecisionID takes bits of the runtime's ChaCha8 generator, seeded by the operating system: an id must be unique, not secret.
func newDecisionID() (id decisionID) {
	binary.BigEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // unique, not secret
	binary.BigEndian.PutUint32(id[8:], rand.Uint32()) //nolint:gosec // unique, not secret
	return id
}

// String renders lower-case hex; empty for the zero id.
func (id decisionID) String() string {
	if id == (decisionID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// attributes makes the finite attributes of a request. What the action does not read is fixed, so no decision can depend on it.
func (s *Snapshot) attributes(r *Request) (attributes, error) {
	var a attributes
	action := index(actions, r.Action)
	if action < 0 {
		return a, fmt.Errorf("deciding: %w", ErrUnknownAction)
	}
	if r.Purpose == "" {
		return a, fmt.Errorf("deciding %s: %w", r.Action, ErrPurposeRequired)
	}
	purpose := index(purposes, r.Purpose)
	if purpose < 0 {
		return a, fmt.Errorf("deciding %s: %w", r.Action, ErrUnknownPurpose)
	}
	a.action, a.purpose = uint8(action), uint8(purpose)
	held, err := heldRoles(&r.Subject)
	if err != nil {
		return a, fmt.Errorf("deciding %s: %w", r.Action, err)
	}
	a.roles = held
	if err := s.recordAttributes(&a, r); err != nil {
		return a, fmt.Errorf("deciding %s: %w", r.Action, err)
	}
	a.facts = relations(r) & s.plans[action].facts[purpose]
	return a, nil
}

// heldRoles gives the roles as bits, without those that the kind of subject cannot hold: application, portal and keeper stand alone.
func heldRoles(s *Subject) (uint32, error) {
	var bits uint32
	for _, role := range s.Roles {
		i := index(roles, role)
		if i < 0 {
			return 0, fmt.Errorf("role: %w", ErrUnknownAttribute)
		}
		bits |= 1 << i
	}
	switch s.Kind {
	case KindHuman:
		return bits &^ (rolePortal | roleApplication | roleKeeper), nil
	case KindPortal:
		return bits & rolePortal, nil
	case KindApplication:
		return bits & roleApplication, nil
	case KindService:
		return bits & roleKeeper, nil
	default:
		return 0, fmt.Errorf("kind: %w", ErrUnknownAttribute)
	}
}

// Bits of the roles that are bound to a kind of subject: the last three of roles.
const (
	rolePortal      uint32 = 1 << 16
	roleApplication uint32 = 1 << 17
	roleKeeper      uint32 = 1 << 18
)

// recordAttributes reads stage, sensitivity, level and transition where the action has them.
func (s *Snapshot) recordAttributes(a *attributes, r *Request) error {
	p := &s.plans[a.action]
	if p.step {
		step, ok := s.steps[r.Transition]
		if !ok {
			return ErrUnknownTransition
		}
		a.step = step
	}
	if !p.record {
		return nil
	}
	if r.Record.ID == "" {
		return ErrRecordRequired
	}
	stage, sens := index(stages, r.Record.Stage), index(sensitivities, r.Record.Sensitivity)
	if stage < 0 || sens < 0 || levelRank(r.Record.Level) == 0 {
		return fmt.Errorf("stage, sensitivity or level: %w", ErrUnknownAttribute)
	}
	if p.stage {
		a.stage = uint8(stage)
	}
	if p.sens {
		a.sens = uint8(sens)
	}
	return nil
}

// refuse gives a decision that never reached OPA the reason that fits its error.
func (d Decision) refuse(err error) Decision {
	switch {
	case errors.Is(err, ErrPurposeRequired):
		d.reason, d.public = reasonPurposeRequired, reasonPurposeRequired
	case errors.Is(err, ErrUnknownPurpose):
		d.reason, d.public = reasonPurposeUnknown, reasonPurposeUnknown
	}
	return d
}
