package complaint

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sealtrail/sealtrail/internal/scrub"
)

// hiddenValue stands for a value of which nothing is shown, its length neither.
const hiddenValue = "***"

// Mask returns what may be shown of value under a profile of the set mask. It
// takes any string and never fails: what a profile cannot read is hidden, and
// so is everything under an unknown profile. An empty value stays empty.
//
//	none      张三丰                → 张三丰
//	name      张三, 欧阳锋           → 张*, 欧阳*
//	id        110108197912011815   → 1****************5
//	card      6216618196816157     → 621661******6157
//	account   0200248011234        → *********1234
//	phone     +86 138 0013 2032    → 138****2032
//	email     zhang@example.com    → z***@example.com
//	address   北京市海淀区中关村大街1号 → 北京市海淀区***
//	date      1979-12-01           → 1970-1979
//	amount    35234.45             → 10000-50000
//	redacted  请回电13592052032      → 请回电[phone]
//	hidden    anything             → ***
//	staff     80012345             → ***45
//
// Redacted text keeps every word that is not a number or an e-mail address:
// names cannot be found by rule.
func Mask(profile, value string) string {
	if value == "" {
		return ""
	}
	switch profile {
	case "none":
		return value
	case "name":
		return maskName(value)
	case "id":
		return maskEnds(value, 1, 1, 8)
	case "card":
		return maskEnds(onlyDigits(value), 6, 4, 13)
	case "account":
		return maskEnds(compact(value), 0, 4, 8)
	case "phone":
		return maskPhone(value)
	case "email":
		return maskEmail(value)
	case "address":
		return maskAddress(value)
	case "date":
		return maskDate(value)
	case "amount":
		return bandRange(AmountBand(value))
	case "redacted":
		return scrub.Redact(value)
	case "staff":
		return maskStaff(value)
	}
	return hiddenValue
}

// compoundSurnames are the surnames of two characters that are met at all
// often; a surname missing here shows one character of a given name less.
const compoundSurnames = " 欧阳 太史 端木 上官 司马 东方 独孤 南宫 万俟 闻人 夏侯 诸葛 尉迟 公羊 赫连 澹台 皇甫 宗政 濮阳 公冶 太叔 申屠 公孙 慕容 仲孙 钟离 长孙 宇文 司徒 鲜于 司空 闾丘 子车 亓官 司寇 令狐 呼延 百里 东郭 南门 西门 第五 拓跋 轩辕 纳兰 "

// maskName keeps the surname. Stars stand for the rest, at most three, so that
// a long name says little about its length. A name in Latin letters keeps its
// first letter.
func maskName(value string) string {
	r := []rune(strings.TrimSpace(value))
	if len(r) < 2 {
		return "*"
	}
	if !unicode.Is(unicode.Han, r[0]) {
		return string(r[:1]) + hiddenValue
	}
	keep := 1
	if len(r) > 2 && strings.Contains(compoundSurnames, " "+string(r[:2])+" ") {
		keep = 2
	}
	return string(r[:keep]) + strings.Repeat("*", min(len(r)-keep, 3))
}

// maskEnds keeps the first and last runes of a value of at least `least`
// runes; a shorter one is hidden.
func maskEnds(value string, first, last, least int) string {
	r := []rune(value)
	if len(r) < least {
		return hiddenValue
	}
	// 19 digits is the longest number; more stars would only show a length.
	stars := min(len(r)-first-last, 19)
	return string(r[:first]) + strings.Repeat("*", stars) + string(r[len(r)-last:])
}

func maskPhone(value string) string {
	digits := onlyDigits(value)
	for _, prefix := range []string{"0086", "86"} {
		if rest, ok := strings.CutPrefix(digits, prefix); ok && len(rest) == 11 {
			digits = rest
		}
	}
	if len(digits) < 10 {
		return hiddenValue
	}
	return digits[:3] + "****" + digits[len(digits)-4:]
}

