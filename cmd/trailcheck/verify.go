package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/erasures"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/inforce"
)

// verifyCommand is "trailcheck verify": every log below DIR, step by step, or a receipt of an erasure.
func verifyCommand(ctx context.Context, c *console, args []string) exitcode.Code {
	f := newFlags(c, "verify", "DIR | BUNDLE.zip | RECEIPT [DIR]", verify.Text{
		EN: "DIR is a log folder (with a file \"checkpoint\"), or holds <institution>/<year> folders of logs. RECEIPT is the file of an erasure receipt; with DIR it is also compared with the logs. BUNDLE.zip is an evidence bundle.",
		ZH: "DIR 为日志目录(含 checkpoint 文件),或其下有 <机构>/<年份> 目录。RECEIPT 为删除回执文件;同时给出 DIR 时,回执还与日志比对。BUNDLE.zip 为证据包。"})
	var a against
	a.register(f)
	age := f.Duration("max-age", 0, "how old the newest cosignature may be, e.g. 36h; an older one is a finding. Needs --witness. Choose more than the log's quiet times")
	tsa := f.String("tsa-ca", "", "`file` with the certificate of the time stamp authority, in PEM; without it time stamps are not checked")
	tree := f.Bool("tree-only", false, "hash and compare, but leave the contents of entries alone: for any tlog-tiles log, whoever made it")
	rest, code, ok := f.parse(c, args, 1, 2)
	if !ok {
		return code
	}
	opts, err := a.options()
	opts.TreeOnly = *tree
	if err == nil && (*age < 0 || *age > 0 && len(opts.Witnesses) == 0 && opts.Policy == nil) {
		err = fmt.Errorf("%w: --max-age is not negative and needs the --witness key or a --policy: only a witness's statement has a time that the log's keeper cannot choose", errUsage)
	}
	if err != nil {
		return c.fail(err)
	}
	opts.MaxAge = *age
	stamped, err := newStamps(*tsa)
	if err != nil {
		return c.fail(err)
	}
	opts.Entries = stamped.take
	info, err := os.Stat(rest[0])
	switch {
	case err != nil:
		return c.fail(err)
	case info.Mode().IsRegular() && len(rest) == 1 && isBundle(rest[0]):
		return bundleCommand(c, f, rest[0], opts)
	case info.Mode().IsRegular():
		return receiptCommand(ctx, c, f, rest, opts)
	case len(rest) > 1:
		f.Usage() // one folder is verified at a time
		return exitcode.Usage
	}
	reports, _, err := verifyLogs(ctx, rest[0], opts)
	if err != nil {
		return c.fail(err)
	}
	if err := stamped.add(rest[0], reports); err != nil {
		return c.fail(err)
	}
	good := true
	for _, r := range reports {
		good = good && r.OK()
	}
	if f.output == "json" {
		if err := writeJSON(c.out, struct {
			OK   bool             `json:"ok"`
			Logs []*verify.Report `json:"logs"`
		}{good, reports}); err != nil {
			return c.fail(err)
		}
	} else {
		for _, r := range reports {
			p := printer{w: c.out, lang: c.lang}
			p.report(r, rest[0])
			if p.err != nil {
				return c.fail(p.err)
			}
		}
	}
	if !good {
		return exitcode.Integrity
	}
	return exitcode.OK
}

// The steps that this command adds to those of package verify; between them stands that of the heads of trails.
const (
	stepErasures = verify.StepLimits + 1
	stepInForce  = stepErasures + 2
)

