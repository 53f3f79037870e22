package childproc

import (
	"errors"
	"os"
	"os/user"
	"strconv"
)

// ErrNoIdentity is returned by Unprivileged when root has nobody to become.
var ErrNoIdentity = errors.New("neither a user namespace nor an unprivileged user is available")

// Identity is who a child is when its parent is root.
type Identity struct {
	// Namespace maps UID and GID to root in a new user namespace: the child
	// sees itself as an ordinary user while its files stay root's.
	Namespace bool
	// UID and GID are a real account of this system.
	UID, GID int
}

// Unprivileged finds an identity for programs that refuse to run as root, such
// as PostgreSQL. It is nil when the caller is not root. A user namespace comes
// first, because the files then need no other owner; where the kernel refuses
// namespaces it is the first existing account of names.
func Unprivileged(names ...string) (*Identity, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range append(names, "daemon", "nobody") {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.Atoi(u.Uid)
		gid, errG := strconv.Atoi(u.Gid)
		if errU != nil || errG != nil || uid == 0 {
			continue
		}
		return &Identity{Namespace: namespacesAllowed(uid, gid), UID: uid, GID: gid}, nil
	}
	return nil, ErrNoIdentity
}
