package httpapi

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sealtrail/sealtrail/internal/complaint"
)

// committed is the OpenAPI document in the tree. A test regenerates it, so that
// no change of the API goes unseen; -update rewrites it.
//
//go:embed openapi.json
var committed []byte

// Document returns a copy of the committed OpenAPI 3.1 document.
func Document() []byte { return bytes.Clone(committed) }

// jsonFormat writes JSON without HTML escapes, in one write, so that a value
// that cannot be marshalled never leaves half an answer.
func jsonFormat() huma.Format {
	return huma.Format{
		Marshal: func(w io.Writer, v any) error {
			var buf bytes.Buffer
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(v); err != nil {
				return fmt.Errorf("writing the answer: %w", err)
			}
			_, _ = w.Write(buf.Bytes()) // a caller who hung up gets nothing
			return nil
		},
		Unmarshal: func([]byte, any) error { return errMalformed }, // bodies are read by decode.go
	}
}

// humaConfig switches off what huma would say too much with: pages that load
// scripts from elsewhere, schema links, and every default but JSON.
func humaConfig(version string) huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	c := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Sealtrail", Version: version,
				Description: "Custody of sealed complaint records: every access is decided, recorded and only then opened. Errors are RFC 9457 problems that never repeat input; see docs/api.md.",
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT",
						Description: "JWT of the configured issuer (EdDSA, ES256 or RS256) with sub, institution, kind and roles."},
				},
			},
			Security: []map[string][]string{{"bearer": {}}},
			Tags: []*huma.Tag{
				{Name: "complaints", Description: "Sealed complaint records"},
				{Name: "erasure", Description: "Legal holds, erasures under four eyes, and their receipts"},
				{Name: "files", Description: "Attachments and recordings, sealed as they come and opened as they go"},
				{Name: "people", Description: "The duty register"},
				{Name: "access", Description: "Access grants and break-glass"},
				{Name: "disclosure", Description: "Packages for a recipient's public key, under four eyes"},
				{Name: "intake", Description: "Drafts that were sealed while the service was away"},
				{Name: "audit", Description: "The log and the supervision figures"},
				{Name: "service", Description: "The service itself"},
			},
			Servers: []*huma.Server{{URL: "/"}},
		},
		Formats:       map[string]huma.Format{"application/json": jsonFormat(), "json": jsonFormat()}, // "json": of problem+json
		DefaultFormat: "application/json",
	}
	c.AllowAdditionalPropertiesByDefault = true // answers may grow; bodies are closed by closeBody
	return c
}

// add registers one operation.
func add[I, O any](s *service, o operation, h func(context.Context, *exchange, *I) (*O, error)) {
	rt := &route{method: o.method, pattern: o.path, name: o.method + " " + o.path, query: queryNames(reflect.TypeFor[I]()), long: o.long, public: o.public, stream: o.stream}
	problem := &huma.Response{Description: "Problem (RFC 9457)", Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")},
	}}
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Tags: []string{o.tag}, Summary: o.summary, Description: o.description,
		DefaultStatus:      o.status,
		SkipValidateParams: true, SkipValidateBody: true, // huma would repeat values; we check
		Responses: map[string]*huma.Response{"4XX": problem, "5XX": problem},
	}
	maps.Copy(op.Responses, o.responses)
	if o.public {
		op.Security = []map[string][]string{{}}
	}
	huma.Register(s.api, op, guarded(s, rt, h))
	// Only now: huma reads and judges a body that it knows of, and repeats it.
	documented(s.api.OpenAPI().Paths[o.path], o.method).RequestBody = o.body
}

func documented(item *huma.PathItem, method string) *huma.Operation {
	switch method {
	case http.MethodPost:
		return item.Post
	case http.MethodPatch:
		return item.Patch
	case http.MethodDelete:
		return item.Delete
	default:
		return item.Get
	}
}

