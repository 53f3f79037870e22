package reconcile

import (
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// How an entry says that a key was used: the letters of the fact "keys"
// (docs/formats/trail-entry.md).
const (
	opened  = 'd'
	minted  = 'w'
	indexed = 'h'
)

// claim is one use of a key that an entry names.
type claim struct {
	entry  uint64 // the entry that names it
	at     time.Time
	intent *intent // whose use it was; nil: of a record that the entry itself is about
	places []place // what the key may be of
	how    byte
	batch  string
	item   int // of indexed: how many items
	use    uint64
}

// place names a key by what it belongs to; see Config.Context.
type place struct {
	kind       byte
	record     string
	generation uint32
}

// Kinds of places, as in crypto/keyring.
const (
	ofRecord byte = 1
	ofFile   byte = 2
	ofIntake byte = 3
)

// intent is an intent of the log and what became of it.
type intent struct {
	entry  uint64
	at     time.Time
	places []place
	long   bool // what it stands for may take hours
	closed bool
	done   bool  // answered: its outcome names every key that was used for it
	named  int   // uses of opened keys that its outcome names
	spent  int   // calls at Vault that it accounts for without naming them
	stood  *Call // the call that it accounted for
}

// longKinds may stream, or walk over many records, after their intent.
func longKind(kind string) bool {
	switch kind {
	case "access.file", "access.disclosed", "complaint.file_added":
		return true
	}
	return false
}

// usesOf reads what a body says of keys.
func usesOf(b *audit.Body) (uses []claim, positions []int) {
	list, _ := b.Facts.List("keys")
	for _, s := range list {
		if c, at, ok := parseUse(s); ok {
			uses, positions = append(uses, c), append(positions, at)
		}
	}
	if len(list) > 0 || b.Key == nil {
		return uses, positions
	}
	c := claim{how: opened, batch: b.Key.Batch, item: b.Key.Item, use: 1}
	if b.Key.Lease != "" {
		c.batch, c.item, c.use = b.Key.Lease, -1, b.Key.Use
	}
	if c.batch == "" {
		return nil, nil
	}
	return []claim{c}, []int{0}
}

// parseUse reads "<position>:<how>:<batch>:<item>[:<use>]".
func parseUse(s string) (c claim, position int, ok bool) {
	parts := strings.Split(s, ":")
	if len(parts) < 4 || len(parts) > 5 || len(parts[1]) != 1 || parts[2] == "" {
		return c, 0, false
	}
	position, err := strconv.Atoi(parts[0])
	if err != nil || position < 0 {
		return c, 0, false
	}
	c.how, c.batch = parts[1][0], parts[2]
	if c.item, err = strconv.Atoi(parts[3]); err != nil || c.item < 0 {
		return c, 0, false
	}
	if len(parts) == 5 {
		if c.use, err = strconv.ParseUint(parts[4], 10, 64); err != nil {
			return c, 0, false
		}
	}
	return c, position, c.how == indexed && len(parts) == 4 || (c.how == opened || c.how == minted) && len(parts) == 5
}

// intentsOf are the ids of the intents that an outcome names.
func intentsOf(b *audit.Body) (ids []uint64) {
	list, _ := b.Facts.List("intents")
	for _, s := range list {
		digits, _ := strings.CutPrefix(s, "e")
		id, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			id = 0
		}
		ids = append(ids, id)
	}
	return ids
}

// complaintOf is the id of the complaint that a subject names.
func complaintOf(subject string) (string, bool) { return strings.CutPrefix(subject, "complaint:") }
