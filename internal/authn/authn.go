// Package authn turns a bearer token into an Identity, or refuses it.
//
// The one idea: a token says who somebody is and which roles an identity
// provider claims for her; whether those roles count is for the duty register
// and the policy, so that a provider alone can widen nothing. The package must
// never know the store, a key of a record, or a decision, and no error of it
// holds any part of a token.
package authn

import (
	"context"
	"errors"
	"fmt"
)

// Kinds of identity. They are the words of the token's "kind" claim.
const (
	KindHuman       = "human"
	KindApplication = "application"
	KindPortal      = "portal"
)

// Identity is what a verified token says.
type Identity struct {
	Institution string   // slug, claim "institution"
	Person      string   // person or application id, claim "sub"
	Kind        string   // human, application or portal, claim "kind"
	Roles       []string // claim "roles"; MUST NOT be altered, it is shared between requests
	Auth        string   // "jwt:<issuer>"
	OnBehalf    string   // application through which a human came, claim "act.sub"; empty if none
	Complaint   string   // the complainant's own complaint, claim "complaint"; portal only
}

// Verifier checks a bearer token. It is safe for concurrent use. Its errors
// wrap ErrUnauthenticated when the token is at fault and ErrKeysUnavailable
// when nobody could tell.
type Verifier interface {
	Verify(ctx context.Context, bearer string) (Identity, error)
}

// Errors that callers branch on.
var (
	// ErrUnauthenticated: the token is missing, forged, expired or meant for
	// somebody else. Answered as 401; the cause is for our log only.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrKeysUnavailable: the issuer's keys could not be read in time. 503.
	ErrKeysUnavailable = errors.New("the issuer's keys are not available")
)

// Cause says, without any part of the token, why it was refused.
type Cause string

// The causes, also used as values of a metric label.
const (
	CauseMissing   Cause = "missing"
	CauseMalformed Cause = "malformed"
	CauseAlgorithm Cause = "algorithm" // none, HS*, or an algorithm that the key is not for
	CauseKey       Cause = "unknown_key"
	CauseSignature Cause = "signature"
	CauseExpired   Cause = "expired"
	CauseNotYet    Cause = "not_yet_valid"
	CauseIssuer    Cause = "issuer"
	CauseAudience  Cause = "audience"
	CauseClaims    Cause = "claims" // sub, institution, kind or roles missing or not allowed together
)

// RefusedError is a token that was not accepted; it wraps ErrUnauthenticated.
type RefusedError struct{ Cause Cause }

func (e *RefusedError) Error() string { return fmt.Sprintf("token refused: %s", e.Cause) }

// Unwrap makes errors.Is(err, ErrUnauthenticated) true.
func (e *RefusedError) Unwrap() error { return ErrUnauthenticated }

func refused(c Cause) error { return &RefusedError{Cause: c} }
