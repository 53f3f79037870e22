package pglog

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// Names of the terms that a leaf is found by. A term is "name=value".
const (
	TermActor    = "actor"    // alias
	TermRole     = "role"     // each of the actor's roles
	TermKind     = "kind"     // whole kind
	TermClass    = "class"    // first part of the kind
	TermAct      = "act"      // fact "action"
	TermDecision = "decision" // allow or deny
	TermField    = "field"    // each field
	TermPurpose  = "purpose"
	TermRule     = "rule"
	TermArticle  = "article"
	TermReason   = "reason"
	TermSubject  = "subject"
	TermRequest  = "request"
	TermStage    = "stage"
	TermAbout    = "about" // each alias among the facts: whom the entry is about
	TermDay      = "day"   // of Body.At, UTC: 2026-11-23
	TermMonth    = "month" // 2026-11
	TermYear     = "year"  // 2026
)

// Term puts a name and a value together.
func Term(name, value string) string { return name + "=" + value }

// Terms lists what an entry is found by. It is a function of the body alone, so the index can be made anew and compared.
func Terms(b *audit.Body) []string {
	class, _, _ := strings.Cut(b.Kind, ".")
	at := b.At.UTC()
	day := at.Format(time.DateOnly)
	terms := []string{Term(TermActor, b.Actor.ID), Term(TermKind, b.Kind), Term(TermClass, class), Term(TermSubject, b.Subject),
		Term(TermStage, string(b.Stage)), Term(TermDay, day), Term(TermMonth, day[:7]), Term(TermYear, day[:4])}
	add := func(name, value string) {
		if value != "" {
			terms = append(terms, Term(name, value))
		}
	}
	for _, role := range b.Actor.Roles {
		add(TermRole, role)
	}
	for _, field := range b.Fields {
		add(TermField, field)
	}
	add(TermPurpose, b.Purpose)
	add(TermRequest, b.Request)
	if d := b.Decision; d != nil {
		add(TermDecision, d.Result)
		add(TermRule, d.Rule)
		add(TermArticle, d.Article)
		add(TermReason, d.Reason)
	}
	if action, ok := b.Facts.Text("action"); ok {
		add(TermAct, action)
	}
	for name := range b.Facts {
		if value, ok := b.Facts.Text(name); ok && isAlias(value) {
			add(TermAbout, value)
		}
	}
	return terms
}

// isAlias reports whether a fact looks like an alias.
func isAlias(s string) bool {
	return strings.HasPrefix(s, "a-") && (len(s) == saltlessAlias || len(s) == len("a-")+24)
}

// termID is the number under which the index knows a term. Two terms that shared one would only find too much: hits are
// compared by their own bytes.
func termID(term string) int64 {
	sum := sha256.Sum256([]byte(term))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// blockSize is how many leaves one row of the index speaks of.
const blockSize = 4096

// places are the leaves of one block, one bit each.
type places [blockSize / 64]uint64

func (p *places) set(i uint64) { p[i/64] |= 1 << (i % 64) }

// read adds what a row of audit.posting holds.
func (p *places) read(raw []byte) {
	for ; len(raw) >= 2; raw = raw[2:] {
		p.set(uint64(binary.BigEndian.Uint16(raw)) % blockSize)
	}
}

func (p *places) and(q *places) {
	for i := range p {
		p[i] &= q[i]
	}
}

func (p *places) or(q *places) {
	for i := range p {
		p[i] |= q[i]
	}
}

func (p *places) without(q *places) {
	for i := range p {
		p[i] &^= q[i]
	}
}

// below sets every place under n.
func (p *places) below(n uint64) {
	for i := range min(n, blockSize) {
		p.set(i)
	}
}

// Calendar returns terms one of which every entry of [since, until) has, some entries beside them too: whole years, months and
// days. A zero time is open; nil means that both are, or that more than maxCalendar terms would be needed.
func Calendar(since, until time.Time) []string {
	if since.IsZero() && until.IsZero() {
		return nil
	}
	if since.IsZero() {
		since = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if until.IsZero() {
		until = time.Now().AddDate(0, 0, 2)
	}
	day := since.UTC().Truncate(24 * time.Hour)
	var terms []string
	for day.Before(until) && len(terms) <= maxCalendar {
		month, year := time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC), time.Date(day.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
		switch {
		case day.Equal(year) && !year.AddDate(1, 0, 0).After(until):
			terms, day = append(terms, Term(TermYear, day.Format("2006"))), year.AddDate(1, 0, 0)
		case day.Equal(month) && !month.AddDate(0, 1, 0).After(until):
			terms, day = append(terms, Term(TermMonth, day.Format("2006-01"))), month.AddDate(0, 1, 0)
		default:
			terms, day = append(terms, Term(TermDay, day.Format(time.DateOnly))), day.AddDate(0, 0, 1)
		}
	}
	if len(terms) > maxCalendar {
		return nil
	}
	if len(terms) == 0 {
		terms = []string{Term(TermDay, since.UTC().Format(time.DateOnly))}
	}
	return terms
}

// maxCalendar is the most calendar terms of one search: two months of days, two years of months and thirty years fit.
const maxCalendar = 128
