package cryptotest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
)

// Hex is a byte string that JSON holds in hexadecimal.
type Hex []byte

// MarshalText writes lower-case hexadecimal.
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads hexadecimal.
func (h *Hex) UnmarshalText(b []byte) error {
	*h = make(Hex, hex.DecodedLen(len(b)))
	_, err := hex.Decode(*h, b)
	return err
}

// Vectors are the known answers of crypto/FORMAT.md: what a second
// implementation has to reproduce, read and refuse.
type Vectors struct {
	Spec            string            `json:"spec"`
	Contexts        []ContextVector   `json:"contexts"`
	Commitments     []CommitVector    `json:"commitments"`
	Fields          []FieldVector     `json:"fields"`
	RefusedFields   []RefusedField    `json:"refused_fields"`
	Manifests       []ManifestVector  `json:"manifests"`
	RefusedManifest []RefusedManifest `json:"refused_manifests"`
	IndexInputs     []IndexVector     `json:"index_inputs"`
}

// ContextVector is the key derivation context of a record's key (rule 1).
type ContextVector struct {
	Institution string `json:"institution"`
	Record      string `json:"record"`
	Generation  uint32 `json:"generation"`
	Context     Hex    `json:"context"`
}

// CommitVector is the commitment to a data key (rule 2).
type CommitVector struct {
	DEK        Hex `json:"dek"`
	Commitment Hex `json:"commitment"`
}

// Place is where a field belongs (rule 3).
type Place struct {
	Suite         byte   `json:"suite"`
	Kind          byte   `json:"kind"`
	Institution   string `json:"institution"`
	Record        string `json:"record"`
	RecordType    string `json:"record_type"`
	Path          string `json:"path"`
	SchemaVersion uint32 `json:"schema_version"`
	Generation    uint32 `json:"generation"`
	Revision      uint64 `json:"revision"`
}

// FieldVector is one sealed field with every intermediate result (rules 3 to 6).
type FieldVector struct {
	Name     string `json:"name"`
	DEK      Hex    `json:"dek"`
	Place    Place  `json:"place"`
	Shape    string `json:"shape"` // exact, short, text, null
	Value    Hex    `json:"value"`
	Flags    byte   `json:"flags"`
	Padded   Hex    `json:"padded"`
	AAD      Hex    `json:"aad"`
	FieldKey Hex    `json:"field_key"`
	Nonce    Hex    `json:"nonce"`
	Envelope Hex    `json:"envelope"`
}

// RefusedField is an envelope that must not open, and why.
type RefusedField struct {
	Name     string `json:"name"`
	DEK      Hex    `json:"dek"`
	Place    Place  `json:"place"`
	Envelope Hex    `json:"envelope"`
	Finding  string `json:"finding"`
}

// ManifestField is one entry of a manifest's list.
type ManifestField struct {
	Path     string `json:"path"`
	Revision uint64 `json:"revision"`
	Suite    byte   `json:"suite"`
	SHA256   Hex    `json:"sha256"`
}

// ManifestVector is one manifest (rule 7).
type ManifestVector struct {
	Name          string          `json:"name"`
	DEK           Hex             `json:"dek"`
	Institution   string          `json:"institution"`
	Record        string          `json:"record"`
	Revision      uint64          `json:"revision"`
	SchemaVersion uint32          `json:"schema_version"`
	Attrs         Hex             `json:"attrs"`
	Fields        []ManifestField `json:"fields"`
	ManifestKey   Hex             `json:"manifest_key"`
	Stored        Hex             `json:"stored"`
}

// RefusedManifest is a stored manifest that must not verify against the first
// of the Manifests, and why.
type RefusedManifest struct {
	Name    string `json:"name"`
	Stored  Hex    `json:"stored"`
	Finding string `json:"finding"`
}

// IndexVector is the input of a blind index token (rule 8), with the token
// under a given HMAC key.
type IndexVector struct {
	Institution string `json:"institution"`
	Field       string `json:"field"`
	Epoch       uint32 `json:"epoch"`
	Normalised  string `json:"normalised"`
	Input       Hex    `json:"input"`
	Key         Hex    `json:"key"`
	Token       Hex    `json:"token"`
}

// VectorFile is the name of the known answers in crypto/testdata.
const VectorFile = "vectors.json"

// LoadVectors reads VectorFile from dir, for example
// os.DirFS("crypto/testdata").
func LoadVectors(dir fs.FS) (*Vectors, error) {
	raw, err := fs.ReadFile(dir, VectorFile)
	if err != nil {
		return nil, fmt.Errorf("reading known answers: %w", err)
	}
	var v Vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("reading known answers: %w", err)
	}
	return &v, nil
}
