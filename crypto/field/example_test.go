package field_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sealtrail/sealtrail/crypto/cryptotest"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// Seal a field of a table of your own, with a test double in place of Vault.
func Example() {
	fmt.Println(sealYourOwn(context.Background()))
	// Output:
	// 80 1
	// [sealed] 13800138000
	// <nil>
}

// sealYourOwn is the program of the package comment and of crypto/README.md,
// line by line: at most 20 of them.
func sealYourOwn(ctx context.Context) error {
	ring, err := keyring.New(keyring.Config{Wrapper: cryptotest.NewWrapper("example")}) // in a service: transit.New
	if err != nil {
		return err
	}
	id := keyring.RecordID{Institution: "acme", Record: "customer-42", Generation: 1}
	lease, wrapped, err := ring.Mint(ctx, id, "entry-1") // your own log's name for this use of a key
	if err != nil {
		return err
	}
	defer lease.Release()
	place := field.Place{Institution: "acme", Record: "customer-42", RecordType: "customer",
		Path: "phone", SchemaVersion: 1, Generation: 1, Revision: 1}
	sealed, err := field.Seal(lease.Key(), place, []byte("13800138000"), field.Short)
	if err != nil {
		return err
	}
	fmt.Println(len(sealed), wrapped.KeyVersion) // store sealed in the row, wrapped beside it
	plain, err := field.Open(lease.Key(), place, sealed)
	fmt.Println(plain, string(plain.Expose())) // prints [sealed] unless you say Expose
	return err
}

// A ciphertext that somebody moved to another row is not the one sealed there.
func ExampleOpen() {
	k := exampleKey()
	place := field.Place{Institution: "acme", Record: "customer-42", RecordType: "customer",
		Path: "phone", SchemaVersion: 1, Generation: 1, Revision: 1}
	sealed, err := field.Seal(k, place, []byte("13800138000"), field.Short)
	if err != nil {
		fmt.Println(err)
		return
	}
	place.Record = "customer-43"
	_, err = field.Open(k, place, sealed)
	fmt.Println(errors.Is(err, field.ErrIntegrity), err)
	// Output: true integrity error: envelope.tag of field "phone"
}

// Move a field to the next data key of its record. The value is never seen, and
// the stored length stays. With to.Suite = field.Suite2 it moves to SM4-GCM.
func ExampleReseal() {
	from := field.Place{Institution: "acme", Record: "42", RecordType: "customer", Path: "phone", SchemaVersion: 1, Generation: 1, Revision: 1}
	to := from
	to.Generation = 2
	sealed, _ := field.Seal(exampleKey(), from, []byte("13800138000"), field.Short)
	next, _ := field.NewKey(bytes.Repeat([]byte{2}, field.KeySize))
	o, _ := field.NewOpener(exampleKey())
	s, _ := field.NewSealer(next)
	defer o.Close()
	defer s.Close()
	moved, err := field.Reseal(o, from, sealed, s, to)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = field.Open(next, from, moved) // not as the old generation
	fmt.Println(len(sealed), len(moved), err)
	// Output: 80 80 integrity error: envelope.generation of field "phone"
}

func exampleKey() *field.Key {
	k, err := field.NewKey(bytes.Repeat([]byte{1}, field.KeySize)) // a keyring.Lease has one
	if err != nil {
		panic(err)
	}
	return k
}

func ExampleSealer() {
	s, err := field.NewSealer(exampleKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	record := field.ManifestInput{Institution: "acme", Record: "42", Revision: 1, SchemaVersion: 1, Attrs: []byte(`{"owner":"p-1"}`)}
	for path, value := range map[string]string{"email": "a@b.cn", "phone": "13800138000"} {
		p := field.Place{Institution: "acme", Record: "42", RecordType: "customer", Path: path, SchemaVersion: 1, Generation: 1, Revision: 1}
		sealed, err := s.Seal(p, []byte(value), field.Short)
		if err != nil {
			fmt.Println(err)
			return
		}
		record.Fields = append(record.Fields, field.DigestOf(p, sealed)) // and store sealed
	}
	stored, err := s.Manifest(record) // store it too
	fmt.Println(len(stored), err)
	// Output: 140 <nil>
}

func ExampleOpener() {
	k := exampleKey()
	p := field.Place{Institution: "acme", Record: "42", RecordType: "customer", Path: "phone", SchemaVersion: 1, Generation: 1, Revision: 1}
	sealed, _ := field.Seal(k, p, []byte("13800138000"), field.Short)
	row := field.ManifestInput{Institution: "acme", Record: "42", Revision: 1, SchemaVersion: 1, Attrs: []byte(`{"owner":"p-1"}`)}
	row.Fields = []field.FieldDigest{field.DigestOf(p, sealed)}
	stored, _ := field.BuildManifest(k, row)

	o, err := field.NewOpener(k)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer o.Wipe()
	defer o.Close()
	manifest, err := o.VerifyManifest(row, stored)
	if err == nil {
		err = manifest.Check("phone", sealed)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	phone, err := o.Open(p, sealed)
	fmt.Println(phone, err)

	row.Attrs = []byte(`{"owner":"me"}`) // UPDATE customer SET owner = 'me'
	_, err = o.VerifyManifest(row, stored)
	fmt.Println(err)
	// Output:
	// [sealed] <nil>
	// integrity error: manifest.mac
}

func ExamplePlain() {
	p := field.NewPlain([]byte("13800138000"))
	fmt.Printf("%v %s %q %+v\n", p, p, p, struct{ Phone field.Plain }{p})
	fmt.Println(p.Len(), string(p.Expose()))
	// Output:
	// [sealed] [sealed] [sealed] {Phone:[sealed]}
	// 11 13800138000
}
