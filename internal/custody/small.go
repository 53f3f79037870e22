package custody

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// newUUID returns a random UUID (version 4, RFC 9562): ids say nothing about
// order, branch or volume.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// isUUID accepts the canonical lower-case form only.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// reference names a receipt in calls to Vault.
func reference(r pglog.Receipt) string { return strconv.FormatUint(r.EntryID(), 10) }

// problemAt is a problem with the registry's sentences and no value; allowed
// lists the members of a closed set.
func problemAt(pointer, code string, allowed ...string) intake.Problem {
	r, _ := complaint.Registry().Reason(code)
	return intake.Problem{Pointer: pointer, Code: code, Allowed: allowed, ZH: r.ZH, EN: r.EN}
}

func invalid(pointer, code string, allowed ...string) error {
	return &InvalidError{[]intake.Problem{problemAt(pointer, code, allowed...)}}
}

// members lists a closed set of the registry.
func members(set string) []string { return complaint.Registry().Allowed(set) }
