package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Rule is one wall. Own packages are named by their path in the tree with "./"
// before it (the standard library has a crypto too), others by their import
// path; both may end in "/...".
type Rule struct {
	// Who must keep it; Except are left out.
	Who, Except []string
	// Never lists what they must not import.
	Never []string
	// Only, if set, lists all that they may import beyond the standard library.
	Only []string
	// Reach follows imports through our own packages; without it the rule is
	// about direct imports.
	Reach bool
	// Tests makes the rule hold for test files too. TestsMay are then still
	// open to test files.
	Tests    bool
	TestsMay []string
	// Why is what the reader of a failure is told.
	Why string
}

// Check returns what breaks the rule, and each pattern that matches nothing.
func (r Rule) Check(t Tree) []string {
	found := r.stale(t)
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if matchAny(r.Who, "./"+name) && !matchAny(r.Except, "./"+name) {
			found = append(found, r.checkPackage(t, name)...)
		}
	}
	return found
}

// stale finds patterns that match no package of the tree, or no import at all:
// a wall around something that was renamed guards nothing.
func (r Rule) stale(t Tree) []string {
	seen := map[string]bool{}
	for name, pkg := range t {
		seen["./"+name] = true
		for _, f := range pkg.Files {
			for _, imp := range f.Imports() {
				if _, ours := own(imp); !ours {
					seen[imp] = true
				}
			}
		}
	}
	var found []string
	for _, pattern := range slices.Concat(r.Who, r.Except, r.Never, r.Only, r.TestsMay) {
		if pattern == "net/http" || pattern == "os" || pattern == "net" {
			continue // the standard library does not get renamed
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(p string) bool { return match(pattern, p) }) {
			found = append(found, fmt.Sprintf("pattern %q matches no package (%s)", pattern, r.Why))
		}
	}
	return found
}

func (r Rule) checkPackage(t Tree, name string) []string {
	var found []string
	chain := map[string]string{name: name} // own package -> how we got there
	queue := []string{name}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, f := range t[at].Files {
			if f.Test && (!r.Tests || at != name) {
				continue
			}
			for _, imp := range f.Imports() {
				if f.Test && matchAny(r.TestsMay, spelled(imp)) {
					continue // and what lies behind it is its own affair
				}
				if r.forbids(spelled(imp)) {
					found = append(found, fmt.Sprintf("%s imports %s (by %s): %s", f.Path, spelled(imp), chain[at], r.Why))
				}
				next, ours := own(imp)
				if r.Reach && ours && chain[next] == "" && t[next] != nil {
					chain[next] = chain[at] + " > " + next
					queue = append(queue, next)
				}
			}
		}
	}
	return found
}

func (r Rule) forbids(target string) bool {
	if matchAny(r.Never, target) {
		return true
	}
	if r.Only == nil || matchAny(r.Only, target) {
		return false
	}
	return !standard(target)
}

// spelled is an import path as patterns spell it: our own with "./".
func spelled(importPath string) string {
	if p, ours := own(importPath); ours {
		return "./" + p
	}
	return importPath
}

// standard reports whether an import path is the standard library's: its first
// element has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}
