// Package scratch makes folders for servers started by tests and removes those
// of processes that died.
//
// One idea: a folder belongs to whoever holds the kernel's lock on it. A
// process killed in the middle drops the lock, and the next one sweeps.
//
// It must never know what a folder holds.
package scratch

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is a locked folder.
type Dir struct {
	// Path is absolute, mode 0711: its names cannot be listed by others, but
	// a server that runs as another user can reach its own folder in it.
	Path string
	lock *os.File
}

// New makes a folder for purpose ("pg", "vault") under the system's temporary
// folder and removes earlier ones of the same purpose and user that nobody
// holds any more.
func New(purpose string) (*Dir, error) {
	root := filepath.Join(os.TempDir(), fmt.Sprintf("sealtrail-%s-%d", purpose, os.Getuid()))
	if err := os.MkdirAll(root, 0o711); err != nil {
		return nil, fmt.Errorf("making a scratch folder: %w", err)
	}
	// The root's own lock keeps a folder from being swept between its making
	// and its locking.
	gate, err := hold(filepath.Join(root, "lock"), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	sweep(root)
	path, err := os.MkdirTemp(root, "")
	if err != nil {
		return nil, fmt.Errorf("making a scratch folder: %w", err)
	}
	lock, err := hold(path+".lock", syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o711); err != nil {
		return nil, fmt.Errorf("making a scratch folder: %w", err)
	}
	return &Dir{Path: path, lock: lock}, nil
}

// Remove deletes the folder and drops the lock.
func (d *Dir) Remove() error {
	err := os.RemoveAll(d.Path)
	_ = os.Remove(d.Path + ".lock")
	_ = d.lock.Close()
	if err != nil {
		return fmt.Errorf("removing a scratch folder: %w", err)
	}
	return nil
}

// sweep removes folders whose lock can be had. What cannot be removed is left
// for the next sweep.
func sweep(root string) {
	locks, _ := filepath.Glob(filepath.Join(root, "*.lock")) // the pattern is a constant
	for _, name := range locks {
		f, err := hold(name, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue
		}
		if os.RemoveAll(name[:len(name)-len(".lock")]) == nil {
			_ = os.Remove(name)
		}
		_ = f.Close()
	}
}

func hold(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", filepath.Base(path), err)
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", filepath.Base(path), err)
	}
	return f, nil
}
