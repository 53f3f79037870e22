package intake

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/bits"
	"time"
)

// MaxDraft is the longest draft, in bytes: what the service takes as a body.
const MaxDraft = 1 << 20

// magic begins every envelope, info every key schedule.
const (
	magic = "sti1"
	info  = "sealtrail-intake/1"
)

// Draft is what a client seals.
type Draft struct {
	// Source and SourceID identify it for the client; they stand in the receipt
	// in clear. Source is a code, SourceID printable ASCII of at most 128 bytes.
	Source, SourceID string
	// Body is the draft as the service takes it. It stays the caller's.
	Body []byte
}

// Envelope is a sealed draft: its clear head and what only the institution
// opens. Make it with PublicKey.Seal or ParseEnvelope.
type Envelope struct {
	raw         []byte
	head        int // length of the clear head
	institution string
	version     uint32
	kem         uint16
	sealedAt    time.Time
}

// Institution says whose key it was sealed to.
func (e Envelope) Institution() string { return e.institution }

// Version is the version of that key.
func (e Envelope) Version() uint32 { return e.version }

// SealedAt is when it was sealed, by the client's clock, to the microsecond.
func (e Envelope) SealedAt() time.Time { return e.sealedAt }

// Bytes is the envelope as it is kept and sent. The caller MUST NOT change it.
func (e Envelope) Bytes() []byte { return e.raw }

// SHA256 names the envelope: two of the same bytes are one.
func (e Envelope) SHA256() [32]byte { return sha256.Sum256(e.raw) }

// head is magic | u16 KEM | u32 version | u64 microseconds | u8 length | institution.
func head(k *PublicKey, at time.Time) []byte {
	b := append(make([]byte, 0, 4+2+4+8+1+len(k.institution)), magic...)
	b = binary.BigEndian.AppendUint16(b, k.kem)
	b = binary.BigEndian.AppendUint32(b, k.version)
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro()))
	return append(append(b, byte(len(k.institution))), k.institution...)
}

// ParseEnvelope reads the clear head of an envelope. That it opens is not said.
func ParseEnvelope(raw []byte) (Envelope, error) {
	const fixed = 4 + 2 + 4 + 8 + 1
	if len(raw) < fixed || string(raw[:4]) != magic || len(raw) > 2*MaxDraft {
		return Envelope{}, fmt.Errorf("reading an envelope: %w", ErrMalformed)
	}
	n := fixed + int(raw[fixed-1])
	micros := binary.BigEndian.Uint64(raw[10:])
	if len(raw) < n || micros > 1<<53 {
		return Envelope{}, fmt.Errorf("reading an envelope: %w", ErrMalformed)
	}
	e := Envelope{raw: raw, head: n, kem: binary.BigEndian.Uint16(raw[4:]), version: binary.BigEndian.Uint32(raw[6:]),
		sealedAt: time.UnixMicro(int64(micros)).UTC(), institution: string(raw[fixed:n])}
	enc, err := encSize(e.kem)
	if err != nil || !isInstitution(e.institution) || e.version == 0 || len(raw) < n+enc+16 {
		return Envelope{}, fmt.Errorf("reading an envelope: %w", ErrMalformed)
	}
	return e, nil
}

// encSize is the length of the encapsulated key.
func encSize(kem uint16) (int, error) {
	const mlkem768 = 1088
	switch kem {
	case MLKEM768X25519:
		return mlkem768 + 32, nil
	case MLKEM768P256:
		return mlkem768 + 65, nil
	}
	return 0, ErrMalformed
}

// infoOf binds the key schedule to institution and version.
func infoOf(institution string, version uint32) []byte {
	b := append([]byte(info), 0)
	b = binary.BigEndian.AppendUint32(b, version)
	return append(b, institution...)
}

// Seal seals a draft. at is when, by the client's clock. The receipt is what the
// client keeps to recognise and to prove what it sealed.
func (k *PublicKey) Seal(d Draft, at time.Time) (Envelope, Receipt, error) {
	if len(d.Body) == 0 || len(d.Body) > MaxDraft {
		return Envelope{}, Receipt{}, fmt.Errorf("sealing a draft: it has 1 to %d bytes", MaxDraft)
	}
	if d.Source == "" || !isPlain(d.Source) || d.SourceID == "" || !isPlain(d.SourceID) {
		return Envelope{}, Receipt{}, fmt.Errorf("sealing a draft: source and source id are printable ASCII of at most %d bytes", maxPlain)
	}
	enc, sender, err := hpke.NewSender(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), infoOf(k.institution, k.version))
	if err != nil {
		return Envelope{}, Receipt{}, fmt.Errorf("sealing a draft: %w", err)
	}
	open := head(k, at)
	padded := pad(d.Body)
	defer clear(padded)
	ct, err := sender.Seal(open, padded)
	if err != nil {
		return Envelope{}, Receipt{}, fmt.Errorf("sealing a draft: %w", err)
	}
	e, err := ParseEnvelope(append(append(open, enc...), ct...))
	if err != nil {
		return Envelope{}, Receipt{}, fmt.Errorf("sealing a draft: %w", err)
	}
	return e, newReceipt(e, d, k.Fingerprint()), nil
}

