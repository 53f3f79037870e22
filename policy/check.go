package policy

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// Finding is one thing that Check holds against a bundle. Any finding forbids activation.
type Finding struct {
	// Check names the check: parse, format, compile, schema, vocabulary, register, matrix, test, coverage, domain.
	Check string `json:"check"`
	// Place is file:line, a file, or the path of a document.
	Place string `json:"place"`
	// Problem says what is wrong.
	Problem string `json:"problem"`
}

// String gives place, check and problem in one line.
func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Place, f.Check, f.Problem) }

// Check does to a bundle what must hold before it may be activated: formatting, strict compilation with the engine's capabilities and the
// input's schema, words outside the closed lists, the register of reasons and articles, the matrix against the rules, all tests with 100 %
// of the rules' lines covered, and a trial activation. No findings means fit. The error is for a tree that cannot be read.
func Check(ctx context.Context, fsys fs.FS) ([]Finding, error) {
	b, err := readBundle(fsys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	found := checkFormat(b)
	compiled := checkCompile(b)
	found = append(found, compiled...)
	found = append(found, checkDocuments(b)...)
	found = append(found, checkWords(b)...)
	found = append(found, checkRegister(b)...)
	if len(compiled) > 0 {
		return found, nil // nothing that does not compile can be tested
	}
	tests, err := checkTests(ctx, b)
	if err != nil {
		return nil, err
	}
	found = append(found, tests...)
	return append(found, checkActivation(ctx, b)...), nil
}

func checkFormat(b *bundle) []Finding {
	var found []Finding
	for _, name := range sortedKeys(b.files) {
		if path.Ext(name) != ".rego" {
			continue
		}
		want, err := format.Source(name, b.files[name])
		if err != nil {
			found = append(found, Finding{"format", name, err.Error()})
			continue
		}
		if !bytes.Equal(want, b.files[name]) {
			found = append(found, Finding{"format", name, "differs from opa fmt"})
		}
	}
	return found
}

func place(l *ast.Location) string {
	if l == nil {
		return "bundle"
	}
	return fmt.Sprintf("%s:%d", l.File, l.Row)
}

func (b *bundle) all() map[string]*ast.Module {
	all := make(map[string]*ast.Module, len(b.modules)+len(b.tests))
	for name, m := range b.modules {
		all[name] = m
	}
	for name, m := range b.tests {
		all[name] = m
	}
	return all
}

// checkTests runs the bundle's own tests with line coverage over everything that is not a test.
func checkTests(ctx context.Context, b *bundle) ([]Finding, error) {
	if len(b.tests) == 0 {
		return []Finding{{"test", "bundle", "no tests"}}, nil
	}
	results, report, err := runTests(ctx, b)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, r := range results {
		if r.Pass() {
			continue
		}
		problem := r.Name + " fails"
		if r.Skip {
			problem = r.Name + " is skipped"
		}
		if r.Error != nil {
			problem = r.Name + ": " + r.Error.Error()
		}
		found = append(found, Finding{"test", place(r.Location), problem})
	}
	for _, name := range sortedKeys(b.modules) {
		file, ran := report.Files[name]
		if !ran {
			found = append(found, Finding{"coverage", name, "no line is covered"})
			continue
		}
		for _, r := range file.NotCovered {
			found = append(found, Finding{"coverage", fmt.Sprintf("%s:%d", name, r.Start.Row), "no test covers this line"})
		}
	}
	return found, nil
}

func runTests(ctx context.Context, b *bundle) ([]*tester.Result, cover.Report, error) {
	store := inmem.NewFromObject(b.data)
	txn, err := store.NewTransaction(ctx, storage.TransactionParams{Write: true})
	if err != nil {
		return nil, cover.Report{}, fmt.Errorf("testing bundle: %w", err)
	}
	defer store.Abort(ctx, txn)
	cov := cover.New()
	all := b.all()
	results, err := tester.NewRunner().
		SetCompiler(ast.NewCompiler().WithCapabilities(capabilities())).
		SetStore(store).
		SetModules(all).
		CapturePrintOutput(true).
		RaiseBuiltinErrors(true).
		SetCoverageQueryTracer(cov).
		SetCoverageRuns(nil).
		SetParallel(1). // the tracer of coverage counts for all tests alike
		RunTests(ctx, txn)
	if err != nil {
		return nil, cover.Report{}, fmt.Errorf("testing bundle: %w", err)
	}
	var out []*tester.Result
	for r := range results {
		out = append(out, r)
	}
	return out, cov.Report(all), nil
}

// checkActivation builds a snapshot for a catalogue of one field per group and counts the domain.
func checkActivation(ctx context.Context, b *bundle) []Finding {
	var c Catalogue
	for _, g := range groups {
		c.Fields = append(c.Fields, Field{Name: g, Group: g, Class: "C2"})
	}
	s, err := newSnapshot(ctx, b, Config{Catalogue: c}, 1)
	if err != nil {
		return []Finding{{"domain", "bundle", err.Error()}}
	}
	var matrix map[string]matrixRow
	if err := b.decode("matrix", &matrix); err != nil {
		return []Finding{{"domain", "matrix", err.Error()}}
	}
	n := 0
	for range s.points(matrix) {
		n++
	}
	if n > maxDomain || n > s.domain.Limit {
		return []Finding{{"domain", "domain", fmt.Sprintf("%d requests, at most %d", n, min(maxDomain, s.domain.Limit))}}
	}
	return nil
}

// maxDomain bounds the decision domain, so that it stays enumerable in the build (contracts.md 8).
const maxDomain = 300_000

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// checkWords finds strings compared with an input attribute that are outside its closed list: OPA itself lets "majr" pass.
func checkWords(b *bundle) []Finding {
	var found []Finding
	for _, name := range sortedKeys(b.modules) {
		m := b.modules[name]
		if !strings.HasPrefix(m.Package.Path.String(), "data.sealtrail.") {
			found = append(found, Finding{"vocabulary", name, "package is not below sealtrail"})
		}
		ast.WalkExprs(m, func(e *ast.Expr) bool {
			found = append(found, strayWords(e)...)
			return false
		})
	}
	return found
}

// closedLists are the words that each attribute of the input may have.
func closedLists() map[string][]string {
	return map[string][]string{
		"input.role": roles, "input.roles": roles, "input.action": actions, "input.purpose": purposes, "input.stage": stages,
		"input.sensitivity": sensitivities, "input.step": append([]string{stepNone}, steps...), "input.facts": facts,
	}
}

// strayWords looks at one comparison (== != in) of an attribute with constants.
func strayWords(e *ast.Expr) []Finding {
	terms, ok := e.Terms.([]*ast.Term)
	if !ok || len(terms) != 3 {
		return nil
	}
	lists := closedLists()
	var found []Finding
	for i, j := range []int{0, 2, 1} {
		if i == 0 {
			continue
		}
		ref, ok := terms[i].Value.(ast.Ref)
		if !ok {
			continue
		}
		list, closed := lists[ref.String()]
		if !closed {
			continue
		}
		ast.WalkTerms(terms[j], func(t *ast.Term) bool {
			if s, ok := t.Value.(ast.String); ok && !slices.Contains(list, string(s)) {
				found = append(found, Finding{"vocabulary", place(e.Location), fmt.Sprintf("%q is not one of %s", string(s), ref)})
			}
			_, isRef := t.Value.(ast.Ref)
			return isRef
		})
	}
	return found
}
