package arch_test

import (
	"go/ast"
	"io/fs"
	"os"
	"path"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/sealtrail/sealtrail/internal/arch"
)

// This file reads the commands that pages show and holds them against the
// Makefile, the command lines' own structs, and the tests of the packages.

// shown finds a command of ours in a line of shell or in a code span.
var shown = regexp.MustCompile(`(?:^|[\s("'/;&])(make|sealtraild|sealtrail|trailcheck|go test) +((?:'[^']*'|"[^"]*"|[^#|;<>()'"])*)`)

// command is one level of a command line: its subcommands, and all flags of the
// whole program, which is enough to find a flag that nobody has.
type command struct {
	sub   map[string]*command
	flags map[string]bool
}

func TestCommandsInPagesExist(t *testing.T) {
	t.Parallel()
	c := newChecker(t)
	c.report = t.Errorf
	for _, p := range pages(t) {
		c.read(p)
	}
	if c.checked < 40 {
		t.Errorf("only %d commands were found in the pages", c.checked)
	}
}

func TestWrongCommandsInPagesAreFound(t *testing.T) {
	t.Parallel()
	c := newChecker(t)
	for _, good := range []string{"make demo ARGS=--once", "sealtraild institution add bank-a --out credentials", "sealtraild doctor",
		"sealtrail --token-file t complaint get x --purpose audit", "trailcheck verify -key k -o json folder", "go test ./crypto/field -run 'Moved|Flipped'"} {
		c.report = t.Errorf
		c.read(page{"docs/x.md", "```sh\n" + good + "\n```\n"})
	}
	for _, bad := range []string{"make demos", "make demo ARG=--once", "sealtraild institution remove bank-a", "sealtraild trail", "sealtraild doctor --cure",
		"sealtrail complaint open x", "sealtrail reveal x --because y", "trailcheck very folder", "trailcheck verify -keys k folder",
		"go test ./crypto/fields", "go test ./crypto/field -run 'Moved|Sunk'"} {
		found := 0
		c.report = func(string, ...any) { found++ }
		c.read(page{"docs/x.md", "Try `" + bad + "`.\n"})
		if found == 0 {
			t.Errorf("%s was not found to be wrong", bad)
		}
	}
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	c := &checker{root: os.DirFS(moduleRoot(t)), tree: load(t), programs: map[string]*command{}}
	for _, name := range []string{"sealtraild", "sealtrail"} {
		c.programs[name] = kongCommands(c.tree, "cmd/"+name)
		if len(c.programs[name].sub) < 5 {
			t.Fatalf("only %d commands of %s were found", len(c.programs[name].sub), name)
		}
	}
	c.programs["trailcheck"] = flagCommands(c.tree, "cmd/trailcheck", "verify", "report", "explain")
	text, err := fs.ReadFile(c.root, "Makefile")
	if err != nil {
		t.Fatal(err)
	}
	c.makefile = string(text)
	return c
}

// shownIn gives the lines of shell blocks and the code spans of a page.
func shownIn(text string) []string {
	var lines []string
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		if block[1] == "sh" {
			lines = append(lines, strings.Split(strings.ReplaceAll(block[2], "\\\n", " "), "\n")...)
		}
	}
	for line := range strings.Lines(fence.ReplaceAllString(text, "")) {
		if strings.HasPrefix(line, "|") {
			line = strings.ReplaceAll(line, `\|`, "\x00") // a bar inside a table's cell
		}
		for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
			lines = append(lines, m[1])
		}
	}
	return lines
}

type checker struct {
	report   func(format string, args ...any)
	root     fs.FS
	tree     arch.Tree
	makefile string
	programs map[string]*command
	page     string
	checked  int
}

// read checks every command that a page shows.
func (c *checker) read(p page) {
	c.page = p.name
	for _, line := range shownIn(p.text) {
		for _, m := range shown.FindAllStringSubmatch(line, -1) {
			c.check(m[1], strings.Fields(m[2]))
		}
	}
}

func (c *checker) check(program string, words []string) {
	c.checked++
	switch program {
	case "make":
		c.makeTarget(words)
	case "go test":
		c.goTest(words)
	default:
		c.subcommand(program, words)
	}
}

// makeTarget checks that the Makefile has the target and uses the variables.
func (c *checker) makeTarget(words []string) {
	for i, word := range words {
		name, _, variable := strings.Cut(word, "=")
		switch {
		case variable && !strings.Contains(c.makefile, "$("+name+")"):
			c.report("%s: the Makefile uses no variable %s", c.page, name)
		case i == 0 && !variable && !strings.Contains(c.makefile, "\n"+name+":"):
			c.report("%s: make has no target %s", c.page, name)
		}
	}
}

// subcommand walks down the command line; a word behind a flag may be its value.
func (c *checker) subcommand(program string, words []string) {
	at, value := c.programs[program], false
	for _, word := range words {
		word = strings.Trim(word, "\"'`.,")
		if strings.HasPrefix(word, "-") {
			name, _, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
			if name != "help" && !c.programs[program].flags[name] {
				c.report("%s: %s has no flag %s", c.page, program, word)
			}
			value = !given
			continue
		}
		if strings.HasPrefix(word, "$") {
			return // the rest is a variable's
		}
		switch next := at.sub[word]; {
		case value:
			value = false
		case next != nil:
			at = next
		case len(at.sub) > 0:
			c.report("%s: %s has no command %q", c.page, program, word)
			return
		}
	}
	if len(at.sub) > 0 && at != c.programs[program] {
		c.report("%s: %s %s is no whole command", c.page, program, strings.Join(words, " "))
	}
}

