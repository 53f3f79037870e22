package publish

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// WitnessKey is a witness's Ed25519 key for cosignature/v1 (C2SP tlog-cosignature, type 0x04).
type WitnessKey struct {
	signer *fnote.Signer
	vkey   string
}

// LoadWitnessKey reads the key from file, making one for name (mode 0600) if the file is not there. The file holds the note form
// "PRIVATE+KEY+<name>+<hash>+<seed>" and must belong to the witness alone: whoever has it can cosign anything.
func LoadWitnessKey(file, name string) (*WitnessKey, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = newWitnessKey(file, name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the witness key: %w", withoutPath(err))
	}
	skey := strings.TrimSpace(string(raw))
	signer, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		return nil, errors.New("reading the witness key: malformed") // the cause could quote the key
	}
	plain, err := verifierKeyOf(skey)
	if err != nil {
		return nil, err
	}
	vkey, err := fnote.VKeyToCosignatureV1(plain)
	if err != nil {
		return nil, errors.New("reading the witness key: malformed")
	}
	return &WitnessKey{signer: signer, vkey: vkey}, nil
}

func newWitnessKey(file, name string) ([]byte, error) {
	skey, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, err
	}
	if err := mkdirDurable(filepath.Dir(file)); err != nil {
		return nil, err
	}
	return []byte(skey), writeDurable(file, []byte(skey+"\n"), 0o600)
}

// Name is the key's name.
func (k *WitnessKey) Name() string { return k.signer.Name() }

// VerifierKey is the public key in note form, type 0x04: what a log's operator and every verifier configure.
func (k *WitnessKey) VerifierKey() string { return k.vkey }

// verifierKeyOf derives the plain (type 0x01) verifier key from a secret one.
func verifierKeyOf(skey string) (string, error) {
	malformed := errors.New("reading the witness key: malformed")
	parts := strings.SplitN(skey, "+", 5) // PRIVATE KEY name hash base64, which may hold more "+"
	if len(parts) != 5 {
		return "", malformed
	}
	raw, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return "", malformed
	}
	public, ok := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", malformed
	}
	return note.NewEd25519VerifierKey(parts[2], public)
}
