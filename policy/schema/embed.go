// Package schema holds the JSON schemas (draft 7) of what the policy engine asks OPA and of a bundle's data files, for editors and for
// policy.Check. The closed lists in them are those of package policy; a test there compares them. The package must never hold logic.
package schema

import "embed"

//go:embed *.json
var files embed.FS

// Files are the schemas: input.json and relations.json of the two inputs, the others named like the document that they describe.
func Files() embed.FS { return files }
