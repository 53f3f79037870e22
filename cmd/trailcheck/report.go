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
		EN: "DIR holds the logs of one institution. -o json writes the canonical report, with --compare the one given is made again.",
		ZH: "DIR 为一家机构的日志目录。-o json 输出规范格式的报告；--compare 按所给报告写明的日志规模重算并逐字节比对。"})
	r := reporting{console: c}
	r.register(f)
	period := f.String("period", "", "month, quarter or year: 2026-01, 2026-Q1 or 2026; with --compare the report's own")
	f.StringVar(&r.compare, "compare", "", "`file` with a canonical report to compare with")
	f.StringVar(&r.format, "format", "", "table, json, csv or html; stands above -o")
	rest, code, ok := f.parse(c, args, 1, 1)
	if !ok {
		return code
	}
	if r.format == "" {
		r.format = map[string]string{"text": "table", "json": "json"}[f.output]
	}
	if err := r.prepare(rest[0], *period); err != nil {
		return r.fail(err)
	}
	res, err := supervision.FromFolders(ctx, r.period, r.sources...)
	if err == nil {
		r.unchecked(res.Verifications)
		return r.show(&res.Report)
	}
	if u, ok := errors.AsType[*supervision.UnverifiedError](err); ok {
		p := printer{w: c.err, lang: c.lang}
		p.report(u.Verification, rest[0])
	}
	return r.fail(err)
}

// reporting is one run of the verb.
type reporting struct {
	*console
	against
	compare, format string
	period          supervision.Period
	given           []byte
	sources         []supervision.Source
}

// prepare opens the folder, reads the given report and settles the period.
func (r *reporting) prepare(dir, period string) error {
	opts, err := r.options()
	if err != nil {
		return err
	}
	switch r.format {
	case "table", "json", "csv", "html":
	default:
		return fmt.Errorf("%w: --format is table, json, csv or html", errUsage)
	}
	if r.sources, err = supervision.Sources(os.DirFS(dir), opts); err != nil {
		return err
	}
	if r.compare != "" {
		if period, err = r.asReported(period); err != nil {
			return err
		}
	}
	if r.period, err = supervision.ParsePeriod(period); err != nil {
		return fmt.Errorf("%w: --period: %w", errUsage, err)
	}
	return nil
}

// asReported cuts the logs to the sizes that the given report names, since they may have grown, and returns its period where
// none was asked for. Bytes that are no canonical report are compared with the whole log's, which says where they part.
func (r *reporting) asReported(period string) (string, error) {
	var err error
	if r.given, err = os.ReadFile(r.compare); err != nil {
		return "", fmt.Errorf("%w: reading the report: %w", errUsage, err)
	}
	report, err := supervision.ParseReport(r.given)
	if err != nil {
		if period == "" {
			return "", fmt.Errorf("reading %s: %w", r.compare, err)
		}
		return period, nil
	}
	if period == "" {
		period = report.Header.Period.Name
	}
	r.sources, err = supervision.AsOf(r.sources, report.Header.Logs)
	return period, err
}

// fail maps what only this verb meets and leaves the rest to the common table: a log that does not verify, an entry whose
// facts are not of its kind and a file that is no report are findings.
func (r *reporting) fail(err error) exitcode.Code {
	code := r.console.fail(err)
	_, entry := errors.AsType[*supervision.EntryError](err)
	if entry || errors.Is(err, supervision.ErrNotVerified) || errors.Is(err, supervision.ErrReport) {
		return exitcode.Integrity
	}
	return code
}

// unchecked says on the side what nobody could check: a figure must not look better founded than its log.
func (r *reporting) unchecked(logs []*verify.Report) {
	p := printer{w: r.err, lang: r.lang}
	for _, v := range logs {
		if missing := p.missing(v); missing != "" {
			p.line("%s: %s %s", v.Origin, p.say("not checked:", "未检查:"), missing)
		}
	}
}

// show writes the report in the format asked for, or the outcome of its comparison with the given one.
func (r *reporting) show(report *supervision.Report) exitcode.Code {
	canonical, err := report.Canonical()
	if err != nil {
		return r.fail(err)
	}
	if r.compare != "" {
		return r.judge(canonical)
	}
	lang := supervision.Lang(r.lang)
	switch r.format {
	case "csv":
		err = report.WriteCSV(r.out, lang)
	case "html":
		err = report.WriteHTML(r.out, lang)
	case "table":
		err = report.WriteTable(r.out, lang)
	default:
		_, err = r.out.Write(canonical) // no newline: what is written is what --compare compares
	}
	if err != nil {
		return r.fail(err)
	}
	return exitcode.OK
}

// judge says whether the given bytes are what the log gives, and names the first difference.
func (r *reporting) judge(canonical []byte) exitcode.Code {
	p := printer{w: r.out, lang: r.lang}
	d, same := supervision.Compare(r.given, canonical)
	code := exitcode.OK
	if same {
		p.line("✓ %s", p.say("the log gives the same report, byte for byte", "由日志重算的报告逐字节相同"))
	} else {
		p.line("✗ %s", d.String())
		code = exitcode.Integrity
	}
	if p.err != nil {
		return r.fail(p.err)
	}
	return code
}
