package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/verifypage"
)

// isBundle reports whether a file begins as a zip does.
func isBundle(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false // whoever opens it next says why
	}
	defer f.Close()
	var head [4]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && bytes.Equal(head[:], []byte("PK\x03\x04"))
}

// bundleVerdict is what -o json gives.
type bundleVerdict struct {
	*evidence.Report
	// PageKnown says whether the page in the bundle is the one that this program was built with.
	PageKnown bool `json:"page_known"`
}

// bundleCommand is "trailcheck verify BUNDLE.zip": an evidence bundle, by what the reader brought and nothing else.
func bundleCommand(c *console, f *flags, name string, opts verify.Options) exitcode.Code {
	if len(opts.WitnessCheckpoints) > 0 || opts.MaxAge > 0 || opts.TreeOnly || len(opts.SecondKeys) > 0 {
		return c.fail(fmt.Errorf("%w: --witness-checkpoint, --second-key, --max-age and --tree-only are for logs; give a witness's checkpoint as --pinned", errUsage))
	}
	file, err := os.Open(name)
	if err != nil {
		return c.fail(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return c.fail(err)
	}
	rep, _, err := evidence.VerifyFile(file, info.Size(), evidence.Options{Keys: opts.VerifierKey, Witnesses: opts.Witnesses, Quorum: opts.Quorum,
		Policy: opts.Policy, Pinned: opts.Pinned, Vocabulary: vocabulary()})
	if err != nil {
		return c.fail(fmt.Errorf("%w: %w", verify.ErrOptions, err))
	}
	v := bundleVerdict{rep, rep.Page == verifypage.Digest()}
	if f.output == "json" {
		err = writeJSON(c.out, v)
	} else {
		p := printer{w: c.out, lang: c.lang}
		p.bundle(v)
		err = p.err
	}
	switch {
	case err != nil:
		return c.fail(err)
	case !rep.OK:
		return exitcode.Integrity
	}
	return exitcode.OK
}

// vocabulary is what the registry says of kinds.
func vocabulary() evidence.Vocabulary {
	v := evidence.Vocabulary{Kinds: map[string]evidence.Kind{}}
	for _, k := range complaint.Registry().Events {
		v.Kinds[k.ID] = evidence.Kind{EN: k.EN, ZH: k.ZH, Opens: k.Opens}
	}
	return v
}

func (p *printer) bundle(v bundleVerdict) {
	what := v.Subject
	if v.Scope == evidence.ScopeQuery {
		what = p.say("result of a query", "检索结果")
	}
	p.line("%s %s", p.say("evidence bundle:", "证据包:"), what)
	for i := range v.Steps {
		p.step(&v.Steps[i])
	}
	p.line("")
	if len(v.Opened) > 0 {
		p.line("%s", p.say("opened through this service by:", "经本系统打开者:"))
	}
	for _, o := range v.Opened {
		name := ""
		if o.Name != "" {
			name = fmt.Sprintf(p.say(" (%s, as the service says)", "(系统所称:%s)"), o.Name)
		}
		p.line("  %s  %s%s  %s  %s", o.At.UTC().Format(time.RFC3339), o.Alias, name, strings.Join(labels("role", o.Roles, p.lang == "zh"), ", "), kindLabel(o.Kind, p.lang == "zh"))
	}
	switch {
	case v.Page == "":
	case v.PageKnown:
		p.line("%s %s", p.say("the page in the bundle is the one that this program knows:", "证据包内的页面与本程序所知一致:"), v.Page)
	default:
		p.line("%s %s", p.say("the page in the bundle is NOT the one that this program knows (another release, or a forgery); its SHA-256:", "证据包内的页面与本程序所知不一致(其他版本或伪造),其 SHA-256:"), v.Page)
	}
	if !v.OK {
		p.line("✗ %s", p.say("integrity finding: do not rely on this bundle", "发现完整性问题:不可依赖此证据包"))
		return
	}
	var missing []string
	for _, s := range v.Unchecked() {
		missing = append(missing, s.Text.In(p.lang))
	}
	if len(missing) == 0 {
		p.line("✓ %s", p.say("nothing found wrong", "未发现问题"))
		return
	}
	p.line("✓ %s; %s %s", p.say("nothing found wrong", "未发现问题"), p.say("not checked:", "未检查:"), strings.Join(missing, p.say(", ", "、")))
}
