package keyring_test

import (
	"context"
	"fmt"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

func sealOne(l *keyring.Lease) ([]byte, error) {
	return field.Seal(l.Key(), place(0), []byte("v"), field.Short)
}

// A new record gets a key; the wrapped key is stored beside it. A later read
// borrows the key again.
func Example() {
	ctx := context.Background()
	ring, err := keyring.New(keyring.Config{Wrapper: cryptotest.NewWrapper("example")}) // transit.New in a service
	if err != nil {
		fmt.Println(err)
		return
	}
	id := keyring.RecordID{Institution: "acme", Record: "42", Generation: 1}
	lease, wrapped, err := ring.Mint(ctx, id, "audit-entry-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	lease.Release()

	lease, err = ring.Lend(ctx, wrapped, id, "audit-entry-2")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer lease.Release()
	fmt.Println(lease.ID().Record, "use", lease.Use(), lease.Key())
	// Output: 42 use 2 [sealed]
}

func ExampleKeyring_VoidAll() {
	ring, _ := keyring.New(keyring.Config{Wrapper: cryptotest.NewWrapper("example")})
	id := keyring.RecordID{Institution: "acme", Record: "42", Generation: 1}
	lease, _, _ := ring.Mint(context.Background(), id, "audit-entry-1")
	lease.Release()
	fmt.Println(ring.HasLive(id), ring.VoidAll("policy activated"), ring.HasLive(id))
	// Output: true 1 false
}

func ExampleRecordID_Context() {
	fmt.Printf("%x\n", keyring.RecordID{Institution: "acme", Record: "42", Generation: 1}.Context())
	// Output: 73746b310000000461636d650000000234320100000001
}
