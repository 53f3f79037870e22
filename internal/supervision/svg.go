package supervision

import (
	"html"
	"strconv"
	"strings"
)

// drawing builds one SVG picture of whole pixels. Every text goes through escape; colours are attributes, not styles, so
// that a picture can stand in a page whose content security policy allows no inline style.
type drawing struct {
	b strings.Builder
}

// ink names the colours. They keep a contrast of 3:1 or more against white (WCAG 2.2, 1.4.11), and none carries a meaning
// that a shape, a number or a word does not carry too.
const (
	inkText  = "#1f2933"
	inkFaint = "#d5dbe1"
	inkAxis  = "#6b7885"
	inkLine  = "#0b5394"
	inkBar   = "#8fb4d9"
	inkAlert = "#a61b1b"
)

func newDrawing(name, title, desc string, w, h int) *drawing {
	d := &drawing{}
	d.raw(`<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 `, n(w), ` `, n(h), `" width="`, n(w), `" height="`, n(h),
		`" aria-labelledby="`, name, `-t `, name, `-d" font-family="system-ui, 'Noto Sans CJK SC', 'WenQuanYi Micro Hei', 'Microsoft YaHei', sans-serif" font-size="11" fill="`, inkText, `">`)
	d.raw(`<title id="`, name, `-t">`, escape(title), `</title><desc id="`, name, `-d">`, escape(desc), `</desc>`)
	return d
}

func (d *drawing) raw(parts ...string) {
	for _, p := range parts {
		d.b.WriteString(p)
	}
}

// anchor is where a text hangs at its x.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

func (d *drawing) text(x, y int, a anchor, s string) { d.styled(x, y, a, "", s) }

func (d *drawing) bold(x, y int, s string) {
	d.styled(x, y, start, ` font-weight="600" font-size="12"`, s)
}

func (d *drawing) styled(x, y int, a anchor, attrs, s string) {
	d.raw(`<text x="`, n(x), `" y="`, n(y), `" text-anchor="`, string(a), `"`, attrs, `>`, escape(s), `</text>`)
}

func (d *drawing) line(x1, y1, x2, y2 int, stroke, attrs string) {
	d.raw(`<line x1="`, n(x1), `" y1="`, n(y1), `" x2="`, n(x2), `" y2="`, n(y2), `" stroke="`, stroke, `"`, attrs, `/>`)
}

// rect draws a bar; tip is its accessible name.
func (d *drawing) rect(x, y, w, h int, fill, attrs, tip string) {
	d.raw(`<rect x="`, n(x), `" y="`, n(y), `" width="`, n(w), `" height="`, n(h), `" fill="`, fill, `"`, attrs, `>`)
	d.raw(`<title>`, escape(tip), `</title></rect>`)
}

func (d *drawing) dot(x, y int, tip string) {
	d.raw(`<circle cx="`, n(x), `" cy="`, n(y), `" r="3" fill="`, inkLine, `"><title>`, escape(tip), `</title></circle>`)
}

func (d *drawing) path(points []point, stroke string) {
	if len(points) < 2 {
		return
	}
	d.raw(`<polyline fill="none" stroke-width="2" stroke="`, stroke, `" points="`)
	for i, p := range points {
		if i > 0 {
			d.raw(" ")
		}
		d.raw(n(p.x), ",", n(p.y))
	}
	d.raw(`"/>`)
}

func (d *drawing) done() string {
	d.raw(`</svg>`)
	return d.b.String()
}

type point struct{ x, y int }

func n(i int) string { return strconv.Itoa(i) }

func i64(i int64) string { return strconv.FormatInt(i, 10) }

func escape(s string) string { return html.EscapeString(s) }
