package stream

import (
	"bytes"
	"compress/zlib"
	"crypto/aes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/c2sp/wycheproof"
	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// vector is one case of Wycheproof's c2sp_chunked_encryption files.
type vector struct {
	TcID      int      `json:"tcId"`
	Comment   string   `json:"comment"`
	Key       string   `json:"key"`
	Ctx       string   `json:"ctx"`
	Ct        string   `json:"ct"`
	MsgLength int64    `json:"msgLength"`
	MsgSha512 string   `json:"msgSha512"`
	Result    string   `json:"result"`
	Flags     []string `json:"flags"`
}

func (v vector) has(flag string) bool { return slices.Contains(v.Flags, flag) }

func (v vector) input(t *testing.T) (key, context, ct []byte) {
	t.Helper()
	z, err := zlib.NewReader(bytes.NewReader(unhex(t, v.Ct)))
	if err != nil {
		t.Fatal(err)
	}
	ct, err = io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return unhex(t, v.Key), unhex(t, v.Ctx), ct
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// schemes are the instantiations that Wycheproof has vectors of. The service
// uses the larger one; the smaller shows that the code does not depend on it.
func schemes() map[string]scheme {
	small := aes256()
	small.aead, small.keySize, small.block = "AEAD_AES_128_GCM", 16, aes.NewCipher
	return map[string]scheme{"c2sp_chunked_encryption_aes_256_gcm_test.json": aes256(), "c2sp_chunked_encryption_aes_128_gcm_test.json": small}
}

// counted is what both files hold; another number means other files.
type counted struct{ Valid, Invalid, Partial, Header, LastIsGood int }

func TestWycheproofChunkedEncryption(t *testing.T) {
	t.Parallel()
	for file, s := range schemes() {
		t.Run(s.aead, func(t *testing.T) {
			t.Parallel()
			raw, err := fs.ReadFile(wycheproof.TestVectors, file)
			if err != nil {
				t.Fatal(err)
			}
			var doc struct {
				TestGroups []struct {
					Aead  string
					Tests []vector
				}
			}
			if err := json.Unmarshal(raw, &doc); err != nil {
				t.Fatal(err)
			}
			var got counted
			for _, g := range doc.TestGroups {
				if g.Aead != s.aead {
					t.Fatalf("group of %s in the file of %s", g.Aead, s.aead)
				}
				for _, v := range g.Tests {
					checkVector(t, s, v, &got)
				}
			}
			if diff := cmp.Diff(counted{Valid: 10, Invalid: 25, Partial: 9, Header: 10, LastIsGood: 4}, got); diff != "" {
				t.Errorf("other vectors than expected (-want +got):\n%s", diff)
			}
		})
	}
}

func checkVector(t *testing.T, s scheme, v vector, n *counted) {
	t.Helper()
	key, context, ct := v.input(t)
	if v.Result == "valid" {
		n.Valid++
	} else {
		n.Invalid++
	}
	if v.has("HeaderFailure") {
		n.Header++
		if _, err := rawOpener(s, key, ct[:min(HeaderSize, len(ct))], int64(len(ct)), context); !errors.Is(err, field.ErrIntegrity) {
			t.Errorf("%d %s: the head was taken: %v", v.TcID, v.Comment, err)
		}
		return
	}
	checkSequential(t, s, v, n)
	checkRandom(t, s, v, n)
	if v.Result == "valid" {
		checkSealing(t, s, v)
	}
}

// checkSequential reads as the service does: every chunk in order, where the
// length is that of the stored bytes.
func checkSequential(t *testing.T, s scheme, v vector, n *counted) {
	t.Helper()
	key, context, ct := v.input(t)
	o, err := rawOpener(s, key, ct[:HeaderSize], int64(len(ct)), context)
	if err != nil {
		if v.Result == "valid" {
			t.Errorf("%d %s: %v", v.TcID, v.Comment, err)
		}
		if !errors.Is(err, ErrTruncated) {
			t.Errorf("%d %s: %v, want ErrTruncated", v.TcID, v.Comment, err)
		}
		if v.has("PartialPlaintext") {
			n.Partial++ // we say so before the first byte
		}
		return
	}
	r := o.Range(iotest.HalfReader(bytes.NewReader(ct[HeaderSize:])), 0, o.Size())
	message, err := io.ReadAll(r)
	sum := sha512.Sum512(message)
	switch {
	case v.Result == "valid":
		if err != nil || int64(len(message)) != v.MsgLength || hex.EncodeToString(sum[:]) != v.MsgSha512 {
			t.Errorf("%d %s: %d bytes, %v", v.TcID, v.Comment, len(message), err)
		}
	case err == nil:
		t.Errorf("%d %s: opened", v.TcID, v.Comment)
	default:
		if v.has("PartialPlaintext") {
			n.Partial++
			if hex.EncodeToString(sum[:]) != v.MsgSha512 {
				t.Errorf("%d %s: %d bytes left, not the valid prefix of %d", v.TcID, v.Comment, len(message), v.MsgLength)
			}
		} else if len(message) > 0 {
			t.Errorf("%d %s: %d bytes left before the error", v.TcID, v.Comment, len(message))
		}
		if again, err := r.Read(make([]byte, 1)); again != 0 || !errors.Is(err, field.ErrIntegrity) {
			t.Errorf("%d %s: a further read gives %d bytes, %v", v.TcID, v.Comment, again, err)
		}
	}
}

func checkRandom(t *testing.T, s scheme, v vector, n *counted) {
	t.Helper()
	key, context, ct := v.input(t)
	o, err := rawOpener(s, key, ct[:HeaderSize], int64(len(ct)), context)
	if err != nil {
		return // judged by checkSequential
	}
	r, err := readerOf(o, bytes.NewReader(ct))
	switch {
	case v.Result == "valid" && err != nil:
		t.Errorf("%d %s: %v", v.TcID, v.Comment, err)
		return
	case v.Result != "valid" && !v.has("ValidFinalChunk"):
		if err == nil {
			t.Errorf("%d %s: a wrong length was believed", v.TcID, v.Comment)
		}
		return
	case v.has("ValidFinalChunk"):
		n.LastIsGood++
		if err != nil {
			t.Errorf("%d %s: the last chunk is good: %v", v.TcID, v.Comment, err)
			return
		}
	}
	message, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if (err == nil) != (v.Result == "valid") {
		t.Errorf("%d %s: read at random: %d bytes, %v", v.TcID, v.Comment, len(message), err)
	}
}

// checkSealing seals the message of a vector again under its salt.
func checkSealing(t *testing.T, s scheme, v vector) {
	t.Helper()
	key, context, ct := v.input(t)
	o, err := rawOpener(s, key, ct[:HeaderSize], int64(len(ct)), context)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rawChunks(s, key, ct[:saltSize], context)
	if err != nil {
		t.Fatal(err)
	}
	message := o.Range(bytes.NewReader(ct[HeaderSize:]), 0, o.Size())
	sealed, err := io.ReadAll(&sealingReader{src: message, c: c, out: c.head[:]})
	if err != nil || !bytes.Equal(sealed, ct) {
		t.Errorf("%d %s: sealed to other bytes (%d of %d), %v", v.TcID, v.Comment, len(sealed), len(ct), err)
	}
}
