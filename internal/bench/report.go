package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Line is one figure. Goal, Met and Floor are absent where a figure is only
// reported.
type Line struct {
	Name  string   `json:"name"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Goal  string   `json:"goal,omitempty"`  // "<= 2", ">= 0.75"
	Met   *bool    `json:"met,omitempty"`   // nil without a goal
	Floor *float64 `json:"floor,omitempty"` // what the ratio or difference is taken to, in the unit of the note
	Note  string   `json:"note,omitempty"`
}

// goal is a bound of a figure.
type goal struct {
	most  bool // value must be at most bound, else at least
	bound float64
}

func atMost(bound float64) goal  { return goal{true, bound} }
func atLeast(bound float64) goal { return goal{false, bound} }

func (g goal) met(value float64) bool {
	if g.most {
		return value <= g.bound
	}
	return value >= g.bound
}

func (g goal) String() string {
	sign := ">="
	if g.most {
		sign = "<="
	}
	return sign + " " + number(g.bound)
}

// missed says by how much a goal was missed; empty if it was met.
func (g goal) missed(value float64) string {
	if g.met(value) {
		return ""
	}
	by := value/g.bound - 1
	if g.most {
		return fmt.Sprintf("missed: %.0f %% above the goal", 100*by)
	}
	return fmt.Sprintf("missed: %.0f %% below the goal", -100*by)
}

// report adds a figure without a goal.
func (b *bench) report(name string, value float64, unit, note string) {
	b.lines = append(b.lines, Line{Name: name, Value: round(value), Unit: unit, Note: note})
}

// judge adds a figure with a goal and its floor; the note is led by how far a
// missed goal is away.
func (b *bench) judge(l Line, g goal, floor float64) {
	met := g.met(l.Value)
	if missed := g.missed(l.Value); missed != "" {
		l.Note = strings.TrimSuffix(missed+"; "+l.Note, "; ")
	}
	l.Goal, l.Met = g.String(), &met
	l.Value = round(l.Value)
	if floor != 0 {
		floor = round(floor)
		l.Floor = &floor
	}
	b.lines = append(b.lines, l)
}

// round keeps four digits: more than any of these figures is good for.
func round(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// table prints all figures.
func (b *bench) table() {
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\tfigure\tvalue\tunit\tgoal\tfloor\tnote")
	for _, l := range b.lines {
		mark, floor := "", ""
		if l.Met != nil {
			mark = "✗"
			if *l.Met {
				mark = "✓"
			}
		}
		if l.Floor != nil {
			floor = number(*l.Floor)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", mark, l.Name, number(l.Value), l.Unit, l.Goal, floor, l.Note)
	}
	_ = w.Flush() // a broken pipe: bench.json has it all
}

func writeJSON(path string, lines []Line) error {
	raw, err := json.MarshalIndent(lines, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	if err := os.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	return nil
}
