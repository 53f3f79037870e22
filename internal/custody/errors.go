package custody

import (
	"errors"
	"fmt"

	"github.com/sealtrail/sealtrail/internal/intake"
)

// Errors that callers branch on. None of them ever holds a protected value.
var (
	// ErrNotFound: no such record for this caller. An unknown id and a record
	// whose metadata the caller may not see are the same answer.
	ErrNotFound = errors.New("no such record")
	// ErrStale: the record has moved on since the revision that was named.
	ErrStale = errors.New("the record has a newer revision")
	// ErrUnrecorded: the log could not be written, so nothing was disclosed or
	// changed. Answered as 503.
	ErrUnrecorded = errors.New("the audit log cannot be written")
	// ErrKeysUnavailable: Vault cannot be reached, is sealed, or refuses. 503.
	ErrKeysUnavailable = errors.New("the key server is not available")
	// ErrStoreUnavailable: PostgreSQL cannot be reached in time. 503.
	ErrStoreUnavailable = errors.New("the database is not available")
	// ErrIntegrity: what is stored is not what was sealed. Nothing was opened.
	ErrIntegrity = errors.New("stored data fails its integrity check")
	// ErrPurposeRequired: no purpose was given. 400.
	ErrPurposeRequired = errors.New("a purpose is required")
	// ErrIdempotencyReused: the key was used for another request. 422.
	ErrIdempotencyReused = errors.New("the idempotency key was used for another request")
)

// RefusedError is a denied decision. It is durable in the log before the caller
// sees it.
type RefusedError struct {
	Decision DecisionView
	Audit    AuditRef
	// Fields are the requested fields that were denied, by catalogue name.
	Fields []string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused by %s (article %s): %s", e.Decision.Rule, e.Decision.Article, e.Decision.Reason)
}

// InvalidError lists what is wrong with a request, by pointer and code.
type InvalidError struct{ Problems []intake.Problem }

func (e *InvalidError) Error() string {
	return fmt.Sprintf("invalid request: %d problems, first %s at %s", len(e.Problems), e.Problems[0].Code, e.Problems[0].Pointer)
}

// ConflictError is an act that the record's present state does not allow.
type ConflictError struct {
	Code    string   // stable: state_conflict, self_approval, duty_conflict, already_decided
	State   string   // present state
	Allowed []string // what would be allowed now
}

func (e *ConflictError) Error() string { return "conflict: " + e.Code + " in state " + e.State }
