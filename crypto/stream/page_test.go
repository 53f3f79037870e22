package stream

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// The example of docs/formats/sealed-file.md is what this package computes.
func TestTheExampleOfTheFormatPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/formats/sealed-file.md")
	if err != nil {
		t.Fatal(err)
	}
	key, err := field.NewKey(bytes.Repeat([]byte{1}, field.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	p := Place{Institution: "bank-a", Record: "r-1", File: "f-1", Field: "attachments", Generation: 1}
	s := aes256()
	input, err := inputKey(key, &p, field.Suite1, s)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rawChunks(s, input, bytes.Repeat([]byte{0xa1}, saltSize), p.context())
	if err != nil {
		t.Fatal(err)
	}
	last, err := c.seal(nil, []byte("hello\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"input key": input, "context": p.context(), "commitment": c.head[saltSize:], "nonce": c.base[:], "chunk": last} {
		if !strings.Contains(string(page), hex.EncodeToString(b)) {
			t.Errorf("%s is %x: not on the page", name, b)
		}
	}
	sealed := append(bytes.Clone(c.head[:]), last...)
	r, err := NewReader(bytes.NewReader(sealed), int64(len(sealed)), key, p)
	if err != nil || r.Size() != 6 {
		t.Errorf("the example does not open: %v", err)
	}
}
