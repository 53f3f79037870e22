//go:build !linux

package keyring

import "errors"

// Harden reports that this system is not supported.
func Harden() error { return errors.ErrUnsupported }

// Hardened says whether the process is undumpable now.
func Hardened() bool { return false }

func lockedBlock(n int) (block []byte, locked bool) { return make([]byte, n), false }
