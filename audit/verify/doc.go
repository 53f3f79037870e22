// Package verify checks a published log offline: nothing but the files of the folder, the log's public key and, if the reader
// kept one, an earlier checkpoint or a witness's key.
//
// The one idea: recompute from the entries, never believe a stored hash, and say what was not checked. Every entry is hashed
// again from its bytes, the tree is built again from those hashes, and tiles, checkpoints and cosignatures are compared with
// it. A log that was rewritten as a whole and signed again by its real key passes every check that needs only the folder;
// what convicts it is a checkpoint that somebody kept or a witness signed, which is why steps 2 and 3 exist and why the
// report says "not checked" when they had nothing to work with.
//
// The package must never know what a complaint is, never write, and never open a connection. It imports package audit and
// the standard library only (and golang.org/x/mod for notes).
package verify
