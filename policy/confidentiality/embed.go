// Package confidentiality holds the chapter on confidentiality as data and Rego: the bundle that the policy engine runs when it is given
// no other, so that a service never runs without a policy.
//
// One folder per rule ({rule.rego, rule_test.rego}), the matrix and the register of articles as data that an officer edits, and the
// documents that put them together (access, views, relations). Stock OPA reads the folder as it is: opa test policy/confidentiality.
// The package must never hold Go logic.
package confidentiality

import "embed"

//go:embed *.json *.yaml */*.rego
var files embed.FS

// Files is the embedded bundle, its tests included. It is read-only.
func Files() embed.FS { return files }
