package field

import (
	"errors"
	"fmt"
)

// ErrIntegrity says that stored bytes are not what was sealed for this place:
// changed, moved, removed, added or older. It is never the caller's fault and
// never heals by a retry. errors.Is finds it in every [IntegrityError].
var ErrIntegrity = errors.New("integrity error")

// ErrPlace says that a [Place] or [ManifestInput] is unusable: an empty or
// over-long name, a path that is not NFC, an unknown suite or kind. It is a
// mistake of the calling program.
var ErrPlace = errors.New("invalid place")

// ErrDestroyed says that the [Key] was destroyed: its lease was released.
var ErrDestroyed = errors.New("data key destroyed")

// ErrTooLarge says that a plaintext is larger than [MaxPlaintext].
var ErrTooLarge = errors.New("plaintext too large")

// IntegrityError is one finding. It holds names only, never values.
type IntegrityError struct {
	// Path is the field's path, or "" when the finding concerns the record.
	Path string
	// What was wrong: envelope.length, envelope.version, envelope.suite,
	// envelope.flags, envelope.reserved, envelope.generation, envelope.schema,
	// envelope.revision, envelope.tag, envelope.padding, manifest.format,
	// manifest.mac, manifest.missing, manifest.digest.
	What string
}

// Error names the finding.
func (e *IntegrityError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("integrity error: %s", e.What)
	}
	return fmt.Sprintf("integrity error: %s of field %q", e.What, e.Path)
}

// Unwrap makes errors.Is(err, ErrIntegrity) true.
func (e *IntegrityError) Unwrap() error { return ErrIntegrity }

func broken(path, what string) error { return &IntegrityError{Path: path, What: what} }