// verifyLogs verifies every log below dir and follows holds, erasures and key epochs through them.
func verifyLogs(ctx context.Context, dir string, opts verify.Options) ([]*verify.Report, *erasures.Fold, error) {
	fold, policies, also := &erasures.Fold{}, &inforce.Fold{}, opts.Entries
	opts.Entries = func(v *audit.LeafView) error {
		if also != nil {
			if err := also(v); err != nil {
				return err
			}
		}
		if err := policies.Take(v); err != nil {
			return err
		}
		return fold.Take(v)
	}
	reports, err := verify.VerifyAll(ctx, os.DirFS(dir), opts)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range reports {
		folder, err := fs.Sub(os.DirFS(dir), path.Clean(r.Folder))
		if err != nil {
			return nil, nil, err
		}
		r.Steps = append(r.Steps, fold.Step(stepErasures, r.Origin), r.HeadsStep(stepErasures+1), policies.Step(stepInForce, r.Origin, folder))
	}
	return reports, fold, nil
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// printer writes a report for people; the first error sticks.
type printer struct {
	w    io.Writer
	lang string
	err  error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) say(en, zh string) string { return verify.Text{EN: en, ZH: zh}.In(p.lang) }

// mark is the sign in front of a step.
func mark(s verify.Status) string {
	switch s {
	case verify.OK:
		return "✓"
	case verify.Failed:
		return "✗"
	case verify.NotChecked:
	}
	return "–"
}

func (p *printer) report(r *verify.Report, dir string) {
	folder := filepath.Join(dir, filepath.FromSlash(r.Folder))
	p.line("%s %s", p.say("log ", "日志"), r.Origin)
	p.line("%s %d %s", p.say("size", "规模"), r.Size, p.say("entries", "条记录"))
	p.line("%s %s", p.say("root", "根  "), r.Root)
	for i := range r.Steps {
		p.step(&r.Steps[i])
	}
	p.line("")
	p.verdict(r, folder)
}

func (p *printer) step(s *verify.Step) {
	p.line(" %d %s %s", s.Number, mark(s.Status), s.Text.In(p.lang))
	for _, n := range s.Notes {
		p.line("     %s", n.In(p.lang))
	}
	for i := range s.Findings {
		p.finding(&s.Findings[i])
	}
	if s.More > 0 {
		p.line("     %s", fmt.Sprintf(p.say("and %d more", "另有 %d 项"), s.More))
	}
}

func (p *printer) finding(f *verify.Finding) {
	p.line("     ✗ %s", f.Text.In(p.lang))
	where := f.Path
	if f.From != nil {
		entries := fmt.Sprintf(p.say("entry %d", "第 %d 条"), *f.From)
		if f.To != nil && *f.To != *f.From {
			entries = fmt.Sprintf(p.say("entries %d to %d", "第 %d 至 %d 条"), *f.From, *f.To)
		}
		where = strings.TrimPrefix(where+", "+entries, ", ")
	}
	if where != "" {
		p.line("         %s  %s", p.say("where     ", "位置    "), where)
	}
	if f.Want != "" {
		p.line("         %s  %s", p.say("on record ", "所存所签"), f.Want)
	}
	if f.Got != "" {
		p.line("         %s  %s", p.say("recomputed", "重新计算"), f.Got)
	}
}

// verdict ends the report with one line that cannot be misread, and the next command.
func (p *printer) verdict(r *verify.Report, folder string) {
	if !r.OK() {
		p.line("✗ %s", p.say("integrity finding: do not rely on this log", "发现完整性问题:不可依赖此日志"))
		if _, f := r.FirstFinding(); f != nil && f.From != nil && *f.From < r.Size {
			p.line("%s trailcheck explain %s %d", p.say("next:", "下一步:"), folder, *f.From)
		}
		return
	}
	missing := p.missing(r)
	if missing == "" {
		p.line("✓ %s", p.say("nothing found wrong", "未发现问题"))
	} else {
		p.line("✓ %s; %s %s", p.say("nothing found wrong", "未发现问题"), p.say("not checked:", "未检查:"), missing)
	}
	if r.Step(verify.StepWitnesses).Status == verify.NotChecked && !r.Counts.CosignedAt.IsZero() {
		p.line("%s", p.say("next: ask the witness itself for its last checkpoint, and give it to the next run: --witness-checkpoint FILE",
			"下一步:直接向见证方索取其最近的检查点,下次验证时使用:--witness-checkpoint 文件"))
	}
	if r.Step(verify.StepPinned).Status == verify.NotChecked {
		p.line("%s", p.say("next: keep this checkpoint outside of the operators' reach and give it to the next run:", "下一步:将此检查点存放于运维人员无法触及之处,下次验证时使用:"))
		p.line("      cp %s kept-checkpoint && trailcheck verify --pinned kept-checkpoint ...", filepath.Join(folder, audit.CheckpointPath))
	}
}

// missing names what was not at hand: the sentence of the design's page on what a log can show.
func (p *printer) missing(r *verify.Report) string {
	var out []string
	if r.Step(verify.StepPinned).Status == verify.NotChecked {
		out = append(out, p.say("no earlier checkpoint", "没有先前保存的检查点"))
	}
	switch {
	case r.Step(verify.StepWitnesses).Status != verify.NotChecked:
	case r.Counts.CosignedAt.IsZero():
		out = append(out, p.say("no witness", "没有见证方"))
	default:
		out = append(out, fmt.Sprintf(p.say("no witness beyond size %d of %d", "规模 %d 之后无见证方联署(日志规模 %d)"), r.Counts.Cosigned, r.Size))
	}
	return strings.Join(out, p.say(", ", "、"))
}
