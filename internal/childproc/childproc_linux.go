package childproc

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// attributes puts the child into its own process group, so that Ctrl-C on the
// terminal reaches us first and the servers are stopped in order.
func attributes(cfg Config) *syscall.SysProcAttr {
	last := cfg.LastSignal
	if last == 0 {
		last = syscall.SIGKILL
	}
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: last}
	cfg.Identity.apply(attr)
	return attr
}

func (id *Identity) apply(attr *syscall.SysProcAttr) {
	if id == nil {
		return
	}
	if !id.Namespace {
		attr.Credential = &syscall.Credential{Uid: uint32(id.UID), Gid: uint32(id.GID)}
		return
	}
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: id.UID, HostID: 0, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: id.GID, HostID: 0, Size: 1}}
}

// Apply sets the identity on a command that is run to its end (initdb).
func (id *Identity) Apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	id.apply(cmd.SysProcAttr)
}

func namespacesAllowed(uid, gid int) bool {
	cmd := exec.Command("/proc/self/exe")
	if path, err := exec.LookPath("true"); err == nil {
		cmd = exec.Command(path)
	}
	(&Identity{Namespace: true, UID: uid, GID: gid}).Apply(cmd)
	return cmd.Run() == nil
}

// descendants lists the children of pid and theirs, from /proc.
func descendants(pid int) []int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, ok := parentOf(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	found := children[pid]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// parentOf reads the fourth field of /proc/<pid>/stat; the second one, the
// program's name in brackets, may itself hold spaces and brackets.
func parentOf(pid int) (int, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return parent, err == nil
}