func maskEmail(value string) string {
	at := strings.LastIndexByte(value, '@')
	if at < 1 {
		return hiddenValue
	}
	local := []rune(value[:at])
	if len(local) < 2 {
		return hiddenValue + value[at:]
	}
	return string(local[:1]) + hiddenValue + value[at:]
}

func maskStaff(value string) string {
	r := []rune(compact(value))
	if len(r) < 4 {
		return hiddenValue
	}
	return hiddenValue + string(r[len(r)-2:])
}

// maskDate keeps the decade of the first four digits.
func maskDate(value string) string {
	digits := onlyDigits(value)
	if len(digits) < 4 {
		return hiddenValue
	}
	year, err := strconv.Atoi(digits[:4])
	if err != nil || year < 1900 || year > 2099 {
		return hiddenValue
	}
	decade := year - year%10
	return strconv.Itoa(decade) + "-" + strconv.Itoa(decade+9)
}

// units are the endings of the three levels of a Chinese address, longest
// first.
var units = [][]string{
	{"特别行政区", "自治区", "省"},
	{"自治州", "地区", "盟", "市"},
	{"自治县", "新区", "区", "县", "旗", "市"},
}

// maskAddress keeps province, city and district. Each unit must end within ten
// characters and before any number or road; a housing estate (小区) is no
// district. If that is the whole address, its last unit is hidden too.
func maskAddress(value string) string {
	r := []rune(strings.TrimSpace(value))
	at, before := 0, 0
	for _, endings := range units {
		if end := unitEnd(r, at, endings); end > at {
			before, at = at, end
		}
	}
	if at == len(r) {
		at = before
	}
	return string(r[:at]) + hiddenValue
}

func unitEnd(r []rune, from int, endings []string) int {
	const longest = 10 // characters of the longest unit, 巴音郭楞蒙古自治州 and one more
	for i := from; i < len(r) && i < from+longest; i++ {
		if unicode.IsDigit(r[i]) || strings.ContainsRune("路街道巷号弄镇乡村栋楼 ", r[i]) {
			return from
		}
		for _, e := range endings {
			end := i + len([]rune(e))
			if i > from && end <= len(r) && string(r[i:end]) == e && !slices.Contains([]rune("小社园校厂库景"), r[i-1]) {
				return end
			}
		}
	}
	return from
}

// bands are the amount bands in ascending order: the upper bound in fen
// (exclusive) and the range that a mask shows, in yuan.
var bands = []struct {
	id    string
	below int64
	shown string
}{
	{"lt_1k", 1_000_00, "0-1000"},
	{"lt_10k", 10_000_00, "1000-10000"},
	{"lt_50k", 50_000_00, "10000-50000"},
	{"lt_200k", 200_000_00, "50000-200000"},
	{"lt_1m", 1_000_000_00, "200000-1000000"},
	{"ge_1m", 1 << 62, ">=1000000"},
}

// AmountBand returns the band (a member of the set amount_band) of an amount
// in yuan; "none" if it is empty, zero or not an amount. See ParseAmount.
func AmountBand(yuan string) string {
	fen, ok := ParseAmount(yuan)
	if !ok || fen == 0 {
		return "none"
	}
	for _, b := range bands {
		if fen < b.below {
			return b.id
		}
	}
	return "ge_1m"
}

// ParseAmount reads an amount in yuan, digits with at most two decimals and at
// most twelve digits before the point, and returns it in fen.
func ParseAmount(yuan string) (fen int64, ok bool) {
	whole, part, _ := strings.Cut(yuan, ".")
	if whole == "" || len(whole) > 12 || len(part) > 2 || strings.HasSuffix(yuan, ".") || onlyDigits(whole+part) != whole+part {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	return n, err == nil
}

func bandRange(id string) string {
	for _, b := range bands {
		if b.id == id {
			return b.shown
		}
	}
	return hiddenValue
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

// compact drops the separators that people write into numbers.
func compact(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1
		}
		return r
	}, s)
}
