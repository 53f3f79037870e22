// Package keyring lends data keys: one 256-bit key per record and generation,
// wrapped by a key service, unwrapped in batches and kept for a bounded time.
//
// The one idea: a key is never owned, only lent. A [Lease] is counted; when
// its key is voided nobody can borrow it any more, and when the last borrower
// returns it, it is overwritten. A key lives at most 60 s after it was opened
// and 15 s after its last use, and every lease knows the call that opened it,
// so that each use of a key can be reconciled with the key service's own log.
//
// While the key service cannot be reached, leases live to their end; when it
// answers that it is sealed or that this caller may not ask, all are void at
// once. There is no local fallback key.
//
//	ring, err := keyring.New(keyring.Config{Wrapper: vault})
//	go ring.Run(ctx)
//
//	lease, wrapped, err := ring.Mint(ctx, id, entryID)    // new record: store wrapped
//	lease, err := ring.Lend(ctx, wrapped, id, entryID)    // later
//	defer lease.Release()
//
// The package must never know what the keys seal or who asks; it never reads
// or writes a database.
package keyring
