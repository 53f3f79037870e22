package keyring

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden keeps other processes of the same user from reading this one's memory
// and the system from writing it into a core dump (PR_SET_DUMPABLE 0). It holds
// for the whole process: call it once in main of a service, not in a library.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("making the process undumpable: %w", err)
	}
	return nil
}

// Hardened says whether the process is undumpable now.
func Hardened() bool {
	v, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	return err == nil && v == 0
}

// lockedBlock returns n bytes outside the garbage collector's heap, locked
// against swapping if RLIMIT_MEMLOCK allows and left out of core dumps. It is
// never unmapped: a late reader of a cleared key must not crash.
func lockedBlock(n int) (block []byte, locked bool) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n), false
	}
	dumps := unix.Madvise(b, unix.MADV_DONTDUMP)
	lock := unix.Mlock(b)
	return b, dumps == nil && lock == nil
}
