package publish

import (
	"errors"
	"fmt"
)

var (
	// ErrBehind is wrapped when PostgreSQL has fewer leaves than the published checkpoint: an old database was restored, or
	// acknowledged commits were lost. Nothing is signed.
	ErrBehind = errors.New("database is behind the published checkpoint")
	// ErrFork is wrapped when PostgreSQL has another root at a size that was signed. Nothing is signed; the evidence lies in
	// the store under evidence/.
	ErrFork = errors.New("log has another root at a signed size")
	// ErrForeign is wrapped when the published checkpoint is not signed by this log's key.
	ErrForeign = errors.New("published checkpoint is not of this log's key")
	// ErrSignature is wrapped when the signer's answer does not verify with its own key. It is not published.
	ErrSignature = errors.New("signature does not verify")
	// ErrWitnesses is wrapped when fewer witnesses cosigned than Config.RequireWitnesses.
	ErrWitnesses = errors.New("too few witnesses")
	// ErrRefused is wrapped when a witness answered and did not cosign.
	ErrRefused = errors.New("witness refused")
)

// StaleError is a witness's answer that the proof did not start at the checkpoint it cosigned last (HTTP 409).
type StaleError struct {
	Size uint64 // of the checkpoint that the witness cosigned last
}

// Error names the size.
func (e *StaleError) Error() string {
	return fmt.Sprintf("witness cosigned size %d last", e.Size)
}
