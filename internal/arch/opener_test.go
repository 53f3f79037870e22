package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/arch"
)

const sealedIntake = "github.com/sealtrail/sealtrail/crypto/intake"

// TestOnlyTheDoorOpensSealedIntake: clients import crypto/intake to seal; the
// private half is made in internal/custody and nowhere else.
func TestOnlyTheDoorOpensSealedIntake(t *testing.T) {
	t.Parallel()
	found := privateMakers(load(t))
	if len(found) != 1 || !strings.HasPrefix(found[0], "internal/custody/") {
		t.Errorf("NewPrivateKey of crypto/intake is named in %v, want one file of internal/custody", found)
	}
}

func TestAnotherOpenerIsFound(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]int{
		"package p\nimport i \"" + sealedIntake + "\"\nvar f = i.NewPrivateKey":    1,
		"package p\nimport \"" + sealedIntake + "\"\nvar f = intake.NewPrivateKey": 1,
		"package p\nimport \"" + sealedIntake + "\"\nvar f = intake.OpenSpool":     0,
		"package p\nimport \"crypto/x\"\nvar f = intake.NewPrivateKey":             0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(privateMakers(arch.Tree{"p": {Files: []*arch.File{{Path: "p.go", AST: file}}}})); got != want {
			t.Errorf("%d found in %q", got, source)
		}
	}
}

// privateMakers lists the files, tests aside, that name the maker of private
// intake keys outside of its own package.
func privateMakers(tree arch.Tree) []string {
	var found []string
	for _, pkg := range tree {
		for _, f := range pkg.Files {
			if name := importedAs(f.AST, sealedIntake); !f.Test && name != "" && names(f.AST, name, "NewPrivateKey") {
				found = append(found, f.Path)
			}
		}
	}
	return found
}

// importedAs is the name under which a file imports a package; empty if not.
func importedAs(file *ast.File, importPath string) string {
	for _, imp := range file.Imports {
		if strings.Trim(imp.Path.Value, `"`) != importPath {
			continue
		}
		if imp.Name != nil {
			return imp.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

func names(file *ast.File, pkg, member string) (found bool) {
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == member {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == pkg {
				found = true
			}
		}
		return true
	})
	return found
}
