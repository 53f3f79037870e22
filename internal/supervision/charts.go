package supervision

import (
	"fmt"
	"strings"
)

// Chart is one picture of a report: self-contained SVG without script, style sheet or outside resource.
type Chart struct {
	// Name is stable ("timely", "stock", "denied", "breakglass"), Title a heading in the language asked for.
	Name, Title, SVG string
}

// Charts draws the report: weekly timeliness with target lines, stock by age and level, accesses with the denial rate, and
// break-glass by week. The same report and language give the same bytes.
func (r *Report) Charts(lang Lang) []Chart {
	return []Chart{
		{"timely", lang.word("chart_timely"), r.timelyChart(lang)},
		{"stock", lang.word("chart_stock"), r.stockChart(lang)},
		{"denied", lang.word("chart_denied"), r.deniedChart(lang)},
		{"breakglass", lang.word("chart_breakglass"), r.breakGlassChart(lang)},
	}
}

// byMeasure finds the figures of a measure.
func (r *Report) byMeasure(name string) []*Figure {
	var out []*Figure
	for i := range r.Figures {
		if r.Figures[i].Definition.Measure == name {
			out = append(out, &r.Figures[i])
		}
	}
	return out
}

// timelyChart draws small multiples, two to a row: one figure each, so that lines never cross and each has its own target.
func (r *Report) timelyChart(lang Lang) string {
	const w, h, perRow = 440, 170, 2
	figures := r.byMeasure("timely")
	rows := (len(figures) + perRow - 1) / perRow
	d := newDrawing("timely", lang.word("chart_timely"), r.describe(figures, lang), w*perRow, h*rows)
	for i, f := range figures {
		d.smallMultiple(f, lang, point{x: i % perRow * w, y: i / perRow * h})
	}
	return d.done()
}

// describe says in words what a chart of figures shows.
func (r *Report) describe(figures []*Figure, lang Lang) string {
	var parts []string
	for _, f := range figures {
		parts = append(parts, f.Definition.ID+" "+f.Definition.Name.in(lang)+" "+valueText(f, lang)+" ("+countsText(f.Value)+")")
	}
	return strings.Join(parts, "; ")
}

// smallMultiple draws one figure in a frame of 440 by 170 at the given corner. A week without cases breaks the line: a gap
// is not a zero.
func (d *drawing) smallMultiple(f *Figure, lang Lang, at point) {
	const left, top, width, height = 46, 40, 300, 90
	x0, y0 := at.x+left, at.y+top
	y := func(bp int64) int { return y0 + height - int(bp)*height/10000 }
	d.bold(at.x+8, at.y+16, f.Definition.ID+" "+f.Definition.Name.in(lang))
	d.text(at.x+8, at.y+31, start, valueText(f, lang)+" · "+countsText(f.Value)+" · "+lang.word("undecided")+" "+i64(f.Value.Undecided))
	for _, bp := range []int64{0, 5000, 10000} {
		d.line(x0, y(bp), x0+width, y(bp), inkFaint, "")
		d.text(x0-6, y(bp)+4, end, i64(bp/100)+" %")
	}
	if t := f.Definition.TargetBP; t != nil {
		d.line(x0, y(*t), x0+width, y(*t), inkAlert, ` stroke-dasharray="5 3"`)
		d.text(x0+width+4, y(*t)+4, start, lang.word("target")+" "+i64(*t/100)+" %")
	}
	step := width / max(len(f.Weeks), 1)
	every := (len(f.Weeks) + 5) / 6
	var run []point
	for i, w := range f.Weeks {
		x := x0 + step/2 + i*step
		if i%every == 0 {
			d.text(x, y0+height+16, middle, shortWeek(w.Key))
		}
		if w.Value.BasisPoints == nil {
			d.path(run, inkLine)
			run = nil
			continue
		}
		run = append(run, point{x, y(*w.Value.BasisPoints)})
	}
	d.path(run, inkLine)
	for i, w := range f.Weeks {
		if bp := w.Value.BasisPoints; bp != nil {
			d.dot(x0+step/2+i*step, y(*bp), w.Key+": "+percent(*bp)+" ("+countsText(w.Value)+")")
		}
	}
	if f.Value.BasisPoints == nil {
		d.text(x0+width/2, y0+height/2-8, middle, naText(f, lang))
	}
}

