package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/sealtrail/sealtrail/policy"
	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

type policyCommand struct {
	Check policyCheck `cmd:"" help:"Format, strict compilation, tests with full coverage and the chapter's own rules."`

	Replay policyReplay `cmd:"" help:"Evaluate the decisions of the log again, with the archived policy bundles that they name."`
}

type policyCheck struct {
	Bundle string `arg:"" optional:"" help:"Folder of a bundle; none: the embedded chapter."`
}

// Run prints every finding with its file and line; exit code 4 if any.
func (p *policyCheck) Run(ctx context.Context, c console) error {
	var bundle fs.FS = confidentiality.Files()
	if p.Bundle != "" {
		if info, err := os.Stat(p.Bundle); err != nil || !info.IsDir() {
			return usageError{"there is no folder " + p.Bundle + ": name the folder of a bundle, such as policy/confidentiality"}
		}
		bundle = os.DirFS(p.Bundle)
	}
	found, err := policy.Check(ctx, bundle)
	if err != nil && p.Bundle != "" {
		return fmt.Errorf("%s cannot be read as a policy: %w", p.Bundle, err)
	}
	if err != nil {
		return err
	}
	for _, f := range found {
		if _, err := fmt.Fprintln(c.out, "✗", f); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return findings{len(found)}
	}
	_, err = fmt.Fprintln(c.out, "✓ the bundle is formatted, compiles strictly, passes its tests and covers every rule")
	return err
}
