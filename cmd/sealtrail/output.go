package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"

	"golang.org/x/text/width"
)

// show writes an answer: as it came with json, one line with jsonl, or by table.
func (s *session) show(a *answer, table func(w io.Writer) error) error {
	switch s.format {
	case "json":
		var buf bytes.Buffer
		if err := json.Indent(&buf, a.body, "", "  "); err != nil {
			return fmt.Errorf("reading the server's answer: %w", err)
		}
		_, err := fmt.Fprintln(s.out, strings.TrimSpace(buf.String()))
		return err
	case "jsonl":
		return s.lines(a)
	}
	var text bytes.Buffer
	if err := table(&text); err != nil {
		return err
	}
	_, err := io.WriteString(s.out, aligned(text.String()))
	return err
}

// aligned sets tab-separated cells in columns, two blanks apart. A form feed at
// the start of a line begins columns of their own; a line without tabs and a
// row's last cell widen no column. Chinese characters count as two.
func aligned(text string) string {
	var b strings.Builder
	for block := range strings.SplitSeq(text, "\f") {
		var widths []int
		for line := range strings.Lines(block) {
			cells := strings.Split(line, "\t")
			for i, cell := range cells[:len(cells)-1] {
				if i == len(widths) {
					widths = append(widths, 0)
				}
				widths[i] = max(widths[i], columns(cell))
			}
		}
		for line := range strings.Lines(block) {
			cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			row := ""
			for i, cell := range cells {
				row += cell
				if i < len(cells)-1 {
					row += strings.Repeat(" ", widths[i]-columns(cell)+2)
				}
			}
			b.WriteString(strings.TrimRight(row, " ") + "\n")
		}
	}
	return b.String()
}

// columns is how wide a terminal shows a text.
func columns(text string) int {
	n := 0
	for _, r := range text {
		n++
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			n++
		}
	}
	return n
}

// toTheSecond cuts the fraction off a time for a table.
func toTheSecond(at string) string {
	whole, _, cut := strings.Cut(at, ".")
	if !cut || !strings.HasSuffix(at, "Z") {
		return at
	}
	return whole + "Z"
}

// lines writes one line per item of a page, or one for the answer.
func (s *session) lines(a *answer) error {
	var page struct {
		Items []json.RawMessage `json:"items"`
	}
	items := []json.RawMessage{a.body}
	if err := json.Unmarshal(a.body, &page); err == nil && page.Items != nil {
		items = page.Items
	}
	for _, item := range items {
		var buf bytes.Buffer
		if err := json.Compact(&buf, item); err != nil {
			return fmt.Errorf("reading the server's answer: %w", err)
		}
		if _, err := fmt.Fprintln(s.out, buf.String()); err != nil {
			return err
		}
	}
	return nil
}

// table returns a table of an answer's own scalar members, for small objects.
func (s *session) members(a *answer) func(io.Writer) error {
	return func(w io.Writer) error {
		var m map[string]any
		if err := a.into(&m); err != nil {
			return err
		}
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			if v := scalar(m[k]); v != "" {
				fmt.Fprintf(w, "%s\t%s\n", k, v)
			}
		}
		return nil
	}
}

// scalar renders a value for a table; what has structure is left to JSON, but
// for the audit entry and lists of words.
func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case map[string]any:
		if entry, ok := v["entry"].(string); ok {
			return entry
		}
		return ""
	case []any:
		words := make([]string, 0, len(v))
		for _, e := range v {
			if w, ok := e.(string); ok {
				words = append(words, w)
			}
		}
		return strings.Join(words, ", ")
	default:
		return fmt.Sprint(v)
	}
}