// naText says why a figure has no value.
func naText(f *Figure, lang Lang) string {
	if f.Note != "" {
		return lang.word(f.Note)
	}
	return lang.word("na") + " · " + lang.word("no_cases")
}

// shortWeek cuts the year off an ISO week for the axis.
func shortWeek(key string) string {
	if _, w, ok := strings.Cut(key, "-"); ok {
		return w
	}
	return key
}

// shades is the ordered lightness of levels, each with a text colour that is readable on it.
func shades() map[level][2]string {
	return map[level][2]string{
		general: {"#c6dbef", inkText}, serious: {"#6baed6", inkText}, major: {"#08519c", "#ffffff"}, unclassified: {"#e8e8e8", inkText},
	}
}

// stockChart draws a bar per age band, levels side by side in it; each segment holds its number where it fits, and the sum
// with what is overdue stands at its end.
func (r *Report) stockChart(lang Lang) string {
	const left, barW, rowH, top = 70, 440, 34, 44
	bands := r.Stock.Bands
	most := int64(1)
	for _, b := range bands {
		most = max(most, r.Stock.sum(b).Open)
	}
	all := r.Stock.sum("")
	desc := fmt.Sprintf("%s %d, %s %d, %s %d", lang.word("open"), all.Open, lang.word("overdue_law"), all.OverdueLaw, lang.word("overdue_norm"), all.OverdueNorm)
	d := newDrawing("stock", lang.word("chart_stock"), desc, 880, top+rowH*len(bands)+30)
	x := left
	for _, l := range levels() {
		d.rect(x, 10, 14, 14, shades()[l][0], ` stroke="`+inkAxis+`"`, lang.word(l.String()))
		d.text(x+20, 21, start, lang.word(l.String()))
		x += 40 + 8*cells(lang.word(l.String()))
	}
	for i, band := range bands {
		y := top + i*rowH
		d.text(left-8, y+17, end, band)
		x := left
		for _, l := range levels() {
			c := r.Stock.cell(l.String(), band)
			w := int(c.Open * barW / most)
			if c.Open == 0 {
				continue
			}
			d.rect(x, y, w, 24, shades()[l][0], ` stroke="`+inkAxis+`"`, lang.word(l.String())+" "+band+": "+i64(c.Open))
			if w >= 8+7*len(i64(c.Open)) {
				d.styled(x+w/2, y+16, middle, ` fill="`+shades()[l][1]+`"`, i64(c.Open))
			}
			x += w
		}
		sum := r.Stock.sum(band)
		d.text(x+8, y+16, start, fmt.Sprintf("%d (%s %d · %s %d)", sum.Open, lang.word("overdue_law"), sum.OverdueLaw, lang.word("overdue_norm"), sum.OverdueNorm))
	}
	d.text(left, top+rowH*len(bands)+16, start, lang.word("age"))
	return d.done()
}

// sum adds the levels of one band, or of all for "".
func (s *Stock) sum(band string) StockRow {
	var out StockRow
	for _, r := range s.Rows {
		if band == "" || r.Band == band {
			out.Open += r.Open
			out.OverdueLaw += r.OverdueLaw
			out.OverdueNorm += r.OverdueNorm
		}
	}
	return out
}

