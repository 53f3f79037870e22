package audit

// Character classes of the format, one bit each.
const (
	classPlain = 1 << iota // may stand in a JSON string as itself, ASCII (DEL included: RFC 8785 escapes below 0x20 only)
	classToken             // printable ASCII without space, quote, backslash
	classPath              // names of commitments
	className              // names of members and facts
	classKind              // kinds of entries
	classHex               // lower-case hex digits
	classDigit
)

// class is built once from the rules above; it is never changed.
var class = func() (t [256]uint8) {
	for c := 0x20; c < 0x80; c++ {
		if c != '"' && c != '\\' {
			t[c] |= classPlain
			if c > 0x20 && c < 0x7f {
				t[c] |= classToken
			}
		}
	}
	mark := func(chars string, bits uint8) {
		for i := range len(chars) {
			t[chars[i]] |= bits
		}
	}
	mark("abcdefghijklmnopqrstuvwxyz0123456789_", classPath|className|classKind)
	mark("./:-", classPath)
	mark(".", classKind)
	mark(hexDigits, classHex)
	mark("0123456789", classDigit)
	return t
}()

type text interface{ ~string | ~[]byte }

func all[T text](s T, bits uint8) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&bits == 0 {
			return false
		}
	}
	return len(s) > 0
}

func isToken[T text](s T) bool      { return all(s, classToken) }
func isPath[T text](s T) bool       { return all(s, classPath) }
func isName[T text](s T) bool       { return all(s, className) }
func isKind[T text](s T) bool       { return all(s, classKind) }
func isHex[T text](s T, n int) bool { return len(s) == n && all(s, classHex) }
func isStage(s string) bool {
	return s == string(StageIntent) || s == string(StageOutcome) || s == string(StageEvent)
}
