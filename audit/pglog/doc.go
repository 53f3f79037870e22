// Package pglog keeps an append-only, tamper-evident log in PostgreSQL that commits in the caller's own transaction.
//
// The one idea: appending and indexing are two steps. An append inserts the body of an entry and a row in a queue, in whatever
// transaction the caller chose, so that a change and its entry are both there or neither; it takes no lock that another append
// waits for. A sequencer later turns queued entries into leaves of a Merkle tree, in an order in which an entry acknowledged
// before another was submitted always has the smaller index. What is durable after [Log.Append] is the entry; its index exists
// 20 to 50 ms later.
//
// PostgreSQL fences the tables against change (see [SelfCheck]); a superuser can pull the fences down, so [Check] compares the
// tables with the published tiles, which witnesses have seen.
//
// One database role, sealtrail_app, appends, sequences and publishes, through functions of the owner that do no more than that:
// whoever takes over the service can add entries and can give pending ones wrong leaves, which [Check] and every reader of the
// published bundles see; removing or changing an entry takes a superuser. A second role for sequencing would not help as long as
// both live in one process.
//
// The package must never know who may do what (policy), how anything is encrypted (crypto), or anything of internal. It knows
// package audit and pgx.
package pglog
