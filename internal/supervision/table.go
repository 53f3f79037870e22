package supervision

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteTable writes the report for a terminal: what it rests on, one line per figure beside its counter-figure, then
// breaches of law and norm apart, stock and exclusions.
func (r *Report) WriteTable(w io.Writer, lang Lang) error {
	out := bufio.NewWriter(w)
	h := &r.Header
	fmt.Fprintf(out, "%s  %s  %s  (%s %s)\n", lang.word("title"), h.Institution, h.Period.Name, lang.word("as_of"), localTime(h.AsOf))
	if h.Simulated {
		fmt.Fprintln(out, lang.word("simulated"))
	}
	for _, l := range h.Logs {
		fmt.Fprintf(out, "%s %s  %s %s  %s %s\n", lang.word("log"), l.Origin, l.Size, lang.word("size"), lang.word("root"), l.Root)
	}
	fmt.Fprintln(out)
	r.figureGrid(lang).write(out)
	fmt.Fprintf(out, "%s\n\n%s\n", lang.word("small"), lang.word("breaches"))
	r.breachGrid(lang).write(out)
	b := r.Binding
	fmt.Fprintf(out, "%s: %s %d, %s %d, %s %d\n\n%s\n", lang.word("binding"), lang.word("law_first"), b.LawFirst,
		lang.word("norm_first"), b.NormFirst, lang.word("same"), b.Same, lang.word("stock"))
	r.stockGrid(lang).write(out)
	x := r.Excluded
	fmt.Fprintf(out, "%s\n\n%s: %s %d, %s %d, %s %d\n%s\n", stockLegend(lang), lang.word("excluded"), lang.word("merged"), x.Merged,
		lang.word("imported"), x.Imported, lang.word("receipt_unknown"), x.ReceiptUnknown, lang.word("caveat"))
	return out.Flush()
}

// grid is a table of texts whose first row is its head.
type grid [][]string

// write pads columns by display width: Chinese characters take two cells.
func (g grid) write(w io.Writer) {
	widths := []int{}
	for _, row := range g {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], cells(c))
		}
	}
	for _, row := range g {
		var line strings.Builder
		for i, c := range row {
			line.WriteString(c)
			line.WriteString(strings.Repeat(" ", widths[i]-cells(c)+2))
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// cells is the display width of a text in a terminal: CJK and full-width forms take two cells.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xffdc && (r <= 0xd7a3 || r >= 0xf900)) {
			n++
		}
	}
	return n
}

func (r *Report) figureGrid(lang Lang) grid {
	g := grid{{lang.word("id"), lang.word("figure"), lang.word("value"), lang.word("counts"), lang.word("undecided"),
		lang.word("target"), lang.word("use"), lang.word("counter"), lang.word("cohort"), lang.word("article")}}
	for i := range r.Figures {
		f := &r.Figures[i]
		d := &f.Definition
		g = append(g, []string{d.ID, d.Name.in(lang), valueText(f, lang), countsText(f.Value), strconv.FormatInt(f.Value.Undecided, 10),
			targetText(f, lang), useText(d.Use, lang), counterText(r, f, lang), cohortText(d.Cohort, lang), d.Article})
	}
	return g
}

func (r *Report) breachGrid(lang Lang) grid {
	g := grid{{lang.word("basis"), lang.word("clock"), lang.word("due"), lang.word("breached"), lang.word("outage_overlap")}}
	for _, b := range r.Breaches {
		g = append(g, []string{basisText(b.Basis, lang), b.Clock, strconv.FormatInt(b.Due, 10),
			strconv.FormatInt(b.Breached, 10), strconv.FormatInt(b.OutageOverlap, 10)})
	}
	return g
}

// stockGrid has a row per age band and a column per level; a cell is open (overdue by law / by norm).
func (r *Report) stockGrid(lang Lang) grid {
	head := []string{lang.word("age")}
	for _, l := range levels() {
		head = append(head, lang.word(l.String()))
	}
	g := grid{head}
	for _, band := range r.Stock.Bands {
		row := []string{band}
		for _, l := range levels() {
			c := r.Stock.cell(l.String(), band)
			row = append(row, fmt.Sprintf("%d (%d/%d)", c.Open, c.OverdueLaw, c.OverdueNorm))
		}
		g = append(g, row)
	}
	return g
}

// stockLegend says what the three numbers of a stock cell are.
func stockLegend(lang Lang) string {
	return lang.word("open") + " (" + lang.word("overdue_law") + " / " + lang.word("overdue_norm") + ")"
}

func (s *Stock) cell(level, band string) StockRow {
	for _, r := range s.Rows {
		if r.Level == level && r.Band == band {
			return r
		}
	}
	return StockRow{Level: level, Band: band}
}

// WriteCSV writes one line per number: figure, dimension, key, then numerator, denominator, undecided and basis points, or
// a detail's value and unit. In Chinese it starts with a byte-order mark, without which spreadsheets misread the names.
// Texts that a spreadsheet would run as a formula are prefixed with an apostrophe.
func (r *Report) WriteCSV(w io.Writer, lang Lang) error {
	if lang == ZH {
		if _, err := io.WriteString(w, "\ufeff"); err != nil {
			return fmt.Errorf("writing CSV: %w", err)
		}
	}
	out := csv.NewWriter(w)
	put := func(cols ...string) {
		for i, c := range cols {
			if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
				cols[i] = "'" + c
			}
		}
		_ = out.Write(cols) // sticks in out.Error
	}
	put("period", "figure", "name", "use", "counter", "dimension", "key", "numerator", "denominator", "undecided", "bp", "value", "unit")
	for i := range r.Figures {
		f := &r.Figures[i]
		d := &f.Definition
		lead := []string{r.Header.Period.Name, d.ID, d.Name.in(lang), string(d.Use), d.Counter}
		rows := func(dimension string, list []Row) {
			for _, row := range list {
				put(append(append(lead[:5:5], dimension, row.Key), ratioColumns(row.Value)...)...)
			}
		}
		rows("total", []Row{{Value: f.Value}})
		rows("level", f.ByLevel)
		rows("department", f.ByDepartment)
		rows("week", f.Weeks)
		for _, x := range f.Details {
			put(append(lead[:5:5], x.Name, x.Key, "", "", "", "", strconv.FormatInt(x.Value, 10), x.Unit)...)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

func ratioColumns(v Ratio) []string {
	bp := ""
	if v.BasisPoints != nil {
		bp = strconv.FormatInt(*v.BasisPoints, 10)
	}
	return []string{strconv.FormatInt(v.Numerator, 10), strconv.FormatInt(v.Denominator, 10), strconv.FormatInt(v.Undecided, 10), bp, "", ""}
}
