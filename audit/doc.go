// Package audit is the pure half of a tamper-evident log: what an entry is, which bytes it has, and how those bytes are
// hashed into a Merkle tree that anybody can recompute.
//
// The one idea: a reader never believes a stored hash. An entry is stored as the exact bytes that were hashed, those bytes
// have exactly one spelling (RFC 8785 canonical JSON, restricted further; see docs/formats/trail-entry.md), and every proof
// starts from them. [Body] is what a writer knows when it appends; [Leaf] is the body together with what only the sequencer
// knows (index, time, place in its trail); [Tree] turns leaves into an RFC 6962 root and C2SP tlog-tiles.
//
// The package must never know what a complaint is, where entries are stored, or how a checkpoint is signed: it opens no file,
// no connection and no key. It imports the standard library, golang.org/x/mod, and transparency-dev/merkle and formats/log only.
package audit
