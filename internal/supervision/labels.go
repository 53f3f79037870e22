package supervision

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Lang is a language of the renderings: ZH or EN. Any other value reads as EN.
type Lang string

// The languages.
const (
	ZH Lang = "zh"
	EN Lang = "en"
)

//go:embed labels.json
var labelsJSON []byte

// labels are the words of renderings. They are no part of the canonical report, so changing one changes no bytes that
// anybody compares.
type labels struct {
	Words   map[string]Text `json:"words"`
	Details map[string]Text `json:"details"`
	Units   map[string]Text `json:"units"`
}

var loadLabels = sync.OnceValue(func() labels {
	var l labels
	if err := json.Unmarshal(labelsJSON, &l); err != nil {
		panic(fmt.Sprintf("supervision: embedded labels.json: %v", err)) // the build is broken; a test reads every label
	}
	return l
})

func (t Text) in(lang Lang) string {
	if lang == ZH {
		return t.ZH
	}
	return t.EN
}

// word translates a label; an unknown one is shown as it is (a role, a reason code, a department).
func (lang Lang) word(key string) string { return find(loadLabels().Words, key, lang) }

func (lang Lang) detail(key string) string { return find(loadLabels().Details, key, lang) }

func (lang Lang) unit(key string) string { return find(loadLabels().Units, key, lang) }

func find(m map[string]Text, key string, lang Lang) string {
	if t, ok := m[key]; ok {
		return t.in(lang)
	}
	return key
}

// smallSample is the number of cases below which renderings mark a value: with fewer than 30 one case moves a rate by more
// than three points.
const smallSample = 30

// valueText writes a figure's value for people: percent with two digits, a rate per case with two digits, or n/a. It never
// rounds again what the report has rounded.
func valueText(f *Figure, lang Lang) string {
	bp := f.Value.BasisPoints
	if bp == nil {
		return lang.word("na")
	}
	s := percent(*bp)
	if f.Definition.Measure == "reveals" {
		s = hundredths((*bp + 50) / 100)
	}
	if f.Value.Denominator < smallSample {
		s += " *"
	}
	return s
}

func percent(bp int64) string { return hundredths(bp) + " %" }

// hundredths writes n/100 with two digits.
func hundredths(n int64) string {
	return strconv.FormatInt(n/100, 10) + "." + fmt.Sprintf("%02d", n%100)
}

// countsText writes numerator and denominator.
func countsText(r Ratio) string {
	return strconv.FormatInt(r.Numerator, 10) + "/" + strconv.FormatInt(r.Denominator, 10)
}

// targetText writes the target and, in a word, whether it is met; colour alone never says it.
func targetText(f *Figure, lang Lang) string {
	t := f.Definition.TargetBP
	if t == nil {
		return "–"
	}
	s := "≥ " + percent(*t)
	if f.Value.BasisPoints == nil {
		return s
	}
	if *f.Value.BasisPoints >= *t {
		return s + " ✓ " + lang.word("met")
	}
	return s + " ✕ " + lang.word("missed")
}

func useText(u Use, lang Lang) string {
	if u == Target {
		return lang.word("use_target")
	}
	return lang.word(string(u))
}

// counterText writes the counter-figure with its value, so that no figure is read alone.
func counterText(r *Report, f *Figure, lang Lang) string {
	c := r.Figure(f.Definition.Counter)
	if c == nil {
		return f.Definition.Counter
	}
	return c.Definition.ID + " " + strings.TrimSuffix(valueText(c, lang), " *")
}

// localTime writes a report's time in the institution's civil time with its offset.
func localTime(s string) string {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return t.In(zone()).Format("2006-01-02 15:04:05 -07:00")
}

func cohortText(c string, lang Lang) string {
	if c == "stock" {
		return lang.word("stock_cohort")
	}
	return lang.word(c)
}

func basisText(b string, lang Lang) string {
	if b == "norm" {
		return lang.word("norm_basis")
	}
	return lang.word(b)
}
