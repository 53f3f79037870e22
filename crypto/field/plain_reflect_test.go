package field_test

import (
	"bytes"
	"database/sql"
	"encoding/gob"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// TestPlainIsSealedInTemplatesGobAndSQL, by value, by pointer, in a
// struct and in a list.
func TestPlainIsSealedInTemplatesGobAndSQL(t *testing.T) {
	t.Parallel()
	p, key := field.NewPlain([]byte(marker)), newKey(t)
	var out bytes.Buffer
	for _, v := range []any{p, &p, []field.Plain{p}, holder{Open: p, Ptr: &p, key: key}, map[string]any{"p": p}, key} {
		for _, text := range []string{`{{.}}`, `{{printf "%s %v %x %q" . . . .}}`, `{{print .}}`, `{{html .}}`, `{{js .}}`, `{{urlquery .}}`} {
			if err := template.Must(template.New("t").Parse(text)).Execute(&out, v); err != nil {
				t.Errorf("%s of %T: %v", text, v, err)
			}
		}
		for _, text := range []string{`<p title="{{.}}">{{.}}</p>`, `<script>x = {{.}}</script>`} {
			_ = htmltemplate.Must(htmltemplate.New("t").Parse(text)).Execute(&out, v) // it may refuse
		}
		log.New(&out, "", 0).Println(v)
		if err := gob.NewEncoder(&out).Encode(v); err == nil {
			t.Errorf("gob took a %T", v)
		}
	}
	for _, v := range []any{p, &p, key} {
		if _, err := sql.Named("v", v), fmt.Errorf("%w: %v", field.ErrPlaintext, v); strings.Contains(err.Error(), "CANARY") {
			t.Error("an error holds the value")
		}
	}
	if v, err := key.Value(); v != nil || !errors.Is(err, field.ErrPlaintext) {
		t.Errorf("a key as an SQL value: %v, %v", v, err)
	}
	if b, err := p.MarshalBinary(); b != nil || !errors.Is(err, field.ErrPlaintext) {
		t.Errorf("binary form: %q, %v", b, err)
	}
	holdsNothing(t, out.String())
}

func holdsNothing(t *testing.T, out string) {
	t.Helper()
	for _, form := range []string{marker, fmt.Sprintf("%x", marker), fmt.Sprintf("%X", marker), fmt.Sprint([]byte(marker)), "Q0FOQVJZ", "67, 65, 78", "CANARY"} {
		if strings.Contains(out, form) {
			t.Errorf("output holds the value as %q", form)
		}
	}
	if !strings.Contains(out, "[sealed]") {
		t.Error("output does not say [sealed]")
	}
}

// TestReflectionEndsAtAnAddress: a printer that calls no methods and follows
// every pointer, also unexported ones, meets no byte of the value.
func TestReflectionEndsAtAnAddress(t *testing.T) {
	t.Parallel()
	p := field.NewPlain([]byte(marker))
	var out strings.Builder
	dump(&out, reflect.ValueOf(holder{Open: p, Ptr: &p, hidden: p}), 0)
	if strings.Contains(out.String(), "67 ") || !strings.Contains(out.String(), "unsafe.Pointer") {
		t.Errorf("dump: %s", out.String())
	}
	var control strings.Builder
	dump(&control, reflect.ValueOf(struct{ b *[]byte }{&[]byte{67}}), 0)
	if !strings.Contains(control.String(), "67 ") {
		t.Error("the dump does not follow pointers")
	}
}

// dump writes numbers and strings wherever they are.
func dump(out *strings.Builder, v reflect.Value, depth int) {
	if depth > 12 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			dump(out, v.Elem(), depth+1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			dump(out, v.Field(i), depth+1)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			dump(out, v.Index(i), depth+1)
		}
	case reflect.Uint8:
		fmt.Fprint(out, v.Uint(), " ")
	case reflect.String:
		out.WriteString(v.String())
	default:
		out.WriteString(v.Kind().String() + " ")
	}
}
