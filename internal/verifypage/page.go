// Package verifypage holds verify.html, the self-contained page that verifies an evidence bundle offline, from file://, in any
// browser of these years.
//
// The one idea: the page's bytes are constant. It is committed whole, put into every bundle and every release as it is, and its
// SHA-256 is printed in the README, so that whoever was handed a copy can compare. Its parts lie in src; a test puts them together
// and fails when the page is not what they give.
//
// It never knows a log, a key or a record: those come from the reader.
package verifypage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
)

//go:embed verify.html
var page []byte

// HTML returns a copy of the page.
func HTML() []byte { return append([]byte(nil), page...) }

// Digest returns the page's SHA-256 in lower-case hex: what README and release print.
func Digest() string {
	sum := sha256.Sum256(page)
	return hex.EncodeToString(sum[:])
}
