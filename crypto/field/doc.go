// Package field seals and opens single fields of a record.
//
// The one idea: a ciphertext belongs to exactly one place (institution,
// record, record type, path, schema version, key generation, field revision)
// and opens nowhere else. The place is both in the key derivation and in the
// additional data, and nothing is believed from the ciphertext. A manifest
// with a MAC ties all fields of one record revision, and the clear attributes
// beside them, together.
//
// Seal a field of a table of your own:
//
//	ring, err := keyring.New(keyring.Config{Wrapper: cryptotest.NewWrapper("example")}) // in a service: transit.New
//	if err != nil {
//		return err
//	}
//	id := keyring.RecordID{Institution: "acme", Record: "customer-42", Generation: 1}
//	lease, wrapped, err := ring.Mint(ctx, id, "entry-1") // your own log's name for this use of a key
//	if err != nil {
//		return err
//	}
//	defer lease.Release()
//	place := field.Place{Institution: "acme", Record: "customer-42", RecordType: "customer",
//		Path: "phone", SchemaVersion: 1, Generation: 1, Revision: 1}
//	sealed, err := field.Seal(lease.Key(), place, []byte("13800138000"), field.Short)
//	if err != nil {
//		return err
//	}
//	fmt.Println(len(sealed), wrapped.KeyVersion) // store sealed in the row, wrapped beside it
//	plain, err := field.Open(lease.Key(), place, sealed)
//	fmt.Println(plain, string(plain.Expose())) // prints [sealed] unless you say Expose
//	return err
//
// Later reads borrow the key again with ring.Lend(ctx, wrapped, id, entry). An
// error that wraps [ErrIntegrity] says that the stored bytes are not what was
// sealed for that place.
//
// [Sealer] and [Opener] do the same for many fields of one record with three
// allocations per field. There are two suites, AES-256-GCM with SHA-256
// ([Suite1], the default) and SM4-GCM with SM3 ([Suite2]); [Reseal] moves a
// field from one to the other, or to the next data key, without showing it. The
// wire format is docs/formats/sealed-field.md.
//
// This package must never know who asks, why, or what the value means, and it
// never talks to a network, a database or a key service.
package field
