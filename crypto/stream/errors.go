package stream

import (
	"errors"
	"fmt"

	"github.com/sealtrail/sealtrail/crypto/field"
)

var (
	// ErrTruncated means: the ciphertext ends early, or has a length that no sealed
	// file has. errors.Is finds it, and field.ErrIntegrity, in an [Error].
	ErrTruncated = errors.New("sealed file is cut or extended")
	// ErrKey means: the commitment is not that of this key at this place: another
	// file's content, another file's key, or a changed head.
	ErrKey = errors.New("sealed file is not of this key and place")
	// ErrChunk means: a chunk is not what was sealed at its number.
	ErrChunk = errors.New("chunk of a sealed file is not authentic")
	// ErrClosed means: a Writer was used after Close or after an error.
	ErrClosed = errors.New("writer of a sealed file is closed")
)

// Error is one finding about a sealed file. It wraps one of ErrTruncated, ErrKey
// and ErrChunk, and field.ErrIntegrity: it never heals by a retry.
type Error struct {
	// Chunk is the number of the chunk from 0; -1 concerns the file as a whole.
	Chunk int64
	kind  error
}

// Error names the finding, never a value.
func (e *Error) Error() string {
	if e.Chunk < 0 {
		return e.kind.Error()
	}
	return fmt.Sprintf("%s: chunk %d", e.kind.Error(), e.Chunk)
}

// Unwrap makes errors.Is true for the kind and for field.ErrIntegrity.
func (e *Error) Unwrap() []error { return []error{e.kind, field.ErrIntegrity} }
