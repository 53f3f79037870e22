package scrub

import (
	"slices"
	"strings"
)

// C3 is authentication data found in a text: bytes [Start, End) are the value.
// Kind is a member of the registry's set c3_kind.
type C3 struct {
	Start, End int
	Kind       string
}

// Kinds of authentication data.
const (
	C3CVN      = "cvn"
	C3PIN      = "pin"
	C3Password = "password"
	C3OneTime  = "one_time_code"
	C3Track    = "track_data"
	C3Expiry   = "expiry"
)

// announcer is a word that announces authentication data. Longer words stand
// before shorter ones that they contain.
type announcer struct {
	word []rune
	kind string
}

// announcers are by their first rune, and in the order of trying at one
// place: longest first.
var announcers = sorted(map[string][]string{
	C3CVN: {
		"cvv2", "cvv", "cvn2", "cvn", "cvc2", "cvc", "cvv2码", "cvv码", "cvn2码", "cvn码", "cvc2码", "cvc码", "安全码", "卡验证码", "卡片验证码", "背面三位", "背面后三位", "背面末三位", "背面三位数", "背面后三位数", "背面末三位数",
		"卡背三位", "security code", "card verification",
	},
	C3PIN: {
		"pin", "pin码", "pin code", "pin number", "支付密码", "取款密码", "交易密码", "取现密码", "银行卡密码", "卡密码", "卡的密码", "刷卡密码", "atm密码",
	},
	C3Password: {
		"密码", "口令", "登录密码", "登陆密码", "网银密码", "password", "passwd", "passcode", "pwd",
	},
	C3OneTime: {
		"验证码", "校验码", "动态码", "动态密码", "动态口令", "短信码", "短信验证码", "一次性密码", "otp", "one-time code", "one time code",
		"one-time password", "one time password", "one-time passcode", "verification code", "authentication code", "login code",
	},
	C3Expiry: {"有效期", "valid thru", "valid through", "expiry date", "expiration date", "exp date", "expiry"},
})

func sorted(words map[string][]string) map[rune][]announcer {
	out := map[rune][]announcer{}
	for kind, list := range words {
		for _, w := range list {
			a := announcer{[]rune(w), kind}
			out[a.word[0]] = append(out[a.word[0]], a)
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b announcer) int {
			if len(a.word) != len(b.word) {
				return len(b.word) - len(a.word)
			}
			return strings.Compare(string(a.word), string(b.word))
		})
	}
	return out
}

// links are what may stand between the announcing word and the value, longest
// first. Anything else ("忘记密码后损失50000元") means that no value follows.
var links = [][]rune{
	[]rune("设置成了"), []rune("设置为"), []rune("设置成"), []rune("填的是"), []rune("写的是"), []rune("分别是"), []rune("改成了"), []rune("number is"),
	[]rune("设为"), []rune("设成"), []rune("改为"), []rune("改成"), []rune("就是"), []rune("号码"), []rune("数字"), []rune("was"), []rune("is"),
	[]rune("是"), []rune("为"), []rune("叫"), []rune("即"), []rune(":"), []rune("="), []rune("#"),
}

// FindC3 returns the authentication data that text holds. It wants an
// announcing word, at most linking words and quotes, and then a value of the
// announced shape; track data needs no word. Talk about passwords without a
// value is not a find.
func FindC3(text string) []C3 {
	f := fold(text)
	found := trackData(f)
	for i := 0; i < len(f.r); i++ {
		a, ok := announcedAt(f, i)
		if !ok {
			continue
		}
		if from, to, ok := value(f, i+len(a.word), a); ok {
			found = append(found, C3{f.off[from], f.end[to-1], refine(a, to-from)})
		}
		i += len(a.word) - 1
	}
	return found
}

// refine: "security code" announces a card's number of 3 or 4 digits, or a
// one-time code of more.
func refine(a announcer, n int) string {
	if a.kind == C3CVN && n > 4 {
		return C3OneTime
	}
	return a.kind
}

func announcedAt(f folded, i int) (announcer, bool) {
	for _, a := range announcers[f.at(i)] {
		if !f.has(i, a.word) || isLetter(a.word[0]) && isWord(f.at(i-1)) {
			continue
		}
		if last := i + len(a.word); isLetter(f.at(last-1)) && isLetter(f.at(last)) {
			continue // the word goes on: "pinned"
		}
		return a, true
	}
	return announcer{}, false
}

func (f folded) has(i int, word []rune) bool {
	return i+len(word) <= len(f.r) && slices.Equal(f.r[i:i+len(word)], word)
}

// value finds the announced value from rune i on and returns its runes
// [from, to).
func value(f folded, i int, a announcer) (from, to int, ok bool) {
	i, linked := skipLinks(f, i)
	if a.kind == C3Expiry {
		to, ok = expiryAt(f, i)
		return i, to, ok
	}
	if to, ok := digitsAt(f, i, a); ok {
		return i, to, true
	}
	if a.kind == C3Password && linked {
		to, ok := secretAt(f, i, a.word[0] > 0x2E80)
		return i, to, ok
	}
	return 0, 0, false
}

// skipLinks passes spaces, quotes, brackets and at most three linking words.
func skipLinks(f folded, i int) (int, bool) {
	linked := false
	for range 3 {
		i = skipSpaces(f, i)
		k := slices.IndexFunc(links, func(w []rune) bool {
			return f.has(i, w) && (!isLetter(w[0]) || !isLetter(f.at(i+len(w))))
		})
		if k < 0 {
			break
		}
		linked = true
		i += len(links[k])
	}
	return skipSpaces(f, i), linked
}

