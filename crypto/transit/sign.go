package transit

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// CheckpointSigner signs with the institution's Ed25519 log key in Vault. It
// pins the version that was newest when it was made: a rotated key is another
// verifier key, which is published before it is used. Safe for concurrent use.
type CheckpointSigner struct {
	cfg     Config
	name    string
	version int
	public  ed25519.PublicKey
	vkey    string
}

type keyAnswer struct {
	Type   string `json:"type"`
	Latest int    `json:"latest_version"`
	Keys   map[string]struct {
		PublicKey string `json:"public_key"`
	} `json:"keys"`
}

// NewCheckpointSigner reads the public key from Vault. name is the key name in
// signed notes, for example the log's origin. The error wraps
// keyring.ErrUnavailable when Vault is away.
func NewCheckpointSigner(ctx context.Context, cfg Config, name string) (*CheckpointSigner, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a, err := cfg.send(ctx, call{op: "read key", method: http.MethodGet, path: cfg.path("keys", "log")})
	if err != nil {
		return nil, fmt.Errorf("reading log key: %w", err)
	}
	var k keyAnswer
	if err := json.Unmarshal(a.Data, &k); err != nil {
		return nil, errors.New("reading log key: answer is not a key")
	}
	public, err := base64.StdEncoding.DecodeString(k.Keys[strconv.Itoa(k.Latest)].PublicKey)
	if k.Type != "ed25519" || err != nil || len(public) != ed25519.PublicKeySize {
		return nil, errors.New("reading log key: not an ed25519 key")
	}
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err == nil {
		_, err = note.NewVerifier(vkey) // refuses names that a note cannot hold
	}
	if err != nil {
		return nil, fmt.Errorf("naming log key: %w", err)
	}
	return &CheckpointSigner{cfg: cfg, name: name, version: k.Latest, public: public, vkey: vkey}, nil
}

// Name is the key name in signed notes.
func (s *CheckpointSigner) Name() string { return s.name }

// VerifierKey is the public key in the form of golang.org/x/mod/sumdb/note:
// "<name>+<8 hex digits>+<base64>".
func (s *CheckpointSigner) VerifierKey() string { return s.vkey }

// KeyVersion is the version of the key in Vault.
func (s *CheckpointSigner) KeyVersion() int { return s.version }

type signRequest struct {
	Input      string `json:"input"`
	KeyVersion int    `json:"key_version"`
}

// Sign returns the 64 bytes of the plain Ed25519 signature over msg, verified
// here before it is returned. The error wraps keyring.ErrUnavailable or
// context.Canceled; the caller sets the deadline.
func (s *CheckpointSigner) Sign(ctx context.Context, msg []byte) ([]byte, error) {
	body := signRequest{base64.StdEncoding.EncodeToString(msg), s.version}
	a, err := s.cfg.send(ctx, call{op: "sign", method: http.MethodPut, path: s.cfg.path("sign", "log"), body: body})
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	var data struct {
		Signature string `json:"signature"`
	}
	_ = json.Unmarshal(a.Data, &data) // an unreadable answer has no valid signature
	sig, err := base64.StdEncoding.DecodeString(data.Signature[strings.LastIndexByte(data.Signature, ':')+1:])
	if err != nil || !ed25519.Verify(s.public, msg, sig) {
		return nil, fmt.Errorf("signing: signature does not verify: %w", &keyring.UnavailableError{Cause: keyring.CauseRejected, Op: "sign"})
	}
	return sig, nil
}
