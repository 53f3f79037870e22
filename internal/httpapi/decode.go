package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// maxProblems bounds what is said about one body.
const maxProblems = 50

// shape is what a JSON value must look like. It is made from a Go type once and
// walked with each body before the body is unmarshalled, because encoding/json
// stops at the first problem and repeats keys in its errors.
type shape struct {
	kind     shapeKind
	nullable bool
	fields   map[string]*shape // object
	required []string          // object
	elem     *shape            // array, map
	known    func(string) bool // map: is this key a word of ours?
}

type shapeKind uint8

const (
	shapeObject shapeKind = iota
	shapeArray
	shapeMap
	shapeString
	shapeBool
	shapeInt
	shapeTime
	shapeAny // judged later
)

// shapeOf makes the shape of a type of ours. known judges the keys of maps. It
// panics on a type that no body has: that is a broken build.
func shapeOf(t reflect.Type, known func(string) bool) *shape {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &shape{kind: shapeTime}
	case t.Kind() == reflect.Pointer:
		s := *shapeOf(t.Elem(), known)
		s.nullable = true
		return &s
	}
	switch t.Kind() {
	case reflect.String:
		return &shape{kind: shapeString}
	case reflect.Bool:
		return &shape{kind: shapeBool}
	case reflect.Int:
		return &shape{kind: shapeInt}
	case reflect.Slice:
		return &shape{kind: shapeArray, elem: shapeOf(t.Elem(), known)}
	case reflect.Map:
		return &shape{kind: shapeMap, elem: shapeOf(t.Elem(), known), known: known}
	case reflect.Struct:
		return structShape(t, known)
	default:
		panic("no body has the type " + t.String())
	}
}

func structShape(t reflect.Type, known func(string) bool) *shape {
	s := &shape{kind: shapeObject, fields: make(map[string]*shape, t.NumField())}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		s.fields[name] = shapeOf(f.Type, known)
		if !strings.Contains(options, "omitempty") {
			s.required = append(s.required, name)
		}
	}
	return s
}

// isField reports whether a key is a field of the catalogue.
func isField(name string) bool { _, ok := complaint.FieldByName(name); return ok }

// isInput returns a judge of the inputs of transitions: fields of the catalogue
// and facts of the registry.
func isInput() func(string) bool {
	facts := make(map[string]struct{})
	for name := range complaint.Registry().CommonFacts {
		facts[name] = struct{}{}
	}
	for _, e := range complaint.Registry().Events {
		for name := range e.Facts {
			facts[name] = struct{}{}
		}
	}
	return func(name string) bool {
		_, ok := facts[name]
		return ok || isField(name)
	}
}

// walker compares a body with a shape and notes what is wrong.
type walker struct {
	dec      *json.Decoder
	problems []intake.Problem
}

// check returns what is wrong with raw; nil if nothing is. Raw that is no JSON
// at all is errMalformed.
func (s *shape) check(raw []byte) ([]intake.Problem, error) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, errMalformed
	}
	w := walker{dec: json.NewDecoder(bytes.NewReader(raw))}
	w.dec.UseNumber()
	w.value(s, "")
	return w.problems, nil
}

var errMalformed = errors.New("not JSON")

func (w *walker) note(pointer, code string, position int) {
	if len(w.problems) < maxProblems {
		w.problems = append(w.problems, intake.Problem{Pointer: pointer, Code: code, Position: position})
	}
}

// value consumes exactly one value.
func (w *walker) value(s *shape, pointer string) {
	token, err := w.dec.Token()
	if err != nil {
		return // cannot be: the body is valid JSON
	}
	if token == nil {
		if !s.nullable && s.kind != shapeAny {
			w.note(pointer, "wrong_type", 0)
		}
		return
	}
	if open, ok := token.(json.Delim); ok {
		w.composite(s, pointer, open)
		return
	}
	w.scalar(s, pointer, token)
}

func (w *walker) composite(s *shape, pointer string, open json.Delim) {
	switch {
	case s.kind == shapeAny:
		w.skip(1)
	case open == '{' && s.kind == shapeObject:
		w.object(s, pointer)
	case open == '{' && s.kind == shapeMap:
		w.mapping(s, pointer)
	case open == '[' && s.kind == shapeArray:
		for i := 0; w.dec.More(); i++ {
			w.value(s.elem, pointer+"/"+strconv.Itoa(i))
		}
		_, _ = w.dec.Token()
	default:
		w.note(pointer, "wrong_type", 0)
		w.skip(1)
	}
}

