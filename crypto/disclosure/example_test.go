package disclosure_test

import (
	"bytes"
	"fmt"
	"time"

	"filippo.io/age"

	"github.com/sealtrail/sealtrail/crypto/disclosure"
)

func Example() {
	// Ask before age is used at all: under GODEBUG=fips140=only age's making of a
	// key does not fail, it never ends.
	if err := disclosure.Available(); err != nil {
		fmt.Println(err)
		return
	}
	// The recipient makes a key (age-keygen -pq) and tells the public half.
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		fmt.Println(err)
		return
	}
	to, err := disclosure.ParseRecipient(identity.Recipient().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	var file bytes.Buffer
	w, err := disclosure.NewWriter(&file, to, disclosure.Header{Disclosure: "d-1", Institution: "acme", Scope: "record", Basis: "court_order",
		Purpose: "legal", Groups: []string{"contact"}, RecipientName: "District Court", Watermark: "wm-d1", IssuedAt: at, ExpiresAt: at.AddDate(0, 1, 0)})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = w.Record(disclosure.Record{Type: "customer", ID: "42", Revision: 7, Fields: []disclosure.Field{{Name: "phone", Value: []byte("13800138000")}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}
	// The recipient opens it, with age or with this package.
	r, err := disclosure.Open(&file, identity)
	if err != nil {
		fmt.Println(err)
		return
	}
	item, err := r.Next()
	fmt.Println(r.Header().RecipientName, item.Record.ID, string(item.Record.Fields[0].Value), err)
	_, err = r.Next()
	fmt.Println(err, r.Trailer().Records)
	// Output:
	// District Court 42 13800138000 <nil>
	// EOF 1
}

func ExampleParseRecipient() {
	_, err := disclosure.ParseRecipient("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI")
	fmt.Println(err)
	// Output: recipient refused: SSH keys are for logging in; make an age key with age-keygen -pq
}
