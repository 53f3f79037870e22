// Package evidencetest makes a corpus of genuine and forged evidence bundles with the verdict that each deserves, so that every
// verifier of the format (Go, the page in a browser, the page's core in Node) is held to the same.
//
// The one idea: a forgery is made by hand from a genuine bundle's files, with a zip writer and an order of steps that owe nothing
// to package evidence, and says at which step, and for which reason, it must be refused: refused by accident counts as a failure.
// Everything follows from a seed. The package must never be linked into a program that runs: its keys are public.
package evidencetest
