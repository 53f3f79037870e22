// Package stream seals files: contents too large for one field, written and
// read as a stream, in constant memory, with any range readable by itself.
//
// The one idea: C2SP chunked-encryption (c2sp.org/chunked-encryption), unchanged.
// A file is a run of chunks of 16 KiB, each authenticated by itself at its own
// number, and the last one is always shorter, so that cutting, extending,
// reordering or repeating chunks is found, and no byte of a chunk leaves before
// the chunk was authenticated. The key is derived from the file's own data key
// and the [Place], so that a file opens at no other place, and the derived key
// is committed to in front.
//
//	w, err := stream.NewWriter(dst, key, place) // dst is an io.Writer
//	_, err = io.Copy(w, src)
//	err = w.Close()                             // without Close the file never opens
//
//	r, err := stream.NewReader(file, size, key, place) // file is an io.ReaderAt
//	n, err := r.ReadAt(buf, offset)             // opens only the chunks it needs
//
// docs/formats/sealed-file.md is the format. The package must never know what a
// file holds, where it is stored, or who asks for it.
package stream
