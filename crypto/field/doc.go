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
//	ring, err := keyring.New(keyring.Config{Wrapper: vault}) // transit.New, or cryptotest.NewWrapper in tests
//	id := keyring.RecordID{Institution: "acme", Record: rowID, Generation: 1}
//	lease, wrapped, err := ring.Mint(ctx, id, auditEntryID) // store wrapped beside the row
//	defer lease.Release()
//
//	place := field.Place{Institution: "acme", Record: rowID, RecordType: "customer",
//		Path: "phone", SchemaVersion: 1, Generation: 1, Revision: 1}
//	sealed, err := field.Seal(lease.Key(), place, []byte("13800138000"), field.Short)
//
//	plain, err := field.Open(lease.Key(), place, sealed) // ErrIntegrity if anything moved
//	fmt.Println(plain)                                   // [sealed]
//	use(plain.Expose())
//
// [Sealer] and [Opener] do the same for many fields of one record with three
// allocations per field. The wire format is crypto/FORMAT.md.
//
// This package must never know who asks, why, or what the value means, and it
// never talks to a network, a database or a key service.
package field
