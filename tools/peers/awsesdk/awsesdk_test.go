// Package awsesdk measures the AWS Encryption SDK for Go on the work of one
// sealed field: 32 bytes under a local raw AES-256 key, bound to the same five
// attributes that a field's place has, with key commitment and without the
// signature, which a field has no use for.
package awsesdk

import (
	"bytes"
	"context"
	"testing"

	mpl "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygenerated"
	mpltypes "github.com/aws/aws-cryptographic-material-providers-library/releases/go/mpl/awscryptographymaterialproviderssmithygeneratedtypes"
	esdk "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygenerated"
	esdktypes "github.com/aws/aws-encryption-sdk/releases/go/encryption-sdk/awscryptographyencryptionsdksmithygeneratedtypes"
)

var place = map[string]string{
	"institution": "demo-bank", "record": "00000000-0000-4000-8000-000000000001", "type": "complaint", "path": "phone", "revision": "1",
}

type peer struct {
	client *esdk.Client
	ring   mpltypes.IKeyring
}

func newPeer(b *testing.B) peer {
	b.Helper()
	policy := mpltypes.ESDKCommitmentPolicyRequireEncryptRequireDecrypt
	client, err := esdk.NewClient(esdktypes.AwsEncryptionSdkConfig{CommitmentPolicy: &policy})
	if err != nil {
		b.Fatal(err)
	}
	materials, err := mpl.NewClient(mpltypes.MaterialProvidersConfig{})
	if err != nil {
		b.Fatal(err)
	}
	ring, err := materials.CreateRawAesKeyring(context.Background(), mpltypes.CreateRawAesKeyringInput{
		KeyName: "bench", KeyNamespace: "bench", WrappingAlg: mpltypes.AesWrappingAlgAlgAes256GcmIv12Tag16, WrappingKey: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		b.Fatal(err)
	}
	return peer{client, ring}
}

func (p peer) seal(b *testing.B, plaintext []byte) []byte {
	suite := mpltypes.ESDKAlgorithmSuiteIdAlgAes256GcmHkdfSha512CommitKey
	out, err := p.client.Encrypt(context.Background(), esdktypes.EncryptInput{
		Plaintext: plaintext, AlgorithmSuiteId: &suite, EncryptionContext: place, Keyring: p.ring})
	if err != nil {
		b.Fatal(err)
	}
	return out.Ciphertext
}

func BenchmarkPeerSeal(b *testing.B) {
	p, plaintext := newPeer(b), bytes.Repeat([]byte{'x'}, 32)
	b.ReportAllocs()
	for b.Loop() {
		p.seal(b, plaintext)
	}
}

func BenchmarkPeerOpen(b *testing.B) {
	p, plaintext := newPeer(b), bytes.Repeat([]byte{'x'}, 32)
	sealed := p.seal(b, plaintext)
	b.ReportAllocs()
	for b.Loop() {
		out, err := p.client.Decrypt(context.Background(), esdktypes.DecryptInput{Ciphertext: sealed, EncryptionContext: place, Keyring: p.ring})
		if err != nil || !bytes.Equal(out.Plaintext, plaintext) {
			b.Fatal("the peer did not open what it sealed", err)
		}
	}
}
