package scrub

import (
	"unicode"
	"unicode/utf8"
)

// folded is a text as the scanners see it: lower-case, full-width ASCII made
// half-width, invisible format characters left out. off maps each rune to its
// byte offset in the original, so that spans are spans of the original.
type folded struct {
	r   []rune
	off []int
	end []int
}

func fold(text string) folded {
	f := folded{r: make([]rune, 0, len(text)), off: make([]int, 0, len(text)), end: make([]int, 0, len(text))}
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			f.r, f.off, f.end = append(f.r, foldRune(rune(c))), append(f.off, i), append(f.end, i+1)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if !unicode.Is(unicode.Cf, r) {
			f.r = append(f.r, foldRune(r))
			f.off = append(f.off, i)
			f.end = append(f.end, i+size)
		}
		i += size
	}
	return f
}

func foldRune(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
	case r >= 0xFF01 && r <= 0xFF5E: // full-width ASCII
		r -= 0xFEE0
	case r == 0x3000 || r == 0xA0: // ideographic space, no-break space
		r = ' '
	case r >= 0x2010 && r <= 0x2015: // hyphens and dashes
		r = '-'
	}
	if r >= 'A' && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}

func (f folded) at(i int) rune {
	if i < 0 || i >= len(f.r) {
		return 0
	}
	return f.r[i]
}

func isDigit(r rune) bool  { return r >= '0' && r <= '9' }
func isLetter(r rune) bool { return r >= 'a' && r <= 'z' }
func isWord(r rune) bool   { return isDigit(r) || isLetter(r) }
