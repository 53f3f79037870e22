package cryptotest_test

import (
	"context"
	"fmt"
	"os"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// See what a program does while the key service is sealed.
func ExampleWrapper() {
	vault := cryptotest.NewWrapper("seed")
	ring, err := keyring.New(keyring.Config{Wrapper: vault})
	if err != nil {
		fmt.Println(err)
		return
	}
	vault.Fail(&keyring.UnavailableError{Cause: keyring.CauseSealed, Op: "wrap"})
	_, _, err = ring.Mint(context.Background(), keyring.RecordID{Institution: "acme", Record: "42"}, "entry-1")
	fmt.Println(err)
	// Output: key of record 42: wrap: key service unavailable: sealed
}

func ExampleIndexer() {
	x := cryptotest.NewIndexer("acme", "seed")
	a, _ := x.Tokens(context.Background(), []blindindex.Item{{Field: "phone", Epoch: 1, Normalised: []byte("+8613800138000")}})
	b, _ := x.Tokens(context.Background(), []blindindex.Item{{Field: "phone", Epoch: 1, Normalised: []byte("+8613800138000")}})
	fmt.Println(len(a[0]), string(a[0]) == string(b[0]))
	// Output: 32 true
}

func ExampleLoadVectors() {
	v, err := cryptotest.LoadVectors(os.DirFS("../testdata"))
	fmt.Println(v.Spec, err)
	// Output: docs/formats/sealed-field.md, suites 0x01 and 0x02 <nil>
}
