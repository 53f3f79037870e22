// Package vault declares the secrets of the test data.
package vault

//sealtrail:secret
type Plain struct{ b []byte } // want Plain:"secret"

// Expose gives the bytes.
//
//sealtrail:secret
func (p Plain) Expose() []byte { return p.b } // want Expose:"secret"

// Len is no secret.
func (p Plain) Len() int { return len(p.b) }

// Equal tells nothing but yes or no.
func (p Plain) Equal(q Plain) bool { return string(p.b) == string(q.b) }

// Key is a secret type of which pointers are used.
//
//sealtrail:secret
type Key struct{ dek *[32]byte } // want Key:"secret"

// Item travels: one of its fields is a secret.
type Item struct {
	Reference string
	//sealtrail:secret
	Plaintext []byte // want Plaintext:"secret"
}

// Unwrap gives a secret and an error.
//
//sealtrail:secret the data key
func Unwrap(name string) ([]byte, error) { return []byte(name), nil } // want Unwrap:"secret"

// Opener is an interface with one secret method.
type Opener interface {
	//sealtrail:secret
	Open(name string) []byte // want Open:"secret"
	Close() string
}

// Box holds any kind of thing.
type Box[T any] struct{ Value T }

// NotMarked mentions sealtrail:secret in its text only.
func NotMarked() []byte { return nil }
