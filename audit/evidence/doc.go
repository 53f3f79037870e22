// Package evidence makes and verifies evidence bundles (docs/formats/evidence-bundle.md): the handling trail of one record, or the
// result of a query over the log, as a zip that anybody checks offline with the log's public key and nothing else.
//
// The one idea: a bundle claims nothing by itself. Each entry is there byte for byte with its path to a signed checkpoint; what
// evidence.json says besides is compared with those entries; what is neither shown, withheld nor erased with proof is a violation.
//
// The package must never know what a complaint is, open a connection or a database, or believe a key that lies in the bundle.
package evidence
