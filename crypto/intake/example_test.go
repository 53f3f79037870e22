package intake_test

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/sealtrail/sealtrail/crypto/intake"
)

func Example() {
	// The institution makes a key from 32 bytes that it keeps wrapped ...
	private, err := intake.NewPrivateKey("demo-bank", 1, intake.DefaultKEM(), bytes.Repeat([]byte{1}, intake.SeedSize))
	if err != nil {
		fmt.Println(err)
		return
	}
	bundle := private.Public().Bundle() // ... and publishes this.

	// A front end that reaches nobody:
	key, err := intake.ParsePublicKey(bundle)
	if err != nil {
		fmt.Println(err)
		return
	}
	dir, err := os.MkdirTemp("", "spool")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	spool, err := intake.OpenSpool(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	envelope, receipt, err := key.Seal(intake.Draft{Source: "app", SourceID: "42", Body: []byte("a draft")}, time.Now())
	if err == nil {
		err = spool.Put(envelope, receipt)
	}
	fmt.Println(err)

	// Later, the institution:
	for kept, err := range spool.Waiting() {
		draft, openErr := private.Open(kept.Envelope)
		fmt.Println(kept.Receipt.SourceID, string(draft), err, openErr)
	}
	// Output:
	// <nil>
	// 42 a draft <nil> <nil>
}
