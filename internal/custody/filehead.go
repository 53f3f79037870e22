package custody

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// The content of a sealed file begins with a head of fixed length that holds
// what is said about the file and must not be clear: its name, which often names
// the customer. Its length is fixed so that a byte of the file is always at the
// same distance from its place in the sealed form.
//
//	"sth1" | u16 length of the name | name, UTF-8 | zeros up to fileHeadSize
const (
	fileHeadSize  = 1024
	fileHeadMagic = "sth1"
	// maxFileName is the longest name in bytes; the catalogue's 255 characters
	// of Chinese are 765.
	maxFileName = 1000
)

// fileHead is the head of a file with this name.
func fileHead(name string) []byte {
	head := make([]byte, fileHeadSize)
	copy(head, fileHeadMagic)
	binary.BigEndian.PutUint16(head[4:], uint16(len(name)))
	copy(head[6:], name)
	return head
}

// parseFileHead returns the name, or a finding: only this package writes heads,
// and the head was authenticated.
func parseFileHead(head []byte) (string, error) {
	broken := &field.IntegrityError{What: "file.head"}
	if len(head) != fileHeadSize || string(head[:4]) != fileHeadMagic {
		return "", broken
	}
	n := int(binary.BigEndian.Uint16(head[4:]))
	if n > maxFileName || !utf8.Valid(head[6:6+n]) || len(bytes.Trim(head[6+n:], "\x00")) > 0 {
		return "", broken
	}
	return string(head[6 : 6+n]), nil
}

// cleanFileName makes a name that every system takes: the last part of a path,
// without control characters, quotes or separators, and short enough.
func cleanFileName(name string) string {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || strings.ContainsRune(`"<>|:*?`, r) {
			return -1
		}
		return r
	}, name)
	name = strings.Trim(name, ". ")
	for utf8.RuneCountInString(name) > maxFileRunes || len(name) > maxFileName {
		_, n := utf8.DecodeRuneInString(name)
		name = name[n:] // from the front: the ending says what it is
	}
	return name
}

// maxFileRunes is the catalogue's length of a file's name.
const maxFileRunes = 255
