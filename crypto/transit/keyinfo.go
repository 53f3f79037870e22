package transit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// KeyInfo is the configuration of one key in Vault, as Vault says it now.
type KeyInfo struct {
	Name                 string // "<institution>-record"
	Type                 string // "aes256-gcm96", "hmac", "ed25519"
	Derived              bool
	Exportable           bool
	AllowPlaintextBackup bool
	DeletionAllowed      bool
	// LatestVersion is the newest one; it wraps unless MinEncryptionVersion
	// and a caller say otherwise.
	LatestVersion int
	// MinDecryptionVersion is the oldest one that still unwraps; it can be
	// lowered again.
	MinDecryptionVersion int
	// MinEncryptionVersion is the oldest one that still wraps; 0 means the
	// newest only.
	MinEncryptionVersion int
	// MinAvailableVersion is the oldest one whose material is there: older ones
	// were trimmed, for ever. 0 means that nothing was trimmed.
	MinAvailableVersion int
	// Created holds when each version that can be read was made, in UTC. Vault
	// gives no times of hmac keys: then it is empty.
	Created map[int]time.Time
}

type keyInfoAnswer struct {
	Type                 string                     `json:"type"`
	Derived              bool                       `json:"derived"`
	Exportable           bool                       `json:"exportable"`
	AllowPlaintextBackup bool                       `json:"allow_plaintext_backup"`
	DeletionAllowed      bool                       `json:"deletion_allowed"`
	Latest               int                        `json:"latest_version"`
	MinDecryption        int                        `json:"min_decryption_version"`
	MinEncryption        int                        `json:"min_encryption_version"`
	MinAvailable         int                        `json:"min_available_version"`
	Keys                 map[string]json.RawMessage `json:"keys"`
}

// KeyInfo reads back the configuration of the institution's key with a suffix:
// "record", "index", "log", or "index.<n>" of a later epoch. The error wraps
// keyring.ErrUnavailable (cause rejected: there is no such key).
func (t *Transit) KeyInfo(ctx context.Context, suffix string) (KeyInfo, error) {
	a, err := t.cfg.send(ctx, call{op: "read key", method: http.MethodGet, path: t.cfg.path("keys", suffix)})
	if err != nil {
		return KeyInfo{}, fmt.Errorf("reading key %s: %w", suffix, err)
	}
	var k keyInfoAnswer
	if err := json.Unmarshal(a.Data, &k); err != nil || k.Type == "" || k.Latest < 1 {
		return KeyInfo{}, fmt.Errorf("reading key %s: %w", suffix, &keyring.UnavailableError{Cause: keyring.CauseUnreachable, Op: "read key"})
	}
	return KeyInfo{
		Name: t.cfg.Institution + "-" + suffix, Type: k.Type, Derived: k.Derived, Exportable: k.Exportable,
		AllowPlaintextBackup: k.AllowPlaintextBackup, DeletionAllowed: k.DeletionAllowed, LatestVersion: k.Latest,
		MinDecryptionVersion: k.MinDecryption, MinEncryptionVersion: k.MinEncryption, MinAvailableVersion: k.MinAvailable,
		Created: creationTimes(k.Keys),
	}, nil
}

// creationTimes reads both forms of Vault: seconds for symmetric keys, an
// object for the others. What it cannot read it leaves out.
func creationTimes(keys map[string]json.RawMessage) map[int]time.Time {
	out := make(map[int]time.Time, len(keys))
	for version, raw := range keys {
		n, err := strconv.Atoi(version)
		if err != nil || n < 1 {
			continue
		}
		var seconds int64
		var object struct {
			Created time.Time `json:"creation_time"`
		}
		switch {
		case json.Unmarshal(raw, &seconds) == nil:
			out[n] = time.Unix(seconds, 0).UTC()
		case json.Unmarshal(raw, &object) == nil && !object.Created.IsZero():
			out[n] = object.Created.UTC()
		}
	}
	return out
}