// goTest checks that the packages are there and that -run finds a test.
func (c *checker) goTest(words []string) {
	var dirs []string
	for i, word := range words {
		if dir, ok := strings.CutPrefix(word, "./"); ok {
			dirs = append(dirs, strings.TrimSuffix(dir, "/..."))
		}
		if word == "-run" && i+1 < len(words) {
			pattern := strings.ReplaceAll(strings.Trim(words[i+1], "'"), "\x00", "|")
			for _, one := range strings.Split(pattern, "|") {
				if !c.anyTest(dirs, one) {
					c.report("%s: no test of %v is found by -run %s", c.page, dirs, one)
				}
			}
		}
	}
	for _, dir := range dirs {
		if dir != "..." && !c.isDir(dir) {
			c.report("%s: there is no package ./%s", c.page, dir)
		}
	}
}

// isDir looks from the root and from the page's own folder.
func (c *checker) isDir(dir string) bool {
	for _, base := range []string{".", path.Dir(c.page)} {
		if info, err := fs.Stat(c.root, path.Join(base, dir)); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}

func (c *checker) anyTest(dirs []string, pattern string) bool {
	find := regexp.MustCompile(pattern)
	for _, dir := range dirs {
		for _, base := range []string{".", path.Dir(c.page)} {
			pkg := c.tree[path.Join(base, dir)]
			if pkg == nil {
				continue
			}
			for _, f := range pkg.Files {
				for name := range functions(f) {
					if f.Test && find.MatchString(name) {
						return true
					}
				}
			}
		}
	}
	return false
}

func functions(f *arch.File) map[string]bool {
	found := map[string]bool{}
	for _, d := range f.AST.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
			found[fn.Name.Name] = true
		}
	}
	return found
}

// flagCommands reads a program on the standard flag package: every string that
// it holds may be a flag.
func flagCommands(tree arch.Tree, dir string, names ...string) *command {
	c := &command{sub: map[string]*command{}, flags: map[string]bool{}}
	for _, name := range names {
		c.sub[name] = &command{}
	}
	for _, f := range tree[dir].Files {
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && !f.Test {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					c.flags[s] = true
				}
			}
			return true
		})
	}
	return c
}

// kongCommands reads the structs of a kong command line: fields with the tag
// cmd are commands, all others may be flags. internal/server has more of them.
func kongCommands(tree arch.Tree, dir string) *command {
	types, flags, inner := map[string]*ast.StructType{}, map[string]bool{}, map[string]bool{}
	for _, from := range []string{dir, "internal/server"} {
		for _, f := range tree[from].Files {
			ast.Inspect(f.AST, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok || f.Test {
					return true
				}
				if s, ok := spec.Type.(*ast.StructType); ok && from == dir {
					types[spec.Name.Name] = s
				}
				return true
			})
			ast.Inspect(f.AST, func(n ast.Node) bool {
				if field, ok := n.(*ast.Field); ok && !f.Test {
					tag := tagOf(field)
					for _, name := range field.Names {
						flags[flagName(name.Name, tag)] = true
					}
					flags[tag.Get("short")] = true
				}
				return true
			})
		}
	}
	for _, s := range types {
		for _, name := range commandFields(s) {
			inner[name.typ] = true
		}
	}
	root := &command{sub: map[string]*command{}, flags: flags}
	for name, s := range types {
		if len(commandFields(s)) > 0 && !inner[name] {
			root.sub = subcommands(types, s)
		}
	}
	return root
}

type commandField struct{ name, typ string }

func commandFields(s *ast.StructType) []commandField {
	var found []commandField
	for _, field := range s.Fields.List {
		tag := tagOf(field)
		if _, ok := tag.Lookup("cmd"); !ok {
			continue
		}
		typ := ""
		if id, ok := field.Type.(*ast.Ident); ok {
			typ = id.Name
		}
		for _, name := range field.Names {
			found = append(found, commandField{flagName(name.Name, tag), typ})
		}
	}
	return found
}

func subcommands(types map[string]*ast.StructType, s *ast.StructType) map[string]*command {
	found := map[string]*command{}
	for _, f := range commandFields(s) {
		found[f.name] = &command{}
		if inner := types[f.typ]; inner != nil {
			found[f.name].sub = subcommands(types, inner)
		}
	}
	return found
}

func tagOf(field *ast.Field) reflect.StructTag {
	if field.Tag == nil {
		return ""
	}
	s, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return ""
	}
	return reflect.StructTag(s)
}

// flagName spells a field as kong does: DatabaseURLFile is database-url-file.
func flagName(field string, tag reflect.StructTag) string {
	if name := tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	runes := []rune(field)
	for i, r := range runes {
		starts := i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if starts {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
