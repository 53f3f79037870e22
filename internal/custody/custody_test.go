package custody_test

import (
	"errors"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
)

func TestReadShowsMasksOnly(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	view, err := h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: created.ID, Purpose: "handle"})
	must(t, err)
	if view.Audit.Entry == 0 {
		t.Error("the answer names no entry")
	}
	got := map[string]custody.FieldView{}
	for _, f := range view.Fields {
		got[f.Name] = f
	}
	for name, want := range map[string]string{"phone": "138****8000", "complainant_name": "张**"} {
		if f := got[name]; f.State != custody.StateMasked || f.Value != want {
			t.Errorf("%s: got %s %q, want masked %q", name, f.State, f.Value, want)
		}
	}
}

func TestRevealNeedsAssignment(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	reveal := custody.RevealRequest{ID: created.ID, Purpose: "handle", Fields: []string{"id_number"}, Reason: "verify identity"}
	_, err := h.Reveal(t.Context(), h.as("han"), reveal)
	var refused *custody.RefusedError
	if !errors.As(err, &refused) && !errors.Is(err, custody.ErrNotFound) {
		t.Fatalf("reveal by somebody not assigned: got %v, want a refusal", err)
	}
	rev := h.walk(created, "accept", "classify", "assign")
	reveal.ID = created.ID
	view, err := h.Reveal(t.Context(), h.as("han"), reveal)
	must(t, err)
	if len(view.Fields) != 1 || view.Fields[0].Value != "11010519491231002X" || view.Revision != rev {
		t.Errorf("reveal by the handler: got %+v", view)
	}
}
