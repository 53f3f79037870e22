package intake

import (
	"strings"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/sealtrail/sealtrail/internal/scrub"
)

// The forms below take only values that the normalisers of the blind index
// take too, or a record could be stored and never be found. They are written
// again here because a client that prepares drafts must not link the crypto
// tree; TestFormsAgreeWithTheIndex compares the two.

// maxIndexed bounds an indexed value in bytes, as the index does.
const maxIndexed = 512

// indexProblem returns the reason code for a value that does not fit an index
// kind, empty if it does. Like the index, it refuses what has another common
// form when it is read a second time.
func indexProblem(kind, value string) string {
	if len(value) > maxIndexed {
		return "too_long"
	}
	out, code := commonForm(kind, value)
	if code != "" {
		return code
	}
	again, code := commonForm(kind, out)
	return malformedUnless(code == "" && again == out)
}

// commonForm is the form that the index would hash, or a reason code.
func commonForm(kind, value string) (out, code string) {
	switch kind {
	case "phone":
		return phoneForm(norm.NFKC.String(value))
	case "id_number":
		return idForm(norm.NFKC.String(value))
	case "card":
		return cardForm(compact(norm.NFKC.String(value)))
	case "account":
		v := strings.ToUpper(compact(norm.NFKC.String(value)))
		return v, malformedUnless(len(v) >= 4 && len(v) <= 34 && alphanumeric(v))
	case "email":
		return emailForm(norm.NFC.String(strings.TrimSpace(value)))
	}
	return staffForm(value)
}

func malformedUnless(ok bool) string {
	if ok {
		return ""
	}
	return "malformed"
}

// phoneForm: numbers of China, or with a country code; letters would be read
// as digits by the library.
func phoneForm(v string) (out, code string) {
	if chineseMobile(v) {
		return "+86" + v, "" // nine of ten; the library's patterns cost a hundred times as much
	}
	if rest, ok := strings.CutPrefix(v, "+86"); ok && chineseMobile(rest) {
		return v, ""
	}
	if strings.ContainsFunc(v, unicode.IsLetter) {
		return "", "malformed"
	}
	n, err := phonenumbers.Parse(strings.TrimSpace(v), "CN")
	if err != nil || !phonenumbers.IsPossibleNumber(n) {
		return "", "malformed"
	}
	return phonenumbers.Format(n, phonenumbers.E164), ""
}

// chineseMobile: eleven digits from 13 to 19, without separators.
func chineseMobile(v string) bool {
	return len(v) == 11 && v[0] == '1' && v[1] >= '3' && strings.Trim(v, "0123456789") == ""
}

func cardForm(v string) (out, code string) {
	switch {
	case len(v) < 12 || len(v) > 19 || strings.Trim(v, "0123456789") != "":
		return "", "malformed"
	case !scrub.Luhn(v):
		return "", "card_check_digit"
	}
	return v, ""
}

// idForm: a resident identity number of 18 or, on old papers, 15 digits, a
// unified social credit code, or a passport or permit with letters and digits.
func idForm(v string) (out, code string) {
	v = strings.ToUpper(compact(strings.ReplaceAll(strings.ReplaceAll(v, "(", ""), ")", "")))
	if !alphanumeric(v) {
		return "", "malformed"
	}
	switch {
	case len(v) == 18 && !scrub.ValidID(v) && !validUSCC(v):
		return "", "id_check_digit"
	case len(v) == 18:
		return v, ""
	case len(v) == 15 && strings.Trim(v, "0123456789") == "":
		_, err := time.Parse("20060102", "19"+v[6:12])
		return v, malformedUnless(err == nil)
	}
	mixed := strings.ContainsAny(v, "0123456789") && strings.Trim(v, "0123456789") != ""
	return v, malformedUnless(mixed && len(v) >= 5 && len(v) <= 17)
}

// usccAlphabet leaves out I, O, S, V, Z (GB 32100-2015, table 3).
const usccAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// validUSCC checks the check character of GB 32100-2015: weights 3^i mod 31.
func validUSCC(v string) bool {
	sum, weight := 0, 1
	for i := range 17 {
		n := strings.IndexByte(usccAlphabet, v[i])
		if n < 0 {
			return false
		}
		sum += n * weight
		weight = weight * 3 % 31
	}
	return v[17] == usccAlphabet[(31-sum%31)%31]
}

func emailForm(v string) (out, code string) {
	at := strings.LastIndexByte(v, '@')
	if at < 1 || at == len(v)-1 {
		return "", "malformed"
	}
	local := norm.NFC.String(strings.ToLower(v[:at]))
	if len(local) > 64 || strings.ContainsFunc(local, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '@' }) {
		return "", "malformed"
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(true), idna.VerifyDNSLength(true))
	domain, err := profile.ToASCII(strings.TrimSuffix(v[at+1:], "."))
	return local + "@" + domain, malformedUnless(err == nil && domain != "" && len(domain) <= 253)
}

func staffForm(v string) (out, code string) {
	v = strings.TrimSpace(norm.NFKC.String(strings.ToUpper(norm.NFKC.String(strings.TrimSpace(v)))))
	bad := strings.ContainsFunc(v, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	return v, malformedUnless(v != "" && len(v) <= 64 && !bad)
}

// compact drops the separators that people put between groups.
func compact(v string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || strings.ContainsRune("-‐‑‒–—−.·/_", r) {
			return -1
		}
		return r
	}, v)
}

// alphanumeric: digits and capital ASCII letters only.
func alphanumeric(v string) bool {
	return strings.Trim(v, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
