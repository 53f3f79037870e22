// Package clock counts time limits: it knows the working days of China and
// turns the milestones of a complaint into due dates.
//
// The one idea: every limit that applies runs, law and own promise side by
// side, and the earliest binds. Limits and calendars are data with a source
// and a digest. The package is pure: it never asks what time it is, and it
// must never know SQL, keys, policy or the log.
//
// Counting. Days are days in Asia/Shanghai. The day of receipt is not counted
// (Civil Code 201) and a limit in days ends at 24:00 of its last day (203). A
// last day that is no working day moves to the next one (203): both dates are
// kept, alarms use the earlier, a breach of law is called only after the later.
// Hours are elapsed time and are never converted into days.
package clock