func (w *walker) scalar(s *shape, pointer string, token json.Token) {
	ok, code := s.kind == shapeAny, "wrong_type"
	switch v := token.(type) {
	case string:
		ok = ok || s.kind == shapeString
		if s.kind == shapeTime {
			_, err := time.Parse(time.RFC3339, v)
			ok, code = err == nil, "malformed"
		}
	case bool:
		ok = ok || s.kind == shapeBool
	case json.Number:
		_, err := strconv.Atoi(v.String())
		ok = ok || (s.kind == shapeInt && err == nil)
	}
	if !ok {
		w.note(pointer, code, 0)
	}
}

func (w *walker) object(s *shape, pointer string) {
	seen := make(map[string]struct{}, len(s.fields))
	for position := 1; w.dec.More(); position++ {
		key, field := w.key(), (*shape)(nil)
		if field = s.fields[key]; field == nil {
			w.note(pointer, "unknown_field", position)
			w.skip(0)
			continue
		}
		if _, twice := seen[key]; twice {
			w.note(pointer+"/"+key, "duplicate_key", position)
		}
		seen[key] = struct{}{}
		w.value(field, pointer+"/"+key)
	}
	_, _ = w.dec.Token()
	for _, name := range s.required {
		if _, ok := seen[name]; !ok {
			w.note(pointer+"/"+name, "required", 0)
		}
	}
}

func (w *walker) mapping(s *shape, pointer string) {
	seen := map[string]struct{}{}
	for position := 1; w.dec.More(); position++ {
		key := w.key()
		if !s.known(key) {
			w.note(pointer, "unknown_field", position)
			w.skip(0)
			continue
		}
		if _, twice := seen[key]; twice {
			w.note(pointer+"/"+key, "duplicate_key", position)
		}
		seen[key] = struct{}{}
		w.value(s.elem, pointer+"/"+key)
	}
	_, _ = w.dec.Token()
}

func (w *walker) key() string {
	token, _ := w.dec.Token()
	key, _ := token.(string)
	return key
}

// skip consumes tokens until the depth is 0 again; depth 0 means one value.
func (w *walker) skip(depth int) {
	for {
		token, err := w.dec.Token()
		if err != nil {
			return
		}
		if d, ok := token.(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
		}
		if depth == 0 {
			return
		}
	}
}

// bodyOf knows how to read bodies of type T.
type bodyOf[T any] struct {
	shape *shape
	limit int64
	media string // accepted media type besides application/json; may be empty
}

func newBody[T any](known func(string) bool) bodyOf[T] {
	return bodyOf[T]{shape: shapeOf(reflect.TypeFor[T](), known), limit: maxBody}
}

// read decodes the request's body strictly. Its errors are *Problem.
func (b bodyOf[T]) read(x *exchange) (*T, error) {
	raw, err := x.readBody(b.limit, b.media)
	if err != nil {
		return nil, err
	}
	problems, err := b.shape.check(raw)
	if err != nil {
		return nil, x.newProblem(codeMalformed)
	}
	if len(problems) > 0 {
		return nil, x.invalid(problems)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, x.newProblem(codeMalformed) // its message could repeat the body
	}
	return &v, nil
}

// readBody reads at most limit bytes of a JSON body.
func (x *exchange) readBody(limit int64, alsoMedia string) ([]byte, error) {
	media, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil || (media != "application/json" && (alsoMedia == "" || media != alsoMedia)) || x.r.Header.Get("Content-Encoding") != "" {
		return nil, x.newProblem(codeMediaType)
	}
	if x.r.ContentLength > limit {
		return nil, x.newProblem(codeTooLarge)
	}
	var buf bytes.Buffer
	if x.r.ContentLength > 0 {
		buf.Grow(int(x.r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(io.LimitReader(x.r.Body, limit+1)); err != nil {
		return nil, x.newProblem(codeMalformed)
	}
	if int64(buf.Len()) > limit {
		x.Header().Set("Connection", "close") // do not read the rest
		return nil, x.newProblem(codeTooLarge)
	}
	if buf.Len() == 0 {
		return nil, x.newProblem(codeMalformed)
	}
	return buf.Bytes(), nil
}
