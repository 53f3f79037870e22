package disclosure

import (
	"crypto/fips140"
	"crypto/sha256"
	"errors"
	"strings"

	"filippo.io/age"
)

// RecipientError is a public key that no package is sealed to. It never holds
// the key: what was pasted may be a secret one.
type RecipientError struct {
	// Code is stable: malformed, secret_key, ssh_key, passphrase, plugin_key, and
	// fips_only where no package can be sealed at all.
	Code string
	// Why is one sentence for the person who pasted it.
	Why string
}

func (e *RecipientError) Error() string { return "recipient refused: " + e.Why }

// Recipient is the public key of whoever is to open a package. The zero value
// is no recipient.
type Recipient struct {
	key         age.Recipient
	text        string
	postQuantum bool
}

// ParseRecipient reads an age public key: age1pq1... (ML-KEM-768 with X25519)
// or age1... (X25519). Everything else is refused with a *RecipientError: a
// passphrase seals to whoever hears it, an SSH key is for logging in and would
// be reused, and a plugin runs a program of its own.
func ParseRecipient(s string) (Recipient, error) {
	if err := Available(); err != nil {
		return Recipient{}, err
	}
	s = strings.TrimSpace(s)
	lower := strings.ToLower(s)
	switch {
	case strings.Contains(lower, "age-secret-key-"), strings.HasPrefix(lower, "age-plugin-"): // also inside a whole key file
		return Recipient{}, &RecipientError{"secret_key", "this is a secret key; it must be replaced, and its public key (age1...) given instead"}
	case strings.HasPrefix(lower, "ssh-"), strings.HasPrefix(lower, "ecdsa-"), strings.Contains(lower, "begin openssh"):
		return Recipient{}, &RecipientError{"ssh_key", "SSH keys are for logging in; make an age key with age-keygen -pq"}
	case strings.HasPrefix(lower, "age1pq1"):
		key, err := age.ParseHybridRecipient(s)
		if err != nil {
			return Recipient{}, malformed()
		}
		return Recipient{key, key.String(), true}, nil
	case strings.HasPrefix(lower, "age1"):
		key, err := age.ParseX25519Recipient(s)
		if err == nil {
			return Recipient{key, key.String(), false}, nil
		}
		// Keys of plugins are age1<plugin>1...: X25519 keys have no second 1,
		// which is no character of their alphabet.
		if strings.Contains(lower[len("age1"):], "1") && !strings.ContainsAny(lower, " \t\r\n") {
			return Recipient{}, &RecipientError{"plugin_key", "keys of age plugins are not taken: a plugin is a program of its own; make a key with age-keygen -pq"}
		}
		return Recipient{}, malformed()
	case s != "" && !strings.Contains(s, "\n") && strings.ContainsAny(s, " -_") && !strings.Contains(s, "="):
		return Recipient{}, &RecipientError{"passphrase", "a package is never sealed to a passphrase: whoever hears it opens the file; give an age public key"}
	}
	return Recipient{}, malformed()
}

func malformed() error {
	return &RecipientError{"malformed", "this is no age public key; it starts with age1 and is printed by age-keygen"}
}

// String is the public key as age writes it.
func (r Recipient) String() string { return r.text }

// PostQuantum says whether a package for r also withstands a quantum computer.
func (r Recipient) PostQuantum() bool { return r.postQuantum }

// Fingerprint is the SHA-256 of the public key's text: what an approver compares
// with what the recipient told her by another way.
func (r Recipient) Fingerprint() [32]byte { return sha256.Sum256([]byte(r.text)) }

// errFIPS is the answer where the Go runtime allows approved algorithms only.
var errFIPS = errors.New("sealing a package: age's ChaCha20-Poly1305 is not available under GODEBUG=fips140=only")

// Available says whether this process can make and open packages: the error is
// that of NewWriter under GODEBUG=fips140=only. Whoever makes age keys herself
// asks first, since age.GenerateHybridIdentity never returns there.
func Available() error {
	if fips140.Enforced() {
		return errFIPS
	}
	return nil
}
