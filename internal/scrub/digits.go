package scrub

import (
	"slices"
	"strings"
	"time"
)

// digitRun is digits in groups, with one separator between two groups.
type digitRun struct {
	f      folded
	groups []group
}

// group is a block of digits, runes [from, to) of the folded text.
type group struct{ from, to int }

// isJoiner: the separators inside one number of a kind we classify.
func isJoiner(r rune) bool { return r == ' ' || r == '-' }

// isLooseJoiner: what may stand inside any number, amounts and dates too.
func isLooseJoiner(r rune) bool { return strings.ContainsRune(" -.,/_", r) && r != 0 }

func digitRuns(f folded, joins func(rune) bool) []digitRun {
	var runs []digitRun
	for i := 0; i < len(f.r); {
		if !isDigit(f.r[i]) {
			i++
			continue
		}
		run := digitRun{f: f}
		for {
			from := i
			for isDigit(f.at(i)) {
				i++
			}
			run.groups = append(run.groups, group{from, i})
			if !joins(f.at(i)) || !isDigit(f.at(i+1)) {
				break
			}
			i++
		}
		runs = append(runs, run)
	}
	return runs
}

func (d digitRun) count(i, j int) int {
	n := 0
	for _, g := range d.groups[i:j] {
		n += g.to - g.from
	}
	return n
}

func (d digitRun) digits(i, j int) []byte {
	out := make([]byte, 0, 24)
	for _, g := range d.groups[i:j] {
		for _, r := range d.f.r[g.from:g.to] {
			out = append(out, byte(r))
		}
	}
	return out
}

func (d digitRun) span(i, j int, kind string) Span {
	return Span{d.f.off[d.groups[i].from], d.f.end[d.groups[j-1].to-1], kind}
}

// layout is the sizes of groups i to j.
func (d digitRun) layout(i, j int) []int {
	sizes := make([]int, 0, 8)
	for _, g := range d.groups[i:j] {
		sizes = append(sizes, g.to-g.from)
	}
	return sizes
}

// maxDigits bounds what one number can be: a card has 19, an identity number
// 18, and +86 adds four to a telephone number.
const maxDigits = 19

// classify finds the kinds in one run. From each group on it tries the longest
// stretch of groups first and goes on behind a find.
func (d digitRun) classify() []Span {
	var spans []Span
	for i := 0; i < len(d.groups); {
		next := i + 1
		for j := min(len(d.groups), i+6); j > i; j-- {
			if d.count(i, j) > maxDigits {
				continue
			}
			if s, ok := d.identify(i, j); ok {
				spans = append(spans, s)
				next = j
				break
			}
		}
		i = next
	}
	return spans
}

func (d digitRun) identify(i, j int) (Span, bool) {
	last := d.groups[j-1]
	digits, sizes := d.digits(i, j), d.layout(i, j)
	after := d.f.at(last.to)
	if len(digits) == 17 && after == 'x' && !isWord(d.f.at(last.to+1)) && idLayout(sizes, 17) && ValidID(string(digits)+"X") {
		s := d.span(i, j, KindID)
		s.End = d.f.end[last.to]
		return s, true
	}
	if isLetter(after) || after == '.' && isDigit(d.f.at(last.to+1)) {
		return Span{}, false
	}
	switch {
	case len(digits) == 18 && idLayout(sizes, 18) && ValidID(string(digits)):
		return d.span(i, j, KindID), true
	case !d.startsWord(i):
		return Span{}, false
	case cardLayout(sizes) && ValidCard(string(digits)):
		return d.span(i, j, KindCard), true
	case isPhone(digits, sizes):
		s := d.span(i, j, KindPhone)
		if d.f.at(d.groups[i].from-1) == '+' {
			s.Start = d.f.off[d.groups[i].from-1]
		}
		return s, true
	}
	return Span{}, false
}

// startsWord refuses a number glued to letters ("TS2025..."), unless the
// letters announce a number.
func (d digitRun) startsWord(i int) bool {
	end := d.groups[i].from
	start := end
	for start > 0 && isLetter(d.f.r[start-1]) {
		start--
	}
	if start == end {
		return true
	}
	return slices.Contains([]string{"tel", "phone", "mobile", "mob", "call", "card", "no", "wechat", "wx", "vx"}, string(d.f.r[start:end]))
}

