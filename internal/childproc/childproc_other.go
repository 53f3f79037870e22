//go:build !linux

package childproc

import (
	"os/exec"
	"syscall"
)

func attributes(cfg Config) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	cfg.Identity.apply(attr)
	return attr
}

func (id *Identity) apply(attr *syscall.SysProcAttr) {
	if id != nil {
		attr.Credential = &syscall.Credential{Uid: uint32(id.UID), Gid: uint32(id.GID)}
	}
}

// Apply sets the identity on a command that is run to its end (initdb).
func (id *Identity) Apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	id.apply(cmd.SysProcAttr)
}

func namespacesAllowed(int, int) bool { return false }

func descendants(int) []int { return nil }
