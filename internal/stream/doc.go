// Package stream hands the entries of the log to other systems, such as a
// SIEM, as OCSF events: over a webhook, into a file or to a syslog server.
//
// The one idea: a stream is a cursor. What was signed and not handed over yet
// follows from one number per stream, which moves only after the receiver had
// the events; so nothing is lost, a crash repeats at most one batch, and every
// event carries log, index and leaf hash, by which a receiver drops what it has
// and checks what it got. A stream is a view, never the record.
//
// The package must never know a complaint, a key or SQL. It sees published
// leaves only: what a stream shows was signed before.
package stream
