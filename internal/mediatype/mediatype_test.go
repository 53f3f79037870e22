package mediatype_test

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/mediatype"
)

// samples are beginnings of files as programs write them.
func samples(t *testing.T) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"pdf": []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3"), "png": []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), "jpeg": []byte("\xff\xd8\xff\xe0\x00\x10JFIF"),
		"tiff": []byte("II*\x00\x08\x00\x00\x00"), "text": []byte("客户来电投诉,\r\n\t要求退还年费。"), "eml": []byte("Received: from mx.example by mail.example\r\nFrom: a@example\r\n"),
		"docx": archive(t, "[Content_Types].xml", "word/document.xml"), "xlsx": archive(t, "_rels/.rels", "xl/workbook.xml"),
		"wav": []byte("RIFF\x24\x08\x00\x00WAVEfmt "), "mp3": []byte("ID3\x04\x00\x00\x00\x00\x00\x00"), "ogg": []byte("OggS\x00\x02\x00\x00"),
		"amr": []byte("#!AMR\n\x3c\x91"), "m4a": []byte("\x00\x00\x00\x20ftypM4A "), "mp4": []byte("\x00\x00\x00\x18ftypisom"),
	}
}

func archive(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("<x/>")); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// same are types that the first bytes cannot tell apart, and text that is mail.
var same = map[string]string{"docx": "xlsx", "xlsx": "docx", "m4a": "mp4", "mp4": "m4a", "eml": "text"}

func TestEachTypeFitsItsOwnContentOnly(t *testing.T) {
	t.Parallel()
	all := samples(t)
	for _, typ := range mediatype.Types() {
		if len(all[typ.Code]) == 0 {
			t.Errorf("%s has no sample", typ.Code)
		}
		for code, head := range all {
			want := code == typ.Code || same[code] == typ.Code
			if got := typ.Fits(head); got != want {
				t.Errorf("%s over the beginning of a %s: %v", typ.Code, code, got)
			}
		}
		for n := range 3 {
			if typ.Shape == "" && typ.Fits(all[typ.Code][:n]) && n < 2 {
				t.Errorf("%s fits %d bytes", typ.Code, n)
			}
		}
	}
}

func TestProgramsFitNothing(t *testing.T) {
	t.Parallel()
	for name, head := range map[string][]byte{
		"ELF": []byte("\x7fELF\x02\x01\x01\x00"), "PE": []byte("MZ\x90\x00\x03\x00\x00\x00"), "jar": archive(t, "META-INF/MANIFEST.MF"),
		"zip": archive(t, "run.exe"), "cut zip": []byte("PK\x03\x04"), "nulls": make([]byte, 64), "gzip": []byte("\x1f\x8b\x08\x00"), "avi": []byte("RIFF\x24\x08\x00\x00AVI LIST"),
	} {
		for _, typ := range mediatype.Types() {
			if typ.Fits(head) {
				t.Errorf("%s passes for %s", name, typ.Code)
			}
		}
	}
}

func TestTextMayEndInTheMiddleOfACharacter(t *testing.T) {
	t.Parallel()
	text, ok := mediatype.Find("text/plain; charset=utf-8")
	if !ok {
		t.Fatal("text/plain is not taken")
	}
	for name, row := range map[string]struct {
		head string
		want bool
	}{
		"whole": {"投诉", true}, "cut": {"投诉"[:5], true}, "GB 18030": {"\xcd\xb6\xcb\xdf", true}, "GB 18030, four bytes": {"\x81\x30\x81\x30", true},
		"GB 18030, cut": {"\xcd\xb6\xcb", true}, "neither": {"\xff\xfe\xff", false}, "neither, later": {"abc\xc3\x28\xff", false}, "a null": {"abc\x00", false}, "empty": {"", true},
	} {
		if got := text.Fits([]byte(row.head)); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFindTakesParametersAndNothingElse(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"application/pdf": "pdf", "Application/PDF": "pdf", "text/plain; charset=gb18030": "text", "image/svg+xml": "", "text/html": "", "": "", "application/octet-stream": "", "pdf": "", "text/plain; charset": "",
	} {
		if got, _ := mediatype.Find(header); got.Code != want {
			t.Errorf("%q is %q, want %q", header, got.Code, want)
		}
	}
}

// The table is data: every row has what the rest of the program builds on.
func TestTableIsWellFormed(t *testing.T) {
	t.Parallel()
	codes, names := map[string]bool{}, map[string]bool{}
	for _, typ := range mediatype.Types() {
		if codes[typ.Code] || names[typ.Type] || typ.ZH == "" || typ.EN == "" || typ.Type != strings.ToLower(typ.Type) {
			t.Errorf("%s: a second row, no label, or capitals", typ.Code)
		}
		codes[typ.Code], names[typ.Type] = true, true
		if f, ok := complaint.FieldByName(typ.Field); !ok || !f.Stream {
			t.Errorf("%s belongs to %s, which takes no files", typ.Code, typ.Field)
		}
		if !complaint.Registry().FactFits("complaint.file_added", "media_type", typ.Code) {
			t.Errorf("%s does not fit the log", typ.Code)
		}
		if (typ.Shape == "") != (len(typ.Magic) > 0) {
			t.Errorf("%s has a shape and a magic number, or neither", typ.Code)
		}
		for _, m := range typ.Magic {
			b, err := hex.DecodeString(m.Hex)
			if err != nil || len(b) < 2 || m.At+len(b) > mediatype.HeadSize || m.Mask != "" && len(m.Mask) != len(m.Hex) {
				t.Errorf("%s: magic %+v, %v", typ.Code, m, err)
			}
		}
	}
}

func FuzzFits(f *testing.F) {
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte("投"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, head []byte) {
		for _, typ := range mediatype.Types() {
			if typ.Fits(head) && typ.Shape == "" && len(head) < 2 {
				t.Errorf("%s fits %d bytes", typ.Code, len(head))
			}
		}
	})
}
