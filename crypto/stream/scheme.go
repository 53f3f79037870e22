package stream

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"

	"github.com/sealtrail/sealtrail/crypto/field"
)

const (
	// ChunkSize is the content of every chunk but the last, in bytes (C2SP).
	ChunkSize = 16 << 10
	// HeaderSize is salt and commitment, in bytes (C2SP).
	HeaderSize = saltSize + commitmentSize

	saltSize       = 24
	commitmentSize = 32
	nonceSize      = 12
	tagSize        = 16
	sealedSize     = ChunkSize + tagSize
	// maxChunks is where the counter ends: 4 PiB (C2SP).
	maxChunks = 1 << 38
	// infoPrefix opens the info of the derivation (C2SP).
	infoPrefix = "c2sp.org/chunked-encryption@v1+"
)

// scheme is one instantiation of C2SP chunked-encryption.
type scheme struct {
	aead    string // name in the IANA registry of AEAD algorithms
	keySize int
	hash    func() hash.Hash
	block   func(key []byte) (cipher.Block, error)
	aes     bool
}

// aes256 is what c2sp.org names Cobblestone-256.
func aes256() scheme {
	return scheme{aead: "AEAD_AES_256_GCM", keySize: 32, hash: sha512.New, block: aes.NewCipher, aes: true}
}

// sm4gcm is the same construction over the Chinese algorithms.
func sm4gcm() scheme {
	return scheme{aead: "AEAD_SM4_GCM", keySize: sm4.BlockSize, hash: sm3.New, block: sm4.NewCipher}
}

// schemeOf is the scheme of a suite.
func schemeOf(suite byte) (scheme, error) {
	if err := field.CheckSuite(suite); err != nil {
		return scheme{}, err
	}
	if suite == field.Suite2 {
		return sm4gcm(), nil
	}
	return aes256(), nil
}

// material is what the derivation gives for one file.
type material struct {
	key, nonce []byte
	commitment [commitmentSize]byte
}

// derive is HKDF-Expand of the input key over the scheme's name, the salt and
// the context.
func (s scheme) derive(input, salt, context []byte) (*material, error) {
	if len(input) != s.keySize {
		return nil, fmt.Errorf("%w: input key of %d bytes", field.ErrIntegrity, len(input))
	}
	info := infoPrefix + s.aead + "\x00" + string(salt) + string(context)
	out, err := hkdf.Expand(s.hash, input, info, s.keySize+nonceSize+commitmentSize)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of a file: %w", err)
	}
	m := &material{key: out[:s.keySize:s.keySize], nonce: out[s.keySize : s.keySize+nonceSize]}
	copy(m.commitment[:], out[s.keySize+nonceSize:])
	return m, nil
}

// sealer makes the AEAD for sealing under explicit nonces.
//
// The nonces are a random base XOR a counter, each used once under a key that
// is used for one file: the construction of TLS 1.3, which FIPS 140-3 IG C.H
// allows. The module has it (GCMWithXORCounterNonce) but exports it to TLS and
// HPKE only, so under fips140=only this one constructor is exempted; the reason
// is in docs/formats/sealed-file.md.
func (s scheme) sealer(key []byte) (aead cipher.AEAD, err error) {
	block, err := s.block(key)
	if err != nil {
		return nil, fmt.Errorf("making the cipher of a file: %w", err)
	}
	fips140.WithoutEnforcement(func() { aead, err = cipher.NewGCM(block) })
	return aead, err
}

// opener opens a chunk: in has its nonce in front.
type opener func(dst, in []byte) ([]byte, error)

// opener makes the opening side. For AES it is the module's approved service,
// which takes the nonce from in front of the ciphertext.
func (s scheme) opener(key []byte) (opener, error) {
	block, err := s.block(key)
	if err != nil {
		return nil, fmt.Errorf("making the cipher of a file: %w", err)
	}
	if s.aes {
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("making the cipher of a file: %w", err)
		}
		return func(dst, in []byte) ([]byte, error) { return aead.Open(dst, nil, in, nil) }, nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("making the cipher of a file: %w", err)
	}
	return func(dst, in []byte) ([]byte, error) { return aead.Open(dst, in[:nonceSize], in[nonceSize:], nil) }, nil
}

// nonceAt writes the nonce of a chunk: the base XOR the chunk's number, big
// endian, in the last bytes.
func nonceAt(dst, base []byte, chunk int64) {
	copy(dst, base)
	low := dst[nonceSize-8 : nonceSize]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^uint64(chunk))
}

// inputKey derives what C2SP calls the input key from the file's data key. The
// caller clears it.
func inputKey(key *field.Key, p *Place, suite byte, s scheme) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	sub, err := key.Derive(suite, "stream/"+s.aead)
	if err != nil {
		return nil, err
	}
	input := append([]byte(nil), sub[:s.keySize]...)
	clear(sub[:])
	return input, nil
}
