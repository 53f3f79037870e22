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

// Vectors are the known answers of docs/formats/sealed-field.md: what a second
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

// ContextVector is the key derivation context of a record's key (section 7).
type ContextVector struct {
	Institution string `json:"institution"`
	Record      string `json:"record"`
	Kind        byte   `json:"kind"`
	Generation  uint32 `json:"generation"`
	Context     Hex    `json:"context"`
}

// CommitVector is the commitment to a data key (section 8).
type CommitVector struct {
	DEK        Hex `json:"dek"`
	Commitment Hex `json:"commitment"`
}

// Place is where a field belongs (section 3).
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

// FieldVector is one sealed field with every intermediate result (sections 3 to 5).
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
	Digest   Hex    `json:"digest"`
}

// ManifestVector is one manifest (section 6).
type ManifestVector struct {
	Name          string          `json:"name"`
	Suite         byte            `json:"suite"`
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

// RefusedManifest is a stored manifest that must not verify with what the named
// manifest was made for (its key, record, attributes), read as Suite, and why.
type RefusedManifest struct {
	Name    string `json:"name"`
	Against string `json:"against"`
	Suite   byte   `json:"suite"`
	Stored  Hex    `json:"stored"`
	Finding string `json:"finding"`
}

// IndexVector is the input of a blind index token (section 9), with the token
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