// deniedChart draws volume as columns (left axis) and the denial rate as a line (right axis), both axes labelled.
func (r *Report) deniedChart(lang Lang) string {
	const left, top, width, height = 60, 50, 700, 150
	figures := r.byMeasure("denied")
	d := newDrawing("denied", lang.word("chart_denied"), r.describe(figures, lang), 880, top+height+40)
	if len(figures) == 0 || len(figures[0].Weeks) == 0 {
		return d.done()
	}
	f := figures[0]
	most, highest := int64(1), int64(1)
	for _, w := range f.Weeks {
		most = max(most, w.Value.Denominator)
		if bp := w.Value.BasisPoints; bp != nil {
			highest = max(highest, *bp)
		}
	}
	top100 := min((highest/1000+1)*1000, 10000) // right axis up to the next full 10 %
	d.rect(left, 12, 14, 14, inkBar, "", lang.word("accesses"))
	d.text(left+20, 23, start, lang.word("accesses"))
	d.line(left+140, 19, left+170, 19, inkLine, ` stroke-width="2"`)
	d.dot(left+155, 19, lang.word("denial_rate"))
	d.text(left+178, 23, start, lang.word("denial_rate"))
	for _, part := range []int64{0, 1, 2} {
		y := top + height - int(part)*height/2
		d.line(left, y, left+width, y, inkFaint, "")
		d.text(left-6, y+4, end, i64(most*part/2))
		d.text(left+width+6, y+4, start, percent(top100*part/2))
	}
	step := width / len(f.Weeks)
	var run []point
	for i, w := range f.Weeks {
		x, bar := left+i*step, int(w.Value.Denominator*height/most)
		d.rect(x+step/6, top+height-bar, step*2/3, bar, inkBar, "", w.Key+": "+i64(w.Value.Denominator))
		if i%((len(f.Weeks)+11)/12) == 0 {
			d.text(x+step/2, top+height+16, middle, shortWeek(w.Key))
		}
		if bp := w.Value.BasisPoints; bp != nil {
			run = append(run, point{x + step/2, top + height - int(*bp*height/top100)})
		} else {
			d.path(run, inkLine)
			run = nil
		}
	}
	d.path(run, inkLine)
	for i, w := range f.Weeks {
		if bp := w.Value.BasisPoints; bp != nil {
			d.dot(left+i*step+step/2, top+height-int(*bp*height/top100), w.Key+": "+percent(*bp)+" ("+countsText(w.Value)+")")
		}
	}
	return d.done()
}

// breakGlassChart draws a column per week: reviewed plain, not reviewed by another hatched, each with its number.
func (r *Report) breakGlassChart(lang Lang) string {
	const left, top, width, height = 60, 50, 700, 110
	figures := r.byMeasure("breakglass_review")
	d := newDrawing("breakglass", lang.word("chart_breakglass"), r.describe(figures, lang), 880, top+height+40)
	d.raw(`<defs><pattern id="breakglass-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">`,
		`<rect width="6" height="6" fill="#ffffff"/><line x1="0" y1="0" x2="0" y2="6" stroke="`, inkAlert, `" stroke-width="3"/></pattern></defs>`)
	d.rect(left, 12, 14, 14, inkBar, "", lang.word("reviewed"))
	d.text(left+20, 23, start, lang.word("reviewed"))
	d.rect(left+140, 12, 14, 14, "url(#breakglass-hatch)", ` stroke="`+inkAlert+`"`, lang.word("unreviewed"))
	d.text(left+160, 23, start, lang.word("unreviewed"))
	if len(figures) == 0 {
		return d.done()
	}
	opened, unreviewed, most := figures[0].byWeek("opened_in_week"), figures[0].byWeek("unreviewed_in_week"), int64(1)
	for _, x := range opened {
		most = max(most, x.Value)
	}
	d.line(left, top+height, left+width, top+height, inkAxis, "")
	step := width / max(len(opened), 1)
	for i, o := range opened {
		x, u := left+i*step+step/4, unreviewed[i].Value
		all, bad := int(o.Value)*height/int(most), int(u)*height/int(most)
		if o.Value > u {
			d.rect(x, top+height-all, step/2, all-bad, inkBar, "", o.Key+": "+lang.word("reviewed")+" "+i64(o.Value-u))
		}
		if u > 0 {
			d.rect(x, top+height-bad, step/2, bad, "url(#breakglass-hatch)", ` stroke="`+inkAlert+`"`, o.Key+": "+lang.word("unreviewed")+" "+i64(u))
		}
		if o.Value > 0 {
			d.text(x+step/4, top+height-all-5, middle, i64(o.Value)+" ("+i64(u)+")")
		}
		if i%((len(opened)+11)/12) == 0 {
			d.text(x+step/4, top+height+16, middle, shortWeek(o.Key))
		}
	}
	return d.done()
}

// byWeek lists a detail by its key, ascending as the report holds it.
func (f *Figure) byWeek(name string) []Detail {
	var out []Detail
	for _, d := range f.Details {
		if d.Name == name {
			out = append(out, d)
		}
	}
	return out
}
