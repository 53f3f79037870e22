// Package reconcile compares what Vault wrote down of the use of an
// institution's keys with what the log says they were used for, in both
// directions.
//
// The one idea: two records that different people keep. Whoever uses a key at
// Vault with a stolen token leaves no entry in the log; whoever forges entries
// leaves no line at Vault. Each item of a call is matched by the HMAC of its
// context, by time and by count; the correlation id of a call only says where to
// look first, since a thief can repeat a genuine one.
//
// Matcher is pure: entries and calls go in, alarms come out, the clock is an
// argument. Around it, Tail reads Vault's file audit log, Published reads the
// published log, and Runner ties them together and reports.
//
// What it cannot see: whoever holds unseal shares and a snapshot of Vault's
// storage decrypts offline and leaves no line anywhere.
//
// It must never know a key, a plaintext, a search term, a keyring, SQL or HTTP.
package reconcile
