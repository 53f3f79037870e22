// Package timestamp asks RFC 3161 authorities to vouch for checkpoints and verifies what they answered.
//
// The one idea: a token binds SHA-256 of a checkpoint's text (origin, size, root, without signature lines) to a time that somebody
// outside says, so that all entries up to that size were there by then. It is worth exactly the authority's word: a reader brings
// the authority's certificate and nothing of the token's own is believed before it leads there.
//
// The package must never know where tokens are kept or how they are fetched: it opens no file and no connection.
package timestamp

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 2634: an older signing-certificate attribute names the certificate by it; the signature decides
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/digitorus/pkcs7"
	rfc3161 "github.com/digitorus/timestamp"

	_ "crypto/sha512" // digests that authorities sign with
)

var (
	// ErrMalformed means: not a granted response of a time stamp authority, or one of a form that we do not take.
	ErrMalformed = errors.New("not a time stamp that we take")
	// ErrDigest means: the token is about something else.
	ErrDigest = errors.New("time stamp is of another checkpoint")
	// ErrUntrusted means: the signature does not hold, or does not lead to the given authority at the time that the token says.
	ErrUntrusted = errors.New("time stamp is not of the given authority")
	// ErrNonce means: the answer is not to our question, but an old one.
	ErrNonce = errors.New("time stamp answers another request")
)

// MaxResponse bounds a response, in bytes; docs/formats/evidence-bundle.md has the same bound.
const MaxResponse = 64 << 10

// Request is a question to an authority.
type Request struct {
	DER   []byte // body of the POST, application/timestamp-query
	text  []byte
	nonce *big.Int
}

// NewRequest asks for the time of a checkpoint's text.
func NewRequest(text []byte) (*Request, error) {
	raw := make([]byte, 8)
	if _, err := rand.Read(raw); err != nil {
		return nil, err
	}
	r := &Request{text: bytes.Clone(text), nonce: new(big.Int).SetBytes(raw)}
	der, err := rfc3161.CreateRequest(bytes.NewReader(text), &rfc3161.RequestOptions{Certificates: true, Nonce: r.nonce})
	if err != nil {
		return nil, fmt.Errorf("making a time stamp request: %w", err)
	}
	r.DER = der
	return r, nil
}

// Check verifies the authority's answer to this very request.
func (r *Request) Check(response []byte, roots *x509.CertPool) (Token, error) {
	t, err := Verify(response, r.text, roots)
	if err == nil && (t.nonce == nil || t.nonce.Cmp(r.nonce) != 0) {
		err = ErrNonce
	}
	return t, err
}

// Token is what a verified time stamp says.
type Token struct {
	Time      time.Time     // by which the text was there, in UTC
	Accuracy  time.Duration // that the authority claims; 0: none claimed
	Authority string        // subject of its certificate

	nonce *big.Int
}

var (
	oidTSTInfo            = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidSigningCertificate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertV2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
)

// Verify checks that response is a granted RFC 3161 response over SHA-256 of text, signed by one certificate that is for time stamps
// only and that leads to roots at the time that it says. Errors wrap one of the sentinels above. A certificate that was revoked is
// not noticed: no list is fetched.
func Verify(response, text []byte, roots *x509.CertPool) (t Token, err error) {
	defer func() {
		if recover() != nil { // two parsers that nobody here wrote, on bytes from outside
			t, err = Token{}, fmt.Errorf("%w: the parser gave up", ErrMalformed)
		}
	}()
	if len(response) > MaxResponse {
		return t, fmt.Errorf("%w: larger than %d bytes", ErrMalformed, MaxResponse)
	}
	ts, err := rfc3161.ParseResponse(response)
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	p7, err := pkcs7.Parse(ts.RawToken)
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	signer, err := onlySigner(p7)
	if err != nil {
		return t, err
	}
	if err := chain(p7, signer, ts.Time, roots); err != nil {
		return t, err
	}
	sum := sha256.Sum256(text)
	if ts.HashAlgorithm.String() != "SHA-256" || !bytes.Equal(ts.HashedMessage, sum[:]) {
		return t, ErrDigest
	}
	return Token{Time: ts.Time.UTC(), Accuracy: ts.Accuracy, Authority: signer.Subject.String(), nonce: ts.Nonce}, nil
}

// onlySigner returns the certificate of the one signature, which must be over a TSTInfo and name that certificate.
func onlySigner(p7 *pkcs7.PKCS7) (*x509.Certificate, error) {
	signer := p7.GetOnlySigner()
	if signer == nil {
		return nil, fmt.Errorf("%w: it must have one signature and its certificate", ErrMalformed)
	}
	var content asn1.ObjectIdentifier
	if err := p7.UnmarshalSignedAttribute(pkcs7.OIDAttributeContentType, &content); err != nil || !content.Equal(oidTSTInfo) {
		return nil, fmt.Errorf("%w: what is signed is no time", ErrMalformed)
	}
	if digest := p7.Signers[0].DigestAlgorithm.Algorithm; digest.Equal(pkcs7.OIDDigestAlgorithmSHA1) {
		return nil, fmt.Errorf("%w: signed with SHA-1", ErrMalformed)
	}
	if !namesCertificate(p7, signer) {
		return nil, fmt.Errorf("%w: it does not name its certificate", ErrMalformed)
	}
	return signer, nil
}

// certID is the first part of ESSCertID and ESSCertIDv2 (RFC 2634, RFC 5035). The algorithm is there only if it is not SHA-256.
type certID struct {
	Hash []byte
	Rest asn1.RawValue `asn1:"optional"`
}

// namesCertificate reports whether the signing-certificate attribute is there and is of that certificate.
func namesCertificate(p7 *pkcs7.PKCS7, signer *x509.Certificate) bool {
	var list struct {
		Certs    []certID
		Policies asn1.RawValue `asn1:"optional"`
	}
	if err := p7.UnmarshalSignedAttribute(oidSigningCertV2, &list); err == nil && len(list.Certs) > 0 {
		sum := sha256.Sum256(signer.Raw)
		return bytes.Equal(list.Certs[0].Hash, sum[:])
	}
	if err := p7.UnmarshalSignedAttribute(oidSigningCertificate, &list); err == nil && len(list.Certs) > 0 {
		sum := sha1.Sum(signer.Raw) //nolint:gosec // see above
		return bytes.Equal(list.Certs[0].Hash, sum[:])
	}
	return false
}

// chain verifies signature, chain and purpose, at the time that the token says.
func chain(p7 *pkcs7.PKCS7, signer *x509.Certificate, at time.Time, roots *x509.CertPool) error {
	if roots == nil {
		return fmt.Errorf("%w: no authority was given", ErrUntrusted)
	}
	if len(signer.ExtKeyUsage) != 1 || signer.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(signer.UnknownExtKeyUsage) > 0 {
		return fmt.Errorf("%w: its certificate is not for time stamps alone", ErrUntrusted)
	}
	intermediates := x509.NewCertPool()
	for _, c := range p7.Certificates {
		intermediates.AddCert(c)
	}
	err := p7.VerifyWithOpts(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return nil
}

// Roots reads the authority's certificates, in PEM.
func Roots(pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("reading the time stamp authority's certificate: no certificate in PEM")
	}
	return pool, nil
}