func idLayout(sizes []int, n int) bool {
	tail := n - 14
	return slices.Equal(sizes, []int{n}) || slices.Equal(sizes, []int{6, 8, tail}) ||
		slices.Equal(sizes, []int{6, 4, 4, tail}) || slices.Equal(sizes, []int{3, 3, 4, 4, tail}) ||
		slices.Equal(sizes, []int{6, 6, n - 12})
}

// cardLayout: one block, blocks of four with a shorter last one, 6 and the
// rest, or 4-6-5.
func cardLayout(sizes []int) bool {
	if len(sizes) == 1 || len(sizes) == 2 && sizes[0] == 6 || slices.Equal(sizes, []int{4, 6, 5}) {
		return true
	}
	for _, n := range sizes[:len(sizes)-1] {
		if n != 4 {
			return false
		}
	}
	return sizes[len(sizes)-1] <= 4
}

// ValidID reports whether s is a resident identity number of 18 characters: a
// region that exists, a date and the check character of GB 11643.
func ValidID(s string) bool {
	if len(s) != 18 {
		return false
	}
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		sum += w * int(s[i]-'0')
	}
	if s[17] != "10X98765432"[sum%11] && (s[17] != 'x' || sum%11 != 2) {
		return false
	}
	if !strings.Contains(" 11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83 91 ", " "+s[:2]+" ") {
		return false
	}
	born, err := time.Parse("20060102", s[6:14])
	return err == nil && born.Year() >= 1900 && born.Year() < 2100
}

// ValidCard reports whether s, digits only, passes Luhn and starts like a card
// of an issuer: UnionPay 62 (16 to 19 digits), Visa 4 (16 or 19), Mastercard
// 51-55 and 2221-2720 (16), American Express 34 and 37 (15), JCB 3528-3589
// (16), and 9558, an older prefix of a Chinese bank (19).
func ValidCard(s string) bool {
	return plausibleIssuer(s) && Luhn(s)
}

func plausibleIssuer(s string) bool {
	if len(s) < 15 || len(s) > 19 {
		return false
	}
	four := s[:4]
	switch {
	case s[:2] == "62":
		return len(s) >= 16
	case s[0] == '4':
		return len(s) == 16 || len(s) == 19
	case s[:2] >= "51" && s[:2] <= "55", four >= "2221" && four <= "2720", four >= "3528" && four <= "3589":
		return len(s) == 16
	case s[:2] == "34", s[:2] == "37":
		return len(s) == 15
	}
	return four == "9558" && len(s) == 19
}

// Luhn reports whether a string of digits passes the check of ISO/IEC 7812.
func Luhn(s string) bool {
	sum := 0
	for i := range len(s) {
		c := s[len(s)-1-i]
		if c < '0' || c > '9' {
			return false
		}
		n := int(c - '0')
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return len(s) > 0 && sum%10 == 0
}

// isPhone: mobile numbers 13 to 19 in the groups people write, landlines with
// an area code, both with or without 86.
func isPhone(digits []byte, sizes []int) bool {
	s := string(digits)
	if rest, ok := strings.CutPrefix(s, "0086"); ok && len(rest) == 11 {
		return mobile(rest)
	}
	if rest, ok := strings.CutPrefix(s, "86"); ok && len(rest) == 11 {
		return mobile(rest)
	}
	if len(s) == 11 && mobile(s) {
		return slices.Equal(sizes, []int{11}) || slices.Equal(sizes, []int{3, 4, 4}) || slices.Equal(sizes, []int{3, 8}) ||
			slices.Equal(sizes, []int{7, 4}) || slices.Equal(sizes, []int{3, 3, 5}) || slices.Equal(sizes, []int{4, 3, 4})
	}
	return landline(s, sizes)
}

func mobile(s string) bool { return s[0] == '1' && s[1] >= '3' && s[1] <= '9' }

// landline: 010 and 02x have three digits and eight behind, other areas four
// and seven or eight behind.
func landline(s string, sizes []int) bool {
	if len(s) < 11 || len(s) > 12 || s[0] != '0' || s[1] == '0' || len(sizes) > 3 {
		return false
	}
	area := 4
	if s[1] == '1' || s[1] == '2' {
		area = 3
	}
	if s[1] == '1' && s[2] != '0' || len(s) == 12 && area == 3 {
		return false
	}
	return len(sizes) == 1 || sizes[0] == area
}
