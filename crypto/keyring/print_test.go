package keyring_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// TestKeysOnTheirWayPrintAsSealed: what crosses to the key service and back, and
// what is lent, alone and in lists.
func TestKeysOnTheirWayPrintAsSealed(t *testing.T) {
	t.Parallel()
	dek := []byte("CANARY-CANARY-CANARY-CANARY-1234")
	l, _, err := newRing(t, cryptotest.NewWrapper(t.Name()), nil).Mint(t.Context(), id(0), "e")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, v := range []any{keyring.WrapItem{Plaintext: dek}, &keyring.WrapItem{Plaintext: dek}, []keyring.WrapItem{{Plaintext: dek}},
		keyring.UnwrapResult{Plaintext: dek}, []keyring.UnwrapResult{{Plaintext: dek}}, map[string]keyring.UnwrapResult{"k": {Plaintext: dek}},
		l, []*keyring.Lease{l}, keyring.LendResult{Lease: l}, keyring.MintResult{Lease: l}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", slog.Any("v", v))
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", slog.Any("v", v))
		_ = json.NewEncoder(&out).Encode(v)
		_ = xml.NewEncoder(&out).Encode(v)
	}
	for _, form := range []string{"CANARY", hex.EncodeToString(dek[:6]), strings.Trim(fmt.Sprint(dek[:6]), "[]"), "Q0FOQVJZ", "0x43, 0x41"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("output holds a key as %q", form)
		}
	}
	if strings.Count(out.String(), "[sealed]") < 50 {
		t.Error("output does not say [sealed]")
	}
}
