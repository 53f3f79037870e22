package blindindex

import (
	"strings"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// defaultRegion is where a number without a country code is dialled.
const defaultRegion = "CN"

// phone returns E.164. "Possible" numbers pass, not only those in the
// library's tables: a new number range must not make a complaint unfindable.
// Letters are refused: the library would read the letter O as the digit 6.
func phone(v string) (out, rule string) {
	if strings.ContainsFunc(v, unicode.IsLetter) {
		return "", "letters"
	}
	n, err := phonenumbers.Parse(strings.TrimSpace(v), defaultRegion)
	if err != nil {
		return "", "form"
	}
	if !phonenumbers.IsPossibleNumber(n) {
		return "", "length"
	}
	return phonenumbers.Format(n, phonenumbers.E164), ""
}

// compact removes the separators that people put between groups.
func compact(v string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), strings.ContainsRune("-‐‑‒–—−.·/_", r):
			return -1
		}
		return r
	}, v)
}

func allIn(s, set string) bool {
	return strings.Trim(s, set) == "" || !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(set, r) })
}

const (
	digits = "0123456789"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// card keeps the digits and checks the Luhn digit (ISO/IEC 7812-1).
func card(v string) (out, rule string) {
	v = compact(v)
	switch {
	case !allIn(v, digits):
		return "", "digits"
	case len(v) < 12 || len(v) > 19:
		return "", "length"
	case !luhn(v):
		return "", "check_digit"
	}
	return v, ""
}

func luhn(v string) bool {
	sum := 0
	for i := range len(v) {
		d := int(v[len(v)-1-i] - '0')
		if i%2 == 1 {
			d *= 2
			d -= 9 * (d / 10)
		}
		sum += d
	}
	return sum%10 == 0
}

// account keeps letters and digits; IBAN allows 34.
func account(v string) (out, rule string) {
	v = strings.ToUpper(compact(v))
	switch {
	case !allIn(v, digits+upper):
		return "", "letters_digits"
	case len(v) < 4 || len(v) > 34:
		return "", "length"
	}
	return v, ""
}

// email lowers the local part (RFC 5321 lets it be case sensitive; no provider
// is) and maps the domain to its IDNA ASCII form.
func email(v string) (out, rule string) {
	v = norm.NFC.String(strings.TrimSpace(v))
	at := strings.LastIndexByte(v, '@')
	if at < 1 || at == len(v)-1 {
		return "", "form"
	}
	local := norm.NFC.String(strings.ToLower(v[:at]))
	if len(local) > 64 {
		return "", "length"
	}
	if strings.ContainsFunc(local, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '@' }) {
		return "", "form"
	}
	domain, err := domains().ToASCII(strings.TrimSuffix(v[at+1:], "."))
	if err != nil || domain == "" || len(domain) > 253 || strings.HasSuffix(domain, ".") {
		return "", "domain"
	}
	return local + "@" + domain, ""
}

func domains() *idna.Profile {
	return idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(true), idna.VerifyDNSLength(true))
}

// staffID folds width and case; the bank's own punctuation stays.
func staffID(v string) (out, rule string) {
	v = norm.NFKC.String(strings.ToUpper(norm.NFKC.String(strings.TrimSpace(v))))
	v = strings.TrimSpace(v)
	switch {
	case v == "" || len(v) > 64:
		return "", "length"
	case strings.ContainsFunc(v, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return "", "form"
	}
	return v, ""
}

// idNumber tells three documents apart by form and check digit, so that a
// searcher need not say which one it is.
func idNumber(v string) (out, rule string) {
	v = strings.ToUpper(compact(strings.NewReplacer("(", "", ")", "").Replace(v)))
	switch {
	case !allIn(v, digits+upper):
		return "", "letters_digits"
	case len(v) == 15 && allIn(v, digits):
		v = v[:6] + "19" + v[6:]
		v += string(residentCheck(v))
		return v, residentDate(v)
	case len(v) == 18:
		return eighteen(v)
	case len(v) >= 5 && len(v) <= 17 && strings.ContainsAny(v, upper) && strings.ContainsAny(v, digits):
		return v, "" // passport, travel permit, residence permit
	}
	return "", "form"
}

// eighteen is a resident ID (GB 11643-1999) or a unified social credit code
// (GB 32100-2015); both end in a check character. Some codes look like an ID:
// those must also hold the organisation code's own check digit, or else every
// thirty-first mistyped ID would pass as a code.
func eighteen(v string) (out, rule string) {
	resident := allIn(v[:17], digits) && allIn(v[17:], digits+"X")
	code := allIn(v, usccAlphabet) && v[17] == usccCheck(v[:17])
	switch {
	case resident && v[17] == residentCheck(v[:17]):
		if rule := residentDate(v); rule != "" && !(code && orgCodeHolds(v[8:17])) {
			return "", rule
		}
		return v, ""
	case code && (!resident || orgCodeHolds(v[8:17])):
		return v, ""
	}
	return "", "check_digit"
}

// orgCodeHolds checks the organisation code in a social credit code (GB
// 11714-1997), MOD 11 with weights 3 7 9 10 5 8 4 2.
func orgCodeHolds(v string) bool {
	sum := 0
	for i, w := range [...]int{3, 7, 9, 10, 5, 8, 4, 2} {
		d := int(v[i] - '0')
		if v[i] >= 'A' {
			d = int(v[i]-'A') + 10
		}
		sum += d * w
	}
	return v[8] == "0X987654321"[sum%11]
}

// residentCheck is ISO 7064 MOD 11-2 over 17 digits, as GB 11643-1999 has it.
func residentCheck(v string) byte {
	sum := 0
	for i := range 17 {
		sum += int(v[i]-'0') * (1 << (17 - i) % 11)
	}
	return "10X98765432"[sum%11]
}

// residentDate says whether the date of birth exists.
func residentDate(v string) (rule string) {
	if _, err := time.Parse("20060102", v[6:14]); err != nil {
		return "date"
	}
	return ""
}

// usccAlphabet leaves out I, O, S, V, Z (GB 32100-2015, table 3).
const usccAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// usccCheck is the check character over 17 characters, weights 3^i mod 31.
func usccCheck(v string) byte {
	sum, weight := 0, 1
	for i := range 17 {
		sum += strings.IndexByte(usccAlphabet, v[i]) * weight
		weight = weight * 3 % 31
	}
	return usccAlphabet[(31-sum%31)%31]
}
