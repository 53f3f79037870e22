package supervision

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Difference is the first place where two reports part.
type Difference struct {
	// Figure is the id of the figure the place belongs to; empty for the header and the tables.
	Figure string
	// Pointer is the place's JSON pointer (RFC 6901) in the first report.
	Pointer string
	// Want and Got are the two values in JSON, "absent" where one report has none, cut to 120 bytes.
	Want, Got string
}

// String says where the reports part and what each holds.
func (d Difference) String() string {
	where := d.Pointer
	if d.Figure != "" {
		where = d.Figure + " at " + d.Pointer
	}
	return fmt.Sprintf("%s: report says %s, the log gives %s", where, d.Want, d.Got)
}

// Compare says whether two canonical reports are equal byte for byte and, if not, the first difference: figures are
// looked at before the rest, in the order of want, since a figure is what people argue about. want may be any bytes; those
// that are not JSON differ at the root.
func Compare(want, got []byte) (Difference, bool) {
	if bytes.Equal(want, got) {
		return Difference{}, true
	}
	a, errA := decodeAny(want)
	b, errB := decodeAny(got)
	if errA != nil || errB != nil {
		return Difference{Pointer: "/", Want: "bytes that are not one JSON value", Got: "a report"}, false
	}
	if d, ok := diffFigures(a, b); !ok {
		return d, false
	}
	if d, ok := diff("", a, b); !ok {
		return d, false
	}
	return Difference{Pointer: "/", Want: "the same values in other bytes", Got: "canonical bytes"}, false
}

// diffFigures compares the figures by id, so that one figure left out does not shift the blame to the next.
func diffFigures(a, b any) (Difference, bool) {
	byID := map[string]any{}
	for _, f := range figuresOf(b) {
		byID[idOf(f)] = f
	}
	for i, f := range figuresOf(a) {
		id := idOf(f)
		ptr := "/figures/" + strconv.Itoa(i)
		other, ok := byID[id]
		if !ok {
			return Difference{Figure: id, Pointer: ptr, Want: "a figure", Got: "absent"}, false
		}
		if d, same := diff(ptr, f, other); !same {
			d.Figure = id
			return d, false
		}
	}
	return Difference{}, true
}

func figuresOf(report any) []any {
	m, _ := report.(map[string]any)
	list, _ := m["figures"].([]any)
	return list
}

func idOf(figure any) string {
	m, _ := figure.(map[string]any)
	def, _ := m["definition"].(map[string]any)
	id, _ := def["id"].(string)
	return id
}

// diff finds the first difference in member order; the bool is true when there is none.
func diff(ptr string, a, b any) (Difference, bool) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			return diffObjects(ptr, x, y)
		}
	case []any:
		if y, ok := b.([]any); ok {
			return diffArrays(ptr, x, y)
		}
	default:
		if show(a) == show(b) {
			return Difference{}, true
		}
	}
	return Difference{Pointer: orRoot(ptr), Want: show(a), Got: show(b)}, false
}

func diffObjects(ptr string, a, b map[string]any) (Difference, bool) {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	for _, k := range sortedKeys(keys) {
		x, inA := a[k]
		y, inB := b[k]
		at := ptr + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(k)
		if !inA || !inB {
			return Difference{Pointer: at, Want: showIf(inA, x), Got: showIf(inB, y)}, false
		}
		if d, ok := diff(at, x, y); !ok {
			return d, false
		}
	}
	return Difference{}, true
}

func diffArrays(ptr string, a, b []any) (Difference, bool) {
	for i := range min(len(a), len(b)) {
		if d, ok := diff(ptr+"/"+strconv.Itoa(i), a[i], b[i]); !ok {
			return d, false
		}
	}
	if len(a) == len(b) {
		return Difference{}, true
	}
	i := min(len(a), len(b))
	d := Difference{Pointer: ptr + "/" + strconv.Itoa(i), Want: "absent", Got: "absent"}
	if i < len(a) {
		d.Want = show(a[i])
	}
	if i < len(b) {
		d.Got = show(b[i])
	}
	return d, false
}

func orRoot(ptr string) string {
	if ptr == "" {
		return "/"
	}
	return ptr
}

func showIf(present bool, v any) string {
	if !present {
		return "absent"
	}
	return show(v)
}

// show writes a value for a person. A value outside the restricted form (a float in a foreign report) is named, not shown.
func show(v any) string {
	b, err := appendCanonical(nil, v)
	if err != nil {
		return "a value no report holds"
	}
	if len(b) > 120 {
		return string(b[:117]) + "..."
	}
	return string(b)
}
