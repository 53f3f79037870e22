// Package disclosure writes records of any kind into one sealed file for one
// recipient: an age file (age-encryption.org/v1) that the stock age tool opens,
// with an inner file of canonical JSON lines that says for whom it was made, by
// which decision, until when it may be used, and that it is whole.
//
// The one idea: age protects the file on its way, and the inner file must still
// tell when it no longer travels in age: every line carries the recipient's
// watermark, and the last line closes a hash chain over all lines before it, so
// that a line taken out, put in, or a file cut short is seen by whoever holds
// the opened file. The format is docs/formats/disclosure-package.md.
//
// What it cannot do: whoever has opened the file has what is in it. The expiry
// is a statement of terms and the watermark names a copy; neither prevents one.
//
// A [Writer] streams: it keeps one line in memory, and nothing is ever on disk in
// clear. It must never know what the records are,
// who may have them, or where they come from. age uses ChaCha20-Poly1305,
// which GODEBUG=fips140=only does not allow: there,
// [NewWriter] answers an error instead of a file; see [Available].
package disclosure
