// Package intake turns what arrives from outside into drafts of complaints:
// it parses files, validates drafts against the vocabulary and refuses data
// that must never be stored.
//
// The one idea: everything is checked before the door sees it, all problems
// are collected, and no problem ever repeats a value that was given. The
// package is pure parsing; it must never know SQL, keys, policy or the log,
// and it never files a complaint itself.
package intake
