package keyring

import (
	"errors"
	"fmt"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// ErrIntegrity says that a wrapped key is not the one that was stored: empty,
// changed, of another record, of the wrong length or commitment. It is the
// same value as field.ErrIntegrity.
var ErrIntegrity = field.ErrIntegrity

// ErrUnavailable says that the key service cannot be used now. A retry may
// succeed. errors.Is finds it in every [UnavailableError].
var ErrUnavailable = errors.New("key service unavailable")

// ErrRetired says that the master key version of a wrapped key was retired or
// trimmed: the key can never be unwrapped again. No retry helps.
var ErrRetired = errors.New("master key version retired")

// Cause says why the key service is unavailable.
type Cause string

// The causes. Sealed and Denied are answers: they void all leases.
const (
	CauseUnreachable Cause = "unreachable" // no connection, broken answer, 5xx
	CauseDeadline    Cause = "deadline"    // no answer in time
	CauseSealed      Cause = "sealed"      // the service answered that it is sealed
	CauseDenied      Cause = "denied"      // permission denied, token expired or revoked
	CauseThrottled   Cause = "throttled"   // 429
	CauseRejected    Cause = "rejected"    // it did not understand the request: configuration
	CauseCircuit     Cause = "circuit"     // too many calls failed in a row: this one was not made
)

// UnavailableError carries the cause. Its text has names only: an answer of
// the service is never part of it, since it might echo values.
type UnavailableError struct {
	Cause  Cause
	Op     string // "wrap", "unwrap", "hmac", "sign", "probe", "login"
	Status int    // HTTP status, 0 without an answer
}

// Error names operation, cause and status.
func (e *UnavailableError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("%s: key service unavailable: %s", e.Op, e.Cause)
	}
	return fmt.Sprintf("%s: key service unavailable: %s (status %d)", e.Op, e.Cause, e.Status)
}

// Unwrap makes errors.Is(err, ErrUnavailable) true.
func (e *UnavailableError) Unwrap() error { return ErrUnavailable }

// CauseOf returns the cause of an error that wraps ErrUnavailable, else "".
func CauseOf(err error) Cause {
	if u, ok := errors.AsType[*UnavailableError](err); ok {
		return u.Cause
	}
	return ""
}

// answered says whether the error means that the service is there and refuses:
// then no lease may live on.
func answered(err error) bool {
	c := CauseOf(err)
	return c == CauseSealed || c == CauseDenied
}
