package supervision

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

//go:embed page.tmpl
var pageText string

// pageData is what the page template reads.
type pageData struct {
	*Report
	Lang      Lang
	HTMLLang  string
	Charts    []pageChart
	Recompute string
	Breach    grid
	StockAge  grid
}

type pageChart struct {
	Title string
	SVG   template.HTML
}

// WriteHTML writes the report as one self-contained page: no script, no outside resource, charts drawn as SVG, every
// figure beside its counter-figure and with the digests to recompute it.
func (r *Report) WriteHTML(w io.Writer, lang Lang) error {
	page, err := template.New("page").Funcs(lang.pageFuncs(r)).Parse(pageText)
	if err != nil {
		return fmt.Errorf("writing page: %w", err)
	}
	data := pageData{
		Report: r, Lang: lang, HTMLLang: "en", Recompute: fmt.Sprintf(lang.word("recompute"), r.Header.Period.Name),
		Breach: r.breachGrid(lang), StockAge: r.stockGrid(lang),
	}
	if lang == ZH {
		data.HTMLLang = "zh-CN"
	}
	for _, c := range r.Charts(lang) {
		data.Charts = append(data.Charts, pageChart{Title: c.Title, SVG: template.HTML(c.SVG)}) //nolint:gosec // drawing escapes every text
	}
	if err := page.Execute(w, data); err != nil {
		return fmt.Errorf("writing page: %w", err)
	}
	return nil
}

// pageFuncs are the words and value spellings the template uses.
func (lang Lang) pageFuncs(r *Report) template.FuncMap {
	return template.FuncMap{
		"word":    lang.word,
		"detail":  lang.detail,
		"unit":    lang.unit,
		"local":   localTime,
		"legend":  func() string { return stockLegend(lang) },
		"in":      func(t Text) string { return t.in(lang) },
		"value":   func(f Figure) string { return valueText(&f, lang) },
		"counts":  countsText,
		"target":  func(f Figure) string { return targetText(&f, lang) },
		"use":     func(u Use) string { return useText(u, lang) },
		"counter": func(f Figure) string { return counterText(r, &f, lang) },
		"cohort":  func(c string) string { return cohortText(c, lang) },
		"bp": func(v Ratio) string {
			if v.BasisPoints == nil {
				return lang.word("na")
			}
			return percent(*v.BasisPoints)
		},
	}
}
