// Package publish makes a log in PostgreSQL readable and provable for everybody else: as C2SP tlog-tiles in a folder, under
// checkpoints that the log signs and witnesses cosign.
//
// The one idea: a checkpoint is the last thing written. Tiles and entry bundles come first and are durable, then the unique
// (size, root) row, then the proof that the new tree extends the last signed one, then the signature, its verification and the
// witnesses; so whatever crashes, nobody ever holds a checkpoint for something that cannot be read, and no size ever has two
// roots. Recovery is the normal path run again.
//
// The package must never know what entries mean, who may read them, or how the signing key is kept: it sees bytes, hashes and
// a [CheckpointSigner].
package publish
