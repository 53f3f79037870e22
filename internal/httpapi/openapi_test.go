package httpapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/doortest"
)

// update rewrites golden files.
var update = flag.Bool("update", false, "rewrite openapi.json")

func bare(t testing.TB) *service {
	t.Helper()
	s, err := build(Config{Door: &doortest.Door{}, Verifier: &authn.JWT{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpenAPIDocumentIsTheCommittedOne(t *testing.T) {
	t.Parallel()
	s := bare(t)
	if *update {
		if err := os.WriteFile("openapi.json", s.spec, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(s.spec, Document()) {
		t.Error("openapi.json is not what the code says; run: go test ./internal/httpapi -run OpenAPI -update")
	}
}

func TestOpenAPIDocumentSaysWhatClientsNeed(t *testing.T) {
	t.Parallel()
	var doc struct {
		OpenAPI string
		Info    struct{ License struct{ Name string } }
		Paths   map[string]map[string]struct {
			OperationID string
			Summary     string
			Tags        []string
			Responses   map[string]any
			RequestBody *struct{ Content map[string]any }
		}
		Components struct {
			SecuritySchemes map[string]any
			Schemas         map[string]struct {
				AdditionalProperties any
				Properties           map[string]struct{ Type any }
			}
		}
		Security []map[string][]string
	}
	if err := json.Unmarshal(bare(t).spec, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" || doc.Info.License.Name != "Apache-2.0" || len(doc.Security) != 1 || doc.Components.SecuritySchemes["bearer"] == nil {
		t.Errorf("version %s, licence %s, security %v", doc.OpenAPI, doc.Info.License.Name, doc.Security)
	}
	ids := map[string]bool{}
	for path, operations := range doc.Paths {
		for method, op := range operations {
			if op.OperationID == "" || ids[op.OperationID] || op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s %s: operation id %q is empty or twice, or summary or tag is missing", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
			if op.Responses["4XX"] == nil || op.Responses["5XX"] == nil {
				t.Errorf("%s %s does not say that it answers problems", method, path)
			}
		}
	}
	if got := doc.Components.Schemas["Draft"].AdditionalProperties; got != false {
		t.Errorf("Draft is open: additionalProperties = %v", got)
	}
	if got := doc.Components.Schemas["AuditRef"].Properties["entry"].Type; got != "string" {
		t.Errorf("AuditRef.entry is documented as %v, it is sent as a string", got)
	}
	for _, noise := range []string{"$schema", "ErrorModel", "/docs", "ErrorDetail"} {
		if strings.Contains(string(bare(t).spec), noise) {
			t.Errorf("the document mentions %s", noise)
		}
	}
	for _, path := range []string{"/v1/complaints", "/v1/complaints:batch", "/v1/complaints:search", "/v1/complaints/{id}", "/v1/complaints/{id}/reveals",
		"/v1/complaints/{id}/transitions", "/v1/complaints/{id}/trail", "/v1/audit/entries/{entry}", "/v1/reports", "/v1/status", "/v1/openapi.json",
		"/v1/people", "/v1/access-requests/{id}/reviews", "/v1/break-glass/{id}/review"} {
		if doc.Paths[path] == nil {
			t.Errorf("the document lacks %s", path)
		}
	}
}

// docs/api.md lists every problem code, so that a client can be written from it.
func TestEveryProblemCodeIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for code, k := range kinds() {
		if !strings.Contains(string(page), "| `"+code+"` |") {
			t.Errorf("docs/api.md has no row for %s (%d)", code, k.status)
		}
		if k.titleEN == "" || k.titleZH == "" {
			t.Errorf("%s lacks a title", code)
		}
		if (k.status == 503) != (k.retryAfter > 0 && k.status != 429) {
			t.Errorf("%s: a 503, and only it, says when to try again", code)
		}
	}
}
