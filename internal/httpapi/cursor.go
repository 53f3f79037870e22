package httpapi

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// cursorLife is how long a page token works: a list is read, not kept.
const cursorLife = time.Hour

// cursorBox seals the door's cursors, so that a page token shows nothing of a
// row and works for nobody and for no filter but those it was made for.
//
//	token = base64url( nonce(12) | AES-256-GCM( expiry(8) | cursor ) )
//	associated data = SHA-256( institution 0 person 0 filter... )
type cursorBox struct{ aead cipher.AEAD }

func newCursorBox(key []byte) (*cursorBox, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("the cursor key has %d bytes, not 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("setting up the cursor key: %w", err)
	}
	// The only AES-GCM that GODEBUG=fips140=only admits; it draws the nonce and
	// puts it in front.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("setting up the cursor key: %w", err)
	}
	return &cursorBox{aead: aead}, nil
}

// bound is what a token is for.
func bound(x *exchange, filter ...string) []byte {
	h := sha256.New()
	for _, part := range append([]string{x.caller.Institution, x.caller.Person}, filter...) {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return h.Sum(nil)
}

func (c *cursorBox) seal(cursor string, boundTo []byte, now time.Time) string {
	if cursor == "" {
		return ""
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(now.Add(cursorLife).Unix()))
	plain = append(plain, cursor...)
	return base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, nil, plain, boundTo))
}

// open returns the cursor; ok is false for a token that is forged, expired or
// for something else. An empty token is the first page.
func (c *cursorBox) open(token string, boundTo []byte, now time.Time) (cursor string, ok bool) {
	if token == "" {
		return "", true
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", false
	}
	plain, err := c.aead.Open(nil, nil, raw, boundTo)
	if err != nil || len(plain) < 8 || now.Unix() > int64(binary.BigEndian.Uint64(plain)) {
		return "", false
	}
	return string(plain[8:]), true
}
