package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

// reportCommand is "trailcheck report": verify every log below DIR, fold its entries into the figures of a period, and, where a
// report is given, compare the two byte for byte.
func reportCommand(ctx context.Context, c *console, args []string) exitcode.Code {
	f := newFlags(c, "report", "DIR", verify.Text{
		EN: "DIR holds the logs of one institution. -o json writes the canonical report.",
		ZH: "DIR 为一家机构的日志目录。-o json 输出规范格式的报告。"})
	var a against
	a.register(f)
	period := f.String("period", "", "month, quarter or year: 2026-01, 2026-Q1 or 2026")
	given := f.String("compare", "", "`file` with a canonical report to compare with")
	rest, code, ok := f.parse(c, args, 1, 1)
	if !ok {
		return code
	}
	p, err := supervision.ParsePeriod(*period)
	if err != nil {
		return c.fail(fmt.Errorf("%w: --period: %w", errUsage, err))
	}
	opts, err := a.options()
	if err != nil {
		return c.fail(err)
	}
	sources, err := supervision.Sources(os.DirFS(rest[0]), opts)
	if err != nil {
		return c.fail(err)
	}
	res, err := supervision.FromFolders(ctx, p, sources...)
	if errors.Is(err, supervision.ErrNotVerified) {
		last := res.Verifications[len(res.Verifications)-1]
		out := printer{w: c.err, lang: c.lang}
		out.report(last, rest[0])
		return exitcode.Integrity
	}
	if err != nil {
		return c.fail(err)
	}
	return showReport(c, f.output, &res.Report, *given)
}

// showReport writes the report, or the outcome of its comparison with the given one.
func showReport(c *console, output string, r *supervision.Report, given string) exitcode.Code {
	canonical, err := r.Canonical()
	if err != nil {
		return c.fail(err)
	}
	if given != "" {
		want, err := os.ReadFile(given)
		if err != nil {
			return c.fail(fmt.Errorf("%w: reading the report: %w", errUsage, err))
		}
		p := printer{w: c.out, lang: c.lang}
		d, same := supervision.Compare(want, canonical)
		if !same {
			p.line("✗ %s", d.String())
			return exitcode.Integrity
		}
		p.line("✓ %s", p.say("the log gives the same report, byte for byte", "由日志重算的报告逐字节相同"))
		return exitcode.OK
	}
	if output == "json" {
		_, err = c.out.Write(canonical)
	} else {
		err = r.WriteTable(c.out, supervision.Lang(c.lang))
	}
	if err != nil {
		return c.fail(err)
	}
	return exitcode.OK
}
