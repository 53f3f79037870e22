// Package supervision computes the figures of the norm's chapter 7 from the log and from nothing else.
//
// The one idea: a figure is a pure fold over verified entries. The same log, definitions, calendar and limits give the same
// bytes for ever, so whoever doubts a figure recomputes it (trailcheck report) instead of arguing; and since the data a
// report rests on is named by digest in the log itself, a report says what it would take to get another number. Late open
// cases count as late, nothing of nothing is not 100 %, and each figure stands beside the one that would betray it.
//
// Recomputable does not mean true: a complaint that nobody entered is in no figure.
//
// The package must never know SQL, records, keys or the time of day. It reads facts of class C1 that entries carry in
// clear, never a record; and it names no person, not even by alias.
package supervision