// Open opens an envelope. The draft belongs to the caller, who clears it. Its
// errors wrap ErrForeign, ErrVersion or ErrOpen.
func (k *PrivateKey) Open(e Envelope) ([]byte, error) {
	switch {
	case e.raw == nil || e.kem != k.public.kem && e.version == k.public.version:
		return nil, fmt.Errorf("opening an envelope: %w", ErrMalformed)
	case e.institution != k.public.institution:
		return nil, fmt.Errorf("opening an envelope: %w", ErrForeign)
	case e.version != k.public.version:
		return nil, fmt.Errorf("opening an envelope: %w", ErrVersion)
	}
	n, err := encSize(e.kem)
	if err != nil {
		return nil, fmt.Errorf("opening an envelope: %w", err)
	}
	enc, ct := e.raw[e.head:e.head+n], e.raw[e.head+n:]
	r, err := hpke.NewRecipient(enc, k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), infoOf(e.institution, e.version))
	if err != nil {
		return nil, fmt.Errorf("opening an envelope: %w", ErrOpen)
	}
	padded, err := r.Open(e.raw[:e.head], ct)
	if err != nil {
		return nil, fmt.Errorf("opening an envelope: %w", ErrOpen)
	}
	return unpad(padded)
}

// pad prefixes the length and fills up to a Padmé size (Nikitin et al., PURBs):
// the length tells at most log log n bits, at most 12 % longer.
func pad(body []byte) []byte {
	n := 4 + len(body)
	e := bits.Len(uint(n)) - 1
	mask := 1<<max(0, e-bits.Len(uint(e))) - 1
	padded := make([]byte, (n+mask)&^mask)
	binary.BigEndian.PutUint32(padded, uint32(len(body)))
	copy(padded[4:], body)
	return padded
}

func unpad(padded []byte) ([]byte, error) {
	if len(padded) < 4 {
		clear(padded)
		return nil, fmt.Errorf("opening an envelope: %w", ErrOpen)
	}
	n := int(binary.BigEndian.Uint32(padded))
	if n > len(padded)-4 || len(bytes.Trim(padded[4+n:], "\x00")) > 0 {
		clear(padded)
		return nil, fmt.Errorf("opening an envelope: %w", ErrOpen)
	}
	copy(padded, padded[4:4+n])
	clear(padded[n:])
	return padded[:n:n], nil
}

// ReceiptFormat is the member "format" of a receipt.
const ReceiptFormat = "sealtrail-intake-receipt/1"

// Receipt says what was sealed, to which key and when, without the draft.
type Receipt struct {
	EnvelopeSHA256 [32]byte
	Institution    string
	KeySHA256      [32]byte
	KeyVersion     uint32
	SealedAt       time.Time
	Source         string
	SourceID       string
}

func newReceipt(e Envelope, d Draft, key [32]byte) Receipt {
	return Receipt{EnvelopeSHA256: e.SHA256(), Institution: e.institution, KeySHA256: key, KeyVersion: e.version, SealedAt: e.sealedAt,
		Source: d.Source, SourceID: d.SourceID}
}

// receiptJSON has the members in the order of their names.
type receiptJSON struct {
	Envelope    string `json:"envelope_sha256"`
	Format      string `json:"format"`
	Institution string `json:"institution"`
	Key         string `json:"key_sha256"`
	Version     uint32 `json:"key_version"`
	SealedAt    string `json:"sealed_at"`
	Source      string `json:"source"`
	SourceID    string `json:"source_id"`
}

const receiptTime = "2006-01-02T15:04:05.000000Z"

// MarshalJSON writes the receipt in one line.
func (r Receipt) MarshalJSON() ([]byte, error) {
	return json.Marshal(receiptJSON{hex.EncodeToString(r.EnvelopeSHA256[:]), ReceiptFormat, r.Institution, hex.EncodeToString(r.KeySHA256[:]),
		r.KeyVersion, r.SealedAt.UTC().Format(receiptTime), r.Source, r.SourceID})
}

// UnmarshalJSON reads a receipt. Its errors wrap ErrMalformed.
func (r *Receipt) UnmarshalJSON(raw []byte) error {
	var v receiptJSON
	if json.Unmarshal(raw, &v) != nil || v.Format != ReceiptFormat {
		return fmt.Errorf("reading a receipt: %w", ErrMalformed)
	}
	at, err := time.Parse(receiptTime, v.SealedAt)
	envelope, err1 := hex.DecodeString(v.Envelope)
	key, err2 := hex.DecodeString(v.Key)
	if err != nil || err1 != nil || err2 != nil || len(envelope) != 32 || len(key) != 32 || !isPlain(v.Source) || !isPlain(v.SourceID) {
		return fmt.Errorf("reading a receipt: %w", ErrMalformed)
	}
	*r = Receipt{[32]byte(envelope), v.Institution, [32]byte(key), v.Version, at, v.Source, v.SourceID}
	return nil
}

// Of reports whether r is the receipt of e.
func (r Receipt) Of(e Envelope) bool {
	return r.EnvelopeSHA256 == e.SHA256() && r.Institution == e.institution && r.KeyVersion == e.version && r.SealedAt.Equal(e.sealedAt)
}

// maxPlain is the longest source or source id, in bytes.
const maxPlain = 128

func isPlain(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(s) <= maxPlain
}
