// Package complaint is the vocabulary of Sealtrail: the words, codes, fields,
// states and transitions that every other package is checked against.
//
// The one idea: vocabulary is data. registry.json holds roles, purposes,
// actions, states, transitions, event kinds and code sets, each with a Chinese
// and an English label; catalogue.json holds the fields of a record with their
// class, group, mask and retention. Go, Rego, the HTTP contract, the figures
// and the glossary read these two files or are tested against them.
//
// The package is pure: no clock, no network, no disk besides its two embedded
// files. It must never know SQL, keys, policy or the log.
package complaint
