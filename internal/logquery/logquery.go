// Package logquery reads what a person types to search the log: key:value
// words, in English or Chinese, and nothing else.
//
// The one idea: a query is a list of conditions that all hold, each with one or
// more values of which one suffices. What cannot be understood is refused by
// position and key, never by repeating a value: values may name people.
//
// The package must never know the log, a person or a record; it knows words.
package logquery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The keys of conditions.
const (
	Actor    = "actor"
	Action   = "action"
	Decision = "decision"
	Field    = "field"
	Purpose  = "purpose"
	Rule     = "rule"
	Article  = "article"
	Subject  = "subject"
	Request  = "request"
	Stage    = "stage"
	Reason   = "reason"
	Role     = "role"
	since    = "since"
	until    = "until"
)

// Limits of a query.
const (
	MaxLength     = 1000 // bytes
	MaxConditions = 20
	maxValues     = 20 // of one condition
)

// Condition holds for an entry that has one of Values under Key; Not turns it
// round.
type Condition struct {
	Key    string
	Values []string
	Not    bool
}

// Query is what is asked for. Since and Until are zero where open; Until is
// exclusive.
type Query struct {
	Conditions   []Condition
	Since, Until time.Time
}

// Codes of an Error.
const (
	CodeTooLong       = "too_long"
	CodeMissingKey    = "missing_key"     // a word without key:
	CodeUnknownKey    = "unknown_key"     // a key that is none of ours
	CodeEmptyValue    = "empty_value"     // key: and nothing behind it
	CodeUnclosedQuote = "unclosed_quote"  // a quote that does not end
	CodeMalformed     = "malformed"       // a time that is none
	CodeTwice         = "duplicate_key"   // since or until twice, or negated
	CodeUnknownValue  = "unknown_value"   // a value that the key cannot have
	CodeTooMany       = "too_many_values" // conditions or values
)

// Error says what is wrong with a query: Position counts words from 1, Key is
// one of ours or empty. It never holds what was typed.
type Error struct {
	Code     string
	Position int
	Key      string
}

func (e *Error) Error() string {
	return fmt.Sprintf("query: word %d: %s %s", e.Position, e.Key, e.Code)
}

// names are the spellings of the keys.
func names() map[string]string {
	return map[string]string{
		"actor": Actor, "操作人": Actor, "action": Action, "kind": Action, "动作": Action, "decision": Decision, "决定": Decision,
		"field": Field, "字段": Field, "purpose": Purpose, "目的": Purpose, "用途": Purpose, "rule": Rule, "规则": Rule, "article": Article, "条款": Article,
		"subject": Subject, "对象": Subject, "request": Request, "请求": Request, "stage": Stage, "阶段": Stage, "reason": Reason, "原因": Reason,
		"role": Role, "岗位": Role, "since": since, "自": since, "until": until, "至": until,
	}
}

// words are values that have a Chinese spelling here.
func words(key, value string) string {
	switch key + ":" + strings.ToLower(value) {
	case "decision:允许", "decision:放行", "decision:allowed":
		return "allow"
	case "decision:拒绝", "decision:denied":
		return "deny"
	case "stage:意图":
		return "intent"
	case "stage:结果":
		return "outcome"
	case "stage:事件":
		return "event"
	}
	return value
}