func skipSpaces(f folded, i int) int {
	for strings.ContainsRune(" \t\"'“”‘’「」『』【[(<《", f.at(i)) && f.at(i) != 0 {
		i++
	}
	return i
}

// digitLimits is the size of a value in digits, by what announces it. A
// "security code" may be a card's (3 or 4) or a one-time code.
func digitLimits(a announcer) (least, most int) {
	switch {
	case string(a.word) == "security code":
		return 3, 8
	case a.kind == C3CVN:
		return 3, 4
	case a.kind == C3PIN, a.kind == C3OneTime:
		return 4, 8
	}
	return 4, 20
}

// digitsAt takes digits of the announced size that are not an amount, a year
// or a count. A one-time code may be written as 123 456.
func digitsAt(f folded, i int, a announcer) (to int, ok bool) {
	to = f.digitsEnd(i)
	if a.kind == C3OneTime && to-i == 3 && isJoiner(f.at(to)) && f.digitsEnd(to+1) == to+4 {
		to += 4
	}
	least, most := digitLimits(a)
	if n := to - i; n < least || n > most {
		return 0, false
	}
	return to, !counts(f, to)
}

// digitsEnd is the first rune from i on that is no digit.
func (f folded) digitsEnd(i int) int {
	for isDigit(f.at(i)) {
		i++
	}
	return i
}

// counts: the digits are an amount, a date, a number of times, or go on as a
// word or a decimal.
func counts(f folded, i int) bool {
	if isLetter(f.at(i)) || (f.at(i) == '.' || f.at(i) == '/' || f.at(i) == ',') && isDigit(f.at(i+1)) {
		return true
	}
	i = skipSpaces(f, i)
	return strings.ContainsRune("元块万千百亿年月日次个位笔天条分", f.at(i)) && f.at(i) != 0
}

// secretAt takes a password of printable ASCII: at least four characters with
// a digit or a sign among them, or six letters; English words after "is" are
// talk, not a password, so letters alone count only behind a Chinese word.
func secretAt(f folded, i int, chinese bool) (to int, ok bool) {
	digits, signs := 0, 0
	for to = i; f.at(to) > ' ' && f.at(to) <= '~'; to++ {
		switch r := f.r[to]; {
		case isDigit(r):
			digits++
		case !isLetter(r):
			signs++
		}
	}
	for to > i && strings.ContainsRune(".,;:!?\"')]>", f.r[to-1]) {
		to--
		signs--
	}
	n := to - i
	if n < 4 || allSame(f.r[i:to], 'x') {
		return 0, false
	}
	return to, digits > 0 && digits < n || signs > 0 && strings.ContainsAny(string(f.r[i:to]), "!@#$%^&*_+=~") || chinese && n >= 6
}

func allSame(r []rune, want rune) bool {
	return !slices.ContainsFunc(r, func(c rune) bool { return c != want })
}

// expiryAt takes MM/YY or MM/YYYY. A card's expiry is authentication data; the
// end of a contract is written with a day.
func expiryAt(f folded, i int) (to int, ok bool) {
	slash := f.digitsEnd(i)
	if slash-i != 2 || f.at(slash) != '/' && f.at(slash) != '-' {
		return 0, false
	}
	if month := string(f.r[i:slash]); month < "01" || month > "12" {
		return 0, false
	}
	to = f.digitsEnd(slash + 1)
	n := to - slash - 1
	return to, (n == 2 || n == 4) && f.at(to) != '/' && f.at(to) != '-'
}

// trackData finds ISO/IEC 7813 tracks: %B<card>^name^<digits> and
// ;<card>=<digits>.
func trackData(f folded) []C3 {
	var found []C3
	for i := range f.r {
		j := i
		switch {
		case f.r[i] == ';':
			j++
		case f.has(i, []rune("%b")):
			j += 2
		default:
			continue
		}
		start := j
		for isDigit(f.at(j)) {
			j++
		}
		if n := j - start; n < 13 || n > 19 || f.at(j) != '=' && f.at(j) != '^' {
			continue
		}
		for j < len(f.r) && f.r[j] != '?' && f.r[j] != '\n' && f.r[j] < 0x7f && j-start < 107 {
			j++
		}
		found = append(found, C3{f.off[i], f.end[j-1], C3Track})
	}
	return found
}

// C3Key reports whether a key of structured data names authentication data
// ("cvv", "Card-Pin", "验证码"), and which.
func C3Key(key string) (kind string, ok bool) {
	var b strings.Builder
	for _, r := range fold(key).r {
		if !strings.ContainsRune("_-. ", r) {
			b.WriteRune(r)
		}
	}
	flat := b.String()
	for _, list := range announcers {
		for _, a := range list {
			word := strings.NewReplacer(" ", "", "-", "").Replace(string(a.word))
			if flat == word || flat == "card"+word || flat == "user"+word {
				return a.kind, true
			}
		}
	}
	switch flat {
	case "track", "track1", "track2", "trackdata", "magstripe":
		return C3Track, true
	case "smscode", "verifycode", "captcha", "totp":
		return C3OneTime, true
	case "pass", "secret", "loginpassword":
		return C3Password, true
	case "pinblock":
		return C3PIN, true
	case "validthru", "exp", "expirymonth", "expiryyear":
		return C3Expiry, true
	}
	return "", false
}
