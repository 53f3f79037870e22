package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/sealtrail/sealtrail/policy/schema"
)

// relationsPackage is the package (and its tests) whose input is subject, record and time; every other has the finite attributes.
const relationsPackage = "data.sealtrail.relations"

// readSchema reads one embedded schema.
func readSchema(name string) (any, error) {
	raw, err := schema.Files().ReadFile(name + ".json")
	if err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	var doc any
	if err := util.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("schema %s: %w", name, err)
	}
	return doc, nil
}

// checkSchemas validates every data document against its schema, with OPA's own validator.
func checkSchemas(b *bundle) []Finding {
	var found []Finding
	for _, key := range sortedKeys(b.data) {
		s, err := readSchema(key)
		if err != nil {
			found = append(found, Finding{"schema", key, err.Error()})
			continue
		}
		problems, err := matchSchema(map[string]any{key: b.data[key]}, s)
		if err != nil {
			found = append(found, Finding{"schema", key, err.Error()})
		}
		for _, p := range problems {
			found = append(found, Finding{"schema", key, p})
		}
	}
	return found
}

// matchSchema lists what is wrong with a document.
func matchSchema(doc, s any) ([]string, error) {
	rs, err := rego.New(
		rego.Query(`[ok, problems] = json.match_schema(input.doc, input.schema)`),
		rego.Input(map[string]any{"doc": doc, "schema": s}), rego.StrictBuiltinErrors(true),
	).Eval(context.Background())
	if err != nil {
		return nil, fmt.Errorf("matching schema: %w", err)
	}
	if len(rs) != 1 {
		return nil, fmt.Errorf("matching schema: undefined")
	}
	var out []string
	list, _ := rs[0].Bindings["problems"].([]any)
	for _, p := range list {
		m, _ := p.(map[string]any)
		out = append(out, text(m["error"]))
	}
	return out, nil
}

// compileTyped compiles modules with the schema of their input, so that a misspelt attribute is an error.
func compileTyped(modules map[string]*ast.Module, schemaName string) ([]Finding, error) {
	s, err := readSchema(schemaName)
	if err != nil {
		return nil, err
	}
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, s)
	c := ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true).WithSchemas(set)
	copies := make(map[string]*ast.Module, len(modules))
	for name, m := range modules {
		copies[name] = m.Copy()
	}
	if c.Compile(copies); !c.Failed() {
		return nil, nil
	}
	var found []Finding
	for _, e := range c.Errors {
		found = append(found, Finding{"compile", place(e.Location), e.Message})
	}
	return found, nil
}

// checkCompile compiles rules and tests together, strictly, each package with the schema of its own input.
func checkCompile(b *bundle) []Finding {
	relations, others := map[string]*ast.Module{}, map[string]*ast.Module{}
	for name, m := range b.all() {
		if strings.HasPrefix(m.Package.Path.String(), relationsPackage) {
			relations[name] = m
			continue
		}
		others[name] = m
	}
	var found []Finding
	for name, modules := range map[string]map[string]*ast.Module{"relations": relations, "input": others} {
		list, err := compileTyped(modules, name)
		if err != nil {
			list = []Finding{{"compile", name, err.Error()}}
		}
		found = append(found, list...)
	}
	return found
}
