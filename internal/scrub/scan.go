package scrub

import (
	"slices"
	"strings"
)

// Kinds of personal data that Scan finds.
const (
	KindID    = "id_number" // resident identity number with its check digit
	KindCard  = "bank_card" // Luhn and a prefix that issuers use
	KindPhone = "phone"     // mobile and landline numbers of China
	KindEmail = "email"     // ASCII e-mail address
	// KindNumber is any other run of five or more digits; only Redact uses it.
	KindNumber = "number"
)

// Span is one find: bytes [Start, End) of the text that was scanned.
type Span struct {
	Start, End int
	Kind       string
}

// Scan returns the personal data that can be proved in text, in order and
// without overlaps. It takes any string, valid UTF-8 or not.
func Scan(text string) []Span {
	f := fold(text)
	spans := emails(f)
	for _, run := range digitRuns(f, isJoiner) {
		spans = append(spans, run.classify()...)
	}
	return settle(spans)
}

// Redact replaces what Scan finds, and every other run of five or more digits
// with or without separators, by [id], [card], [phone], [email] or [number].
// Each string in known (a name from the same record, say) is replaced by
// [name]; known strings of one rune are left alone, they would tear the text.
func Redact(text string, known ...string) string {
	f := fold(text)
	spans := emails(f)
	for _, run := range digitRuns(f, isJoiner) {
		spans = append(spans, run.classify()...)
	}
	spans = append(spans, named(text, known)...)
	spans = append(spans, longNumbers(f)...)
	return replace(text, settle(spans))
}

// marks are what Redact writes.
func mark(kind string) string {
	switch kind {
	case KindID:
		return "[id]"
	case KindCard:
		return "[card]"
	case KindPhone:
		return "[phone]"
	case KindEmail:
		return "[email]"
	case kindName:
		return "[name]"
	}
	return "[number]"
}

const kindName = "name"

func named(text string, known []string) []Span {
	var spans []Span
	for _, name := range known {
		if len([]rune(name)) < 2 {
			continue
		}
		for at := 0; ; {
			i := strings.Index(text[at:], name)
			if i < 0 {
				break
			}
			spans = append(spans, Span{at + i, at + i + len(name), kindName})
			at += i + len(name)
		}
	}
	return spans
}

// longNumbers finds every run of at least five digits, joined by any single
// separator that people put into numbers. It is generous on purpose: in a
// redacted view a lost amount costs less than a shown account number.
func longNumbers(f folded) []Span {
	const least = 5 // the shortest number that identifies somebody: a staff number
	var spans []Span
	for _, run := range digitRuns(f, isLooseJoiner) {
		if run.count(0, len(run.groups)) >= least {
			spans = append(spans, run.span(0, len(run.groups), KindNumber))
		}
	}
	return spans
}

// settle sorts spans and drops the later of two that overlap; at the same
// start the one named first in the order of finding stays, so a proved find
// beats a mere number. An overlapping tail of a dropped number is kept as a
// span of its own, so that nothing a number covered becomes visible.
func settle(spans []Span) []Span {
	slices.SortStableFunc(spans, func(a, b Span) int {
		if ra, rb := rank(a.Kind), rank(b.Kind); ra != rb {
			return ra - rb
		}
		return a.Start - b.Start
	})
	var kept []Span
	for _, s := range spans {
		kept = place(kept, s)
	}
	slices.SortFunc(kept, func(a, b Span) int { return a.Start - b.Start })
	return kept
}

// place adds the parts of s that no kept span covers.
func place(kept []Span, s Span) []Span {
	parts := []Span{s}
	for _, k := range kept {
		var rest []Span
		for _, p := range parts {
			if k.End <= p.Start || p.End <= k.Start {
				rest = append(rest, p)
				continue
			}
			if s.Kind != KindNumber {
				continue
			}
			if p.Start < k.Start {
				rest = append(rest, Span{p.Start, k.Start, p.Kind})
			}
			if k.End < p.End {
				rest = append(rest, Span{k.End, p.End, p.Kind})
			}
		}
		parts = rest
	}
	return append(kept, parts...)
}

func rank(kind string) int {
	return slices.Index([]string{KindEmail, KindID, KindCard, KindPhone, kindName, KindNumber}, kind)
}

func replace(text string, spans []Span) string {
	var b strings.Builder
	at := 0
	for _, s := range spans {
		b.WriteString(text[at:s.Start])
		if strings.Trim(text[s.Start:s.End], " -.,/_") != "" {
			b.WriteString(mark(s.Kind))
		}
		at = s.End
	}
	b.WriteString(text[at:])
	return b.String()
}

// emails finds ASCII addresses around each @. Unicode letters are not part of
// an address here: in Chinese text the words around it would be swallowed.
func emails(f folded) []Span {
	var spans []Span
	for i, r := range f.r {
		if r != '@' {
			continue
		}
		from, to := i, i+1
		for from > 0 && (isWord(f.r[from-1]) || strings.ContainsRune("._%+-", f.r[from-1])) {
			from--
		}
		for to < len(f.r) && (isWord(f.r[to]) || f.r[to] == '.' || f.r[to] == '-') {
			to++
		}
		for to > i && (f.r[to-1] == '.' || f.r[to-1] == '-') {
			to--
		}
		if from < i && isDomain(f.r[i+1:max(to, i+1)]) {
			spans = append(spans, Span{f.off[from], f.end[to-1], KindEmail})
		}
	}
	return spans
}

// isDomain wants a dot with two letters or more behind the last one.
func isDomain(r []rune) bool {
	dot := slices.Index(r, '.')
	if dot <= 0 {
		return false
	}
	last := len(r) - 1
	for last >= 0 && isLetter(r[last]) {
		last--
	}
	return len(r)-1-last >= 2 && last >= 0 && r[last] == '.'
}
