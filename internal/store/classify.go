package store

import (
	"errors"
	"io"
	"syscall"
)

// isUnexpectedEOF reports whether err says that the server went away while it
// was answering.
func isUnexpectedEOF(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
