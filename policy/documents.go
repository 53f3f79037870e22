package policy

import (
	"fmt"
	"slices"
)

// checkDocuments holds the data files against the closed lists: a word that nobody knows would be a permission that nobody can find.
func checkDocuments(b *bundle) []Finding {
	var found []Finding
	for _, key := range sortedKeys(b.data) {
		if !slices.Contains([]string{"domain", "matrix", "steps", "reasons", "next", "articles"}, key) {
			found = append(found, Finding{"schema", key, "unknown document"})
		}
	}
	found = append(found, checkSchemas(b)...)
	var d domain
	if err := b.decode("domain", &d); err != nil {
		return append(found, Finding{"schema", "domain", err.Error()})
	}
	if err := d.check(false); err != nil {
		found = append(found, Finding{"schema", "domain", err.Error()})
	}
	var matrix map[string]matrixRow
	if err := b.decode("matrix", &matrix); err != nil {
		return append(found, Finding{"schema", "matrix", err.Error()})
	}
	for _, role := range roles {
		row, ok := matrix[role]
		if !ok || len(row.Purposes) == 0 {
			found = append(found, Finding{"matrix", "matrix." + role, "role has no row, or no purpose"})
		}
		for _, purpose := range sortedKeys(row.Purposes) {
			found = append(found, checkEntry(fmt.Sprintf("matrix.%s.%s", role, purpose), row.Purposes[purpose])...)
		}
	}
	return found
}

// checkEntry looks at one role and purpose: what is revealed must be masked too, and only the actions that are no views are done.
func checkEntry(at string, e matrixEntry) []Finding {
	var found []Finding
	for _, g := range e.Reveal {
		if !slices.Contains(e.Mask, g) {
			found = append(found, Finding{"matrix", at, "reveals " + g + " without masking it: a reveal never goes beyond a read"})
		}
	}
	for _, g := range e.Disclose {
		if !slices.Contains(e.Mask, g) {
			found = append(found, Finding{"matrix", at, "discloses " + g + " without masking it: a disclosure never goes beyond a read"})
		}
	}
	if len(e.Mask) > 0 && !slices.Contains(e.See, "read") {
		found = append(found, Finding{"matrix", at, "masks groups but does not see read"})
	}
	return found
}