// queryNames collects the query parameters of an input type.
func queryNames(t reflect.Type) map[string]struct{} {
	names := map[string]struct{}{}
	for f := range t.Fields() {
		if q, _, _ := strings.Cut(f.Tag.Get("query"), ","); q != "" {
			names[q] = struct{}{}
		}
		if f.Anonymous {
			for n := range queryNames(f.Type) {
				names[n] = struct{}{}
			}
		}
	}
	return names
}

// requestBody documents a body of type T, closed against unknown keys.
func requestBody[T any](s *service, media ...string) *huma.RequestBody {
	registry := s.api.OpenAPI().Components.Schemas
	t := reflect.TypeFor[T]()
	ref := registry.Schema(t, true, t.Name())
	closeBody(registry, t, map[reflect.Type]bool{})
	b := &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: ref}}}
	for _, m := range media {
		b.Content[m] = &huma.MediaType{Schema: ref}
	}
	return b
}

// closeBody marks the objects of a body as closed.
func closeBody(registry huma.Registry, t reflect.Type, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] || t.PkgPath() == "time" {
		return
	}
	seen[t] = true
	if schema := registry.Map()[huma.DefaultSchemaNamer(t, t.Name())]; schema != nil {
		schema.AdditionalProperties = false
	}
	for f := range t.Fields() {
		closeBody(registry, f.Type, seen)
	}
}

// document renders the OpenAPI document: indented, keys sorted, one final
// newline, so that a difference reads well in review.
func (s *service) document() ([]byte, error) {
	doc := s.api.OpenAPI()
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} { // huma's own problems, which we never send
		delete(doc.Components.Schemas.Map(), unused)
	}
	stringNumbers(doc.Components.Schemas)
	closedSets(doc)
	openPaths(doc)
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("writing the OpenAPI document: %w", err)
	}
	var sorted any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&sorted); err != nil {
		return nil, fmt.Errorf("writing the OpenAPI document: %w", err)
	}
	raw, err = json.MarshalIndent(sorted, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing the OpenAPI document: %w", err)
	}
	return append(raw, '\n'), nil
}

// openPaths spells parameters that take several segments as OpenAPI does: it has
// no word for them.
func openPaths(doc *huma.OpenAPI) {
	for path, item := range doc.Paths {
		if plain := strings.ReplaceAll(path, "...}", "}"); plain != path {
			delete(doc.Paths, path)
			doc.Paths[plain] = item
		}
	}
}

// stringNumbers corrects what huma says of 64-bit numbers that travel as JSON
// strings (`json:",string"`), so that no JavaScript client rounds them.
func stringNumbers(registry huma.Registry) {
	for name, properties := range map[string][]string{
		"AuditRef": {"entry"}, "ProblemAudit": {"entry"}, "TrailItem": {"entry", "index"}, "EntryView": {"entry", "index"},
	} {
		schema := registry.Map()[name]
		if schema == nil {
			continue
		}
		for _, p := range properties {
			old := schema.Properties[p]
			schema.Properties[p] = &huma.Schema{Type: huma.TypeString, Pattern: "^[0-9]+$", Description: old.Description}
		}
	}
}

// closedSets puts the registry's closed sets into the parameters that take one.
func closedSets(doc *huma.OpenAPI) {
	purposes, states := enum("purpose"), enum("state")
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch} {
			if op == nil {
				continue
			}
			for _, p := range op.Parameters {
				switch p.Name {
				case "purpose", "Sealtrail-Purpose":
					p.Schema.Enum = purposes
				case "state":
					p.Schema.Enum = states
				}
			}
		}
	}
}

func enum(set string) []any {
	var values []any
	for _, id := range slices.Sorted(slices.Values(complaint.Registry().Allowed(set))) {
		values = append(values, id)
	}
	return values
}

// serveDocument answers GET /v1/openapi.json.
func (s *service) serveDocument() {
	type output struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	add(s, operation{id: "getOpenAPI", method: http.MethodGet, path: "/v1/openapi.json", tag: "service", public: true,
		summary: "This document"}, func(context.Context, *exchange, *struct{}) (*output, error) {
		return &output{ContentType: "application/openapi+json", Body: s.spec}, nil
	})
}
