// Package e2e holds tests of a whole installation: private PostgreSQL, real
// Vault, witness, service process. Its one idea: what Sealtrail promises is
// shown from outside, by what an attacker, an outage or a careless caller would
// see, and each test first shows that it could fail. It has no code of its own
// and must never be imported.
//
// Three kinds of test:
//
//   - canary: unique markers in every classified field are nowhere to be found
//     afterwards, in any encoding, in any file that any of the processes wrote;
//   - rough: kill -9, pauses, outages and full disks under load; what was
//     acknowledged is in the log, and nothing hangs;
//   - rules: bad input, forged tokens, grants, break-glass and duties through
//     the real service.
//
// SEALTRAIL_KILL_ROUNDS multiplies the rounds of the kill tests (default 1).
package e2e
