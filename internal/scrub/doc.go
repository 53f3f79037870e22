// Package scrub finds personal and authentication data in text: identity
// numbers, bank cards, telephone numbers and e-mail addresses (Scan, Redact),
// and what must never be stored, such as passwords and card verification
// numbers (FindC3).
//
// The one idea: look at runs of digits with the separators people write
// between them, then prove the find by a check digit, a prefix or the words
// before it, instead of matching patterns. Regular expressions of Go have no
// look-around, and a digit pattern alone is wrong in three of ten cases.
//
// Names cannot be found by rule. Text that was redacted may still name
// people, which is why narratives are sealed whole and redaction is only a
// view. The package is pure and must never know records, keys or the log.
package scrub
