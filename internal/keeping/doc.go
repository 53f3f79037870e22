// Package keeping is the upkeep that goes on beside the requests: bringing every
// data key to the newest version of the master key, giving up old versions, and
// looking again and again whether the keys in Vault are still configured as the
// log says.
//
// The one idea: every step of it may be the last one before a crash, so each is
// an act of the door that is whole or did not happen, and starting again is the
// same code as going on. This package holds the order and the pace of the steps;
// what a step reads, writes and records is internal/custody's.
//
// It must never know SQL, a key, the policy or HTTP.
package keeping
