package keyring

import (
	"sync/atomic"
	"time"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// entry is one unwrapped key. All fields but key are guarded by Keyring.mu.
type entry struct {
	id         RecordID
	commitment [32]byte
	key        *field.Key
	//sealtrail:secret
	slot    []byte // where the key's bytes lie; given back to the arena
	version int
	batch   string
	item    int

	refs    int
	uses    uint64
	born    time.Time
	touched time.Time
	cached  *elem // nil: voided, nobody may borrow it

	minted    bool // made here, not unwrapped
	withdrawn bool // voided for a reason, not for its age or for room
}

// Lease is a borrowed key. It is safe for concurrent use. Whoever got it calls
// Release exactly when done; Sealers and Openers made from it end with it.
type Lease struct {
	ring     *Keyring
	entry    *entry
	use      uint64
	released atomic.Bool
}

// Key is the key to make a field.Sealer or field.Opener from. After Release it
// is a key that fails with field.ErrDestroyed.
func (l *Lease) Key() *field.Key {
	if l.released.Load() {
		return new(field.Key)
	}
	return l.entry.key
}

// ID names the record and generation of the key.
func (l *Lease) ID() RecordID { return l.entry.id }

// Batch is the id of the call to the key service that opened (or wrapped) the
// key, as it stands in the service's own audit log.
func (l *Lease) Batch() string { return l.entry.batch }

// Item is the position of the key in that call.
func (l *Lease) Item() int { return l.entry.item }

// Use counts the borrowings of this key since that call; the first is 1.
func (l *Lease) Use() uint64 { return l.use }

// KeyVersion is the master key version that the key was wrapped with.
func (l *Lease) KeyVersion() int { return l.entry.version }

// Release returns the key. If it was voided meanwhile and this was its last
// borrower, it is overwritten now. Further calls do nothing.
func (l *Lease) Release() {
	if l == nil || l.released.Swap(true) {
		return
	}
	l.ring.mu.Lock()
	defer l.ring.mu.Unlock()
	l.entry.touched = l.ring.cfg.Now()
	l.ring.giveBack(l.entry)
}
