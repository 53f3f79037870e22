package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
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
	w := tabwriter.NewWriter(s.out, 0, 4, 2, ' ', 0)
	if err := table(w); err != nil {
		return err
	}
	return w.Flush()
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
