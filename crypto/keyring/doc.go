// Package keyring lends data keys: one 256-bit key per record and generation,
// wrapped by a key service, unwrapped in batches and kept for a bounded time.
//
// The one idea: a key is never owned, only lent. A [Lease] is counted; when
// its key is voided nobody can borrow it any more, and when the last borrower
// returns it, it is overwritten. A key is lent for at most 60 s after it was
// opened, 15 s after its last use and 100,000 times (who holds it then keeps it
// until its Release; [Keyring.Run] looks for expired ones once a second), and every lease knows the call
// that opened it, so that each use of a key can be reconciled with the key
// service's own log. It is bound to the policy that its use was decided under:
// a [Keyring.SetPolicy] voids all keys, and what was decided before it is refused
// with [ErrSuperseded].
//
// While the key service cannot be reached, leases live to their end; when it
// answers that it is sealed or that this caller may not ask, all are void at
// once. There is no local fallback key. When five calls in a row got no answer, a
// [Circuit] lets calls fail at once, and one every half second try.
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
