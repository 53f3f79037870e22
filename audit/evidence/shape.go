package evidence

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealtrail/sealtrail/audit"
)

// maxLogs bounds the logs of a bundle: one a year.
const maxLogs = 64

// shaped holds evidence.json to rules 4, 5, 9 and 10, as far as one list knows.
func (w *wireBundle) shaped() bool {
	at, err := time.Parse(audit.TimeLayout, w.MadeAt)
	trail := w.Scope == ScopeTrail
	good := w.Format == Format && isToken(w.Institution) && err == nil && at.Format(audit.TimeLayout) == w.MadeAt && at.Year() > 0 &&
		(trail || w.Scope == ScopeQuery) && (w.Subject != nil) == trail && (w.Query != nil) != trail &&
		(!trail || isToken(*w.Subject) && audit.InHeads(*w.Subject)) && (trail || w.Query.Size > 0) && len(w.Logs) > 0 && len(w.Logs) <= maxLogs
	return good && every(w.Logs, func(l *wireLog) bool { return isToken(l.Origin) && len(l.Origin) <= audit.MaxOrigin && l.Size > 0 }) &&
		every(w.Items, func(i *wireItem) bool { return i.shaped(trail) }) && every(w.Heads, (*wireHead).shaped) && every(w.Openings, (*wireOpening).shaped) &&
		every(w.Consistency, func(c *wireConsistency) bool { return c.From > 0 && isHashes(c.Path) }) &&
		every(w.Stamps, func(s *wireStamp) bool { return s.Size > 0 }) &&
		every(w.Actors, func(a *wireActor) bool { return isToken(a.Alias) && a.Name != "" && len(a.Name) <= 256 })
}

func every[T any](list []T, good func(*T) bool) bool {
	for i := range list {
		if !good(&list[i]) {
			return false
		}
	}
	return true
}

func (i *wireItem) shaped(trail bool) bool {
	switch i.Part {
	case PartTrail, PartHit:
		if trail != (i.Part == PartTrail) {
			return false
		}
	case PartPolicy, PartHeads, PartSupport:
		if State(i.State) != Disclosed {
			return false
		}
	case PartOutcome:
	default:
		return false
	}
	switch State(i.State) {
	case Disclosed, Missing:
		return isHex(i.Leaf, 64) && i.Reason == nil
	case Withheld:
		return isHex(i.Leaf, 64) && isReason(i.Reason)
	case Erased: // an entry is never erased
	}
	return false
}

func (h *wireHead) shaped() bool {
	o := h.Other
	return (h.N == 0) == (h.Last == "") && (h.N == 0 || isHex(h.Last, 64) && o == nil) && isHashes(h.Path) && len(h.Path) <= 256 && isToken(h.Subject) &&
		(o == nil || isHex(o.Key, 64) && isHex(o.Last, 64) && o.N > 0)
}

func (o *wireOpening) shaped() bool {
	if !isPath(o.Path) {
		return false
	}
	none := o.Salt == nil && o.Value == nil
	switch State(o.State) {
	case Disclosed:
		return o.Salt != nil && isHex(*o.Salt, 32) && o.Value != nil && o.Reason == nil && o.Proof == nil
	case Withheld:
		return none && isReason(o.Reason) && o.Proof == nil
	case Erased:
		return none && o.Reason == nil && o.Proof != nil
	case Missing:
		return none && o.Reason == nil && o.Proof == nil
	}
	return false
}

func isHashes(list []string) bool {
	return list != nil && !slices.ContainsFunc(list, func(s string) bool { return !isHex(s, 64) })
}

// isToken is the token of trail-entry.md: printable ASCII without space, quote and backslash.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' || r == utf8.RuneError })
}

func isPath(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_./:-") == ""
}
func isReason(s *string) bool {
	return s != nil && *s != "" && strings.Trim(*s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// ordered holds the lists to their order, each combination once.
func (w *wireBundle) ordered() bool {
	origins, subjects := map[string]bool{}, map[string]bool{}
	for _, l := range w.Logs {
		origins[l.Origin] = true
	}
	for _, h := range w.Heads {
		subjects[h.Subject] = true
	}
	return len(origins) == len(w.Logs) && len(subjects) == len(w.Heads) &&
		ascending(w.Logs, func(a, b wireLog) int { return cmp.Compare(a.Year, b.Year) }) &&
		ascending(w.Items, func(a, b wireItem) int { return byPlace(a.Log, b.Log, a.Index, b.Index) }) &&
		ascending(w.Heads, func(a, b wireHead) int {
			return cmp.Or(byPlace(a.Log, b.Log, a.Index, b.Index), cmp.Compare(a.Subject, b.Subject))
		}) &&
		ascending(w.Openings, func(a, b wireOpening) int {
			return cmp.Or(byPlace(a.Log, b.Log, a.Index, b.Index), cmp.Compare(a.Path, b.Path))
		}) &&
		ascending(w.Consistency, func(a, b wireConsistency) int { return byPlace(a.Log, b.Log, a.From, b.From) }) &&
		ascending(w.Stamps, func(a, b wireStamp) int { return byPlace(a.Log, b.Log, a.Size, b.Size) }) &&
		ascending(w.Actors, func(a, b wireActor) int { return cmp.Compare(a.Alias, b.Alias) })
}

func byPlace(logA, logB, a, b uint64) int { return cmp.Or(cmp.Compare(logA, logB), cmp.Compare(a, b)) }

func ascending[T any](list []T, compare func(a, b T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}

// referenced holds what is named to what is there.
func (w *wireBundle) referenced() bool {
	items := map[string]bool{}
	name := func(log, index uint64) string {
		return strconv.FormatUint(log, 10) + "/" + strconv.FormatUint(index, 10)
	}
	for _, i := range w.Items {
		items[name(i.Log, i.Index)] = true
	}
	below := func(log, n, more uint64) bool { return log < uint64(len(w.Logs)) && n < w.Logs[log].Size+more }
	return every(w.Items, func(i *wireItem) bool { return below(i.Log, i.Index, 0) }) &&
		every(w.Heads, func(h *wireHead) bool { return below(h.Log, h.Index, 0) }) &&
		every(w.Openings, func(o *wireOpening) bool {
			return items[name(o.Log, o.Index)] && (o.Proof == nil || items[name(o.Proof.Log, o.Proof.Index)])
		}) &&
		every(w.Consistency, func(c *wireConsistency) bool { return below(c.Log, c.From, 0) }) &&
		every(w.Stamps, func(s *wireStamp) bool { return below(s.Log, s.Size, 1) }) &&
		(w.Query == nil || below(w.Query.Log, w.Query.Size, 1))
}
