package field_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/field"
)

const marker = "CANARY-13800138000"

type holder struct {
	Open   field.Plain
	Ptr    *field.Plain
	hidden field.Plain
	key    *field.Key
}

// TestPlainLeaksNowhere: the marker must not come out of anything that prints
// or encodes, also from unexported fields, where fmt cannot call methods.
func TestPlainLeaksNowhere(t *testing.T) {
	t.Parallel()
	p := field.NewPlain([]byte(marker))
	h := holder{Open: p, Ptr: &p, hidden: p, key: newKey(t)}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%c", "%p"} {
		fmt.Fprintf(&out, verb, p)
		fmt.Fprintf(&out, verb, &p)
		fmt.Fprintf(&out, verb, h)
		fmt.Fprintf(&out, verb, []field.Plain{p})
		fmt.Fprintf(&out, verb, map[string]any{"k": p, "h": h})
	}
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
		log.Info("m", slog.Any("p", p), slog.Any("ptr", &p), slog.Any("h", h), slog.Any("key", h.key), slog.Group("g", slog.Any("p", p)))
	}
	for _, v := range []any{p, &p, h, []field.Plain{p}, map[string]field.Plain{"k": p}} {
		_ = json.NewEncoder(&out).Encode(v)
		_ = xml.NewEncoder(&out).Encode(v)
		_ = gob.NewEncoder(&out).Encode(v)
	}
	if v, err := p.Value(); v != nil || !errors.Is(err, field.ErrPlaintext) {
		t.Errorf("SQL value = %v, %v", v, err)
	}
	fmt.Fprint(&out, errors.New(p.String()), p.GoString(), h.key.String(), h.key.GoString())
	for _, form := range []string{marker, fmt.Sprintf("%x", marker), fmt.Sprintf("%X", marker), fmt.Sprint([]byte(marker)),
		strings.Trim(strings.Join(strings.Fields(fmt.Sprint([]byte(marker))), ", "), "[]"), "Q0FOQVJZ", "7 7 7 7", "0x7, 0x7"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("output holds the value as %q", form)
		}
	}
	if !strings.Contains(out.String(), "[sealed]") {
		t.Error("output does not say [sealed]")
	}
}

func TestPlainEqual(t *testing.T) {
	t.Parallel()
	a := field.NewPlain([]byte("same"))
	var zero field.Plain
	if !a.Equal(field.NewPlain([]byte("same"))) || a.Equal(field.NewPlain([]byte("sama"))) || a.Equal(zero) || !zero.Equal(zero) {
		t.Error("Equal is wrong")
	}
	a.Wipe()
	if bytes.ContainsAny(a.Expose(), "same") {
		t.Error("Wipe left the value")
	}
	if zero.Expose() != nil || zero.Len() != 0 {
		t.Error("zero Plain is not empty")
	}
}
