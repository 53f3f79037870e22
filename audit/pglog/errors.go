package pglog

import "errors"

var (
	// ErrUnavailable is wrapped by an append that could not be confirmed within the deadline: database away, hung, full, or
	// this Log not running. The entry may exist nevertheless (the answer to a commit can be lost); such an entry is an intent
	// without outcome, which is harmless. Nothing may be disclosed or changed on the strength of it.
	ErrUnavailable = errors.New("audit log unavailable")
	// ErrNotFound is wrapped when an entry, an alias or a log does not exist.
	ErrNotFound = errors.New("not in the audit log")
	// ErrInstitution is wrapped when a body names another institution than the Log it is appended to.
	ErrInstitution = errors.New("entry of another institution")
	// ErrFork is wrapped when another root is already reserved at a size: two histories of one log. Nothing may be signed.
	ErrFork = errors.New("another root at the same size")
	// ErrTampered is wrapped when stored rows contradict each other in a way that no crash explains.
	ErrTampered = errors.New("stored log is not what was sequenced")
)

// errMoved means that another sequencer advanced the tree first; the batch is dropped and taken again.
var errMoved = errors.New("the tree moved under this sequencer")