// Keys lists the keys of the conditions, and since and until where set, sorted
// and once each: what may stand clear in an entry about the query.
func (q Query) Keys() []string {
	var keys []string
	for _, c := range q.Conditions {
		keys = append(keys, c.Key)
	}
	if !q.Since.IsZero() {
		keys = append(keys, since)
	}
	if !q.Until.IsZero() {
		keys = append(keys, until)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Personal reports whether the query may name somebody or something: then its
// text belongs in a body, never in an address.
func (q Query) Personal() bool {
	return slices.ContainsFunc(q.Conditions, func(c Condition) bool { return c.Key == Actor || c.Key == Subject || c.Key == Request })
}

// Parse reads a query. Relative times count back from now. The error is an
// *Error.
//
//	actor:han action:reveal decision:deny -purpose:audit since:7d
//	操作人:han 决定:拒绝 字段:phone,id_number 自:2026-11-01
func Parse(text string, now time.Time) (Query, error) {
	var q Query
	if len(text) > MaxLength || !utf8.ValidString(text) {
		return q, &Error{Code: CodeTooLong}
	}
	known := names()
	list, err := split(text)
	if err != nil {
		return q, err
	}
	for i, word := range list {
		if err := q.word(word, known, now); err != nil {
			e := &Error{Code: CodeMalformed}
			errors.As(err, &e)
			e.Position = i + 1
			return Query{}, e
		}
	}
	if len(q.Conditions) > MaxConditions {
		return Query{}, &Error{Code: CodeTooMany, Position: len(list)}
	}
	if !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return Query{}, &Error{Code: CodeMalformed, Position: len(list), Key: until}
	}
	return q, nil
}

// word reads one condition.
func (q *Query) word(word string, known map[string]string, now time.Time) error {
	word, not := strings.CutPrefix(word, "-")
	at := strings.IndexAny(word, ":\uff1a")
	if at < 0 || strings.HasPrefix(word, `"`) {
		return &Error{Code: CodeMissingKey}
	}
	key, ok := known[strings.ToLower(word[:at])]
	if !ok {
		return &Error{Code: CodeUnknownKey}
	}
	_, width := utf8.DecodeRuneInString(word[at:])
	values, err := valuesOf(key, word[at+width:])
	if err != nil {
		return err
	}
	if key == since || key == until {
		return q.span(key, values, not, now)
	}
	q.Conditions = append(q.Conditions, Condition{Key: key, Values: values, Not: not})
	return nil
}

// valuesOf splits at commas outside of quotes.
func valuesOf(key, text string) ([]string, error) {
	var values []string
	var b strings.Builder
	quoted := false
	end := func() error {
		v := words(key, b.String())
		b.Reset()
		switch {
		case strings.TrimSpace(v) == "":
			return &Error{Code: CodeEmptyValue, Key: key}
		case strings.IndexFunc(v, unicode.IsControl) >= 0:
			return &Error{Code: CodeUnknownValue, Key: key}
		case key == Decision && v != "allow" && v != "deny", key == Stage && v != "intent" && v != "outcome" && v != "event":
			return &Error{Code: CodeUnknownValue, Key: key}
		}
		values = append(values, v)
		return nil
	}
	for _, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case !quoted && (r == ',' || r == '\uff0c'):
			if err := end(); err != nil {
				return nil, err
			}
		default:
			b.WriteRune(r)
		}
	}
	if err := end(); err != nil {
		return nil, err
	}
	if len(values) > maxValues {
		return nil, &Error{Code: CodeTooMany, Key: key}
	}
	return values, nil
}

// split cuts at spaces outside of quotes.
func split(text string) ([]string, error) {
	var list []string
	var b strings.Builder
	quoted := false
	for _, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
			b.WriteRune(r)
		case unicode.IsSpace(r) && !quoted:
			if b.Len() > 0 {
				list = append(list, b.String())
				b.Reset()
			}
		default:
			b.WriteRune(r)
		}
	}
	if quoted {
		return nil, &Error{Code: CodeUnclosedQuote, Position: len(list) + 1}
	}
	if b.Len() > 0 {
		list = append(list, b.String())
	}
	return list, nil
}

// span sets since or until.
func (q *Query) span(key string, values []string, not bool, now time.Time) error {
	place := &q.Since
	if key == until {
		place = &q.Until
	}
	if not || len(values) != 1 || !place.IsZero() {
		return &Error{Code: CodeTwice, Key: key}
	}
	at, ok := moment(values[0], key == until, now)
	if !ok {
		return &Error{Code: CodeMalformed, Key: key}
	}
	*place = at
	return nil
}

// china is the zone in which a date without time is meant: the institutions'
// own, which has had no daylight saving since 1991.
func china() *time.Location { return time.FixedZone("+08:00", 8*3600) }

// moment reads 2026-11-23, 2026-11-23T08:00:00+08:00, 90m, 24h, 7d or 4w. A date
// given as the end means its end.
func moment(v string, end bool, now time.Time) (time.Time, bool) {
	if at, err := time.ParseInLocation(time.DateOnly, v, china()); err == nil {
		if end {
			at = at.AddDate(0, 0, 1)
		}
		return at.UTC(), true
	}
	if at, err := time.Parse(time.RFC3339, v); err == nil && at.Year() >= 2000 && at.Year() < 10000 {
		return at.UTC(), true
	}
	if len(v) < 2 || len(v) > 6 {
		return time.Time{}, false
	}
	n := 0
	for _, r := range v[:len(v)-1] {
		if r < '0' || r > '9' {
			return time.Time{}, false
		}
		n = 10*n + int(r-'0')
	}
	unit := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[v[len(v)-1]]
	if unit == 0 || n == 0 || time.Duration(n)*unit > 30*366*24*time.Hour {
		return time.Time{}, false
	}
	return now.Add(-time.Duration(n) * unit).UTC(), true
}
