// Package mediatype knows which types of files Sealtrail takes and how their
// first bytes look.
//
// The one idea: what a caller declares is a claim, and it has to fit what the
// content shows. The list is data (types.json): adding a type is a row there.
// This is no virus scanner and no proof that a file is well formed; it keeps a
// program from being filed as a picture, and a picture from being served as
// something else.
//
// It must never keep or repeat content.
package mediatype

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"mime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// HeadSize is how much of a file's beginning Fits looks at, in bytes.
const HeadSize = 512

// Type is one type of files that is taken.
type Type struct {
	// Code is the short name that stands in the log.
	Code string `json:"code"`
	// Type is the media type as RFC 6838 writes it, without parameters.
	Type string `json:"type"`
	// Field is where such files belong: attachments or recordings.
	Field string `json:"field"`
	// Magic are alternatives, one of which has to be there; First, if set, has
	// to stand at the very beginning, too (hex).
	Magic []Magic `json:"magic"`
	First string  `json:"first"`
	// Shape is for types without a magic number: text, mail, office.
	Shape string `json:"shape"`
	ZH    string `json:"zh"`
	EN    string `json:"en"`
}

// Magic is a run of bytes at a place; mask says which bits of it count.
type Magic struct {
	At   int    `json:"at"`
	Hex  string `json:"hex"`
	Mask string `json:"mask"`
}

//go:embed types.json
var typesJSON []byte

var types = sync.OnceValue(func() []Type {
	var list []Type
	if err := json.Unmarshal(typesJSON, &list); err != nil {
		// The file is embedded and tested: this is a broken build.
		panic(err)
	}
	return list
})

// Types returns the types that are taken, as a fresh slice.
func Types() []Type { return slices.Clone(types()) }

// Find reads a Content-Type, with or without parameters. ok is false for a type
// that is not taken.
func Find(contentType string) (t Type, ok bool) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return Type{}, false
	}
	i := slices.IndexFunc(types(), func(t Type) bool { return t.Type == media })
	if i < 0 {
		return Type{}, false
	}
	return types()[i], true
}

// Fits reports whether content that begins with head can be of the type. head
// is the first HeadSize bytes, or all of a shorter file.
func (t Type) Fits(head []byte) bool {
	switch t.Shape {
	case "text":
		return isText(head) && !numbered(head)
	case "mail":
		return isText(head) && !numbered(head) && isMail(head)
	case "office":
		return isOffice(head)
	}
	return bytes.HasPrefix(head, unhex(t.First)) && slices.ContainsFunc(t.Magic, func(m Magic) bool { return m.fits(head) })
}

func (m Magic) fits(head []byte) bool {
	want, mask := unhex(m.Hex), unhex(m.Mask)
	if m.At+len(want) > len(head) {
		return false
	}
	for i, b := range head[m.At : m.At+len(want)] {
		if mask != nil {
			b &= mask[i]
		}
		if b != want[i] {
			return false
		}
	}
	return true
}

// unhex reads a number of the embedded table, which a test parses as a whole.
func unhex(s string) []byte {
	if s == "" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// numbered reports whether head has the magic number of some type: a PDF is
// readable as text at its beginning, and is none.
func numbered(head []byte) bool {
	return slices.ContainsFunc(types(), func(t Type) bool { return t.Shape == "" && t.Fits(head) })
}

// isText: no control characters but those of lines, and UTF-8 or GB 18030, in
// which older systems write Chinese and which has no bytes of its own below
// 0x30 after a leading one.
func isText(head []byte) bool {
	for _, b := range head {
		if b < 0x20 && b != '\t' && b != '\n' && b != '\r' && b != '\f' || b == 0x7f {
			return false
		}
	}
	return validUTF8(head) || validGB18030(head)
}

// validUTF8 forgives a character that the end of head cuts.
func validUTF8(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n <= 1 {
			return len(head) < utf8.UTFMax && !utf8.FullRune(head)
		}
		head = head[n:]
	}
	return true
}

// validGB18030 reads two- and four-byte characters; one that the end cuts is
// forgiven.
func validGB18030(head []byte) bool {
	for len(head) > 0 {
		switch {
		case head[0] < 0x80:
			head = head[1:]
		case head[0] == 0x80 || head[0] == 0xff:
			return false
		case len(head) < 2:
			return true
		case head[1] >= 0x40 && head[1] != 0x7f && head[1] != 0xff:
			head = head[2:]
		case head[1] < 0x30 || head[1] > 0x39:
			return false
		case len(head) < 4:
			return true
		case head[2] < 0x81 || head[2] == 0xff || head[3] < 0x30 || head[3] > 0x39:
			return false
		default:
			head = head[4:]
		}
	}
	return true
}

// isMail: the first line is a header field.
func isMail(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	name, _, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || len(name) > 64 {
		return false
	}
	for _, b := range name {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return true
}

// office names are what the first member of an Office Open XML archive is
// called. Which of them it is stands at the end of the archive, which a stream
// has not seen yet: a workbook can be declared a document, and nothing worse.
func isOffice(head []byte) bool {
	const localHeader = 30
	if len(head) < localHeader || !bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		return false
	}
	n := int(head[26]) | int(head[27])<<8
	name := string(head[localHeader:min(localHeader+n, len(head))])
	return name == "[Content_Types].xml" || slices.ContainsFunc([]string{"_rels/", "docProps/", "word/", "xl/", "customXml/"}, func(p string) bool { return strings.HasPrefix(name, p) })
}
