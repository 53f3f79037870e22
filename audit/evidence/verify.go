package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// ErrOptions is wrapped when what the reader brings is unusable: a key that is none, a kept checkpoint that is none.
var ErrOptions = errors.New("unusable options")

// Options is what the reader brings. Nothing is required; what is not brought is not checked, and the report says so.
type Options struct {
	// Keys holds verifier keys of logs, from elsewhere than the bundle: one per line; empty lines and lines that begin with # are
	// skipped.
	Keys string
	// Witnesses are verifier keys of witnesses, Quorum how many of them must have cosigned; 0: all.
	Witnesses []string
	Quorum    int
	// Policy, if not nil, takes the place of Witnesses and Quorum; its logs' keys are used beside Keys.
	Policy *audit.WitnessPolicy
	// Pinned are signed checkpoints that the reader kept from earlier.
	Pinned [][]byte
	// Vocabulary says what kinds of entries mean.
	Vocabulary Vocabulary
}

// Vocabulary is what is known of kinds of entries: this package knows none but those that the format itself gives a meaning.
type Vocabulary struct {
	Kinds map[string]Kind
}

// Kind is one kind of entry.
type Kind struct {
	EN, ZH string
	Opens  bool // opens content of the record that it is about
}

// checking is one verification in progress.
type checking struct {
	*Bundle
	rep     *Report
	opts    Options
	keys    []note.Verifier
	policy  *audit.WitnessPolicy
	pinned  []pinned
	notes   []audit.SignedNote
	heads   []audit.Checkpoint // of Logs
	entries []*audit.Leaf      // of Items; nil: not disclosed, or not what was proved
	at      map[Place]int
}

type pinned struct {
	note audit.SignedNote
	audit.Checkpoint
}

// VerifyFile opens a bundle and verifies it. What is wrong with the bundle is a finding; an error means that it could not be read, or
// wraps [ErrOptions].
func VerifyFile(r io.ReaderAt, size int64, opts Options) (*Report, *Bundle, error) {
	b, err := Open(r, size)
	var form *FormError
	if errors.As(err, &form) {
		if _, err := newChecking(nil, opts); err != nil {
			return nil, nil, err
		}
		rep := newReport()
		rep.find(StepFormat, form.Code, about{path: form.Path})
		rep.limits(false)
		return rep, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	rep, err := Verify(b, opts)
	return rep, b, err
}

// Verify verifies a bundle that [Open] returned, as docs/formats/evidence-bundle.md says. The error wraps [ErrOptions].
func Verify(b *Bundle, opts Options) (*Report, error) {
	c, err := newChecking(b, opts)
	if err != nil {
		return nil, err
	}
	for i := range b.Logs {
		n, head, err := b.Logs[i].checkpoint()
		if err != nil || head.Origin != b.Logs[i].Origin || head.Size != b.Logs[i].Size {
			return nil, fmt.Errorf("%w: a bundle that was not opened", ErrOptions)
		}
		c.notes, c.heads = append(c.notes, n), append(c.heads, head)
	}
	sum := sha256.Sum256(b.Page)
	c.rep.Scope, c.rep.Subject, c.rep.Page = b.Scope(), b.Subject, hex.EncodeToString(sum[:])
	c.rep.ok(StepFormat)
	c.signatures()
	c.witnesses()
	c.kept()
	c.contents()
	if !c.rep.failed(StepEntries) {
		c.meaning()
	}
	c.rep.limits(c.simulated())
	return c.rep, nil
}

// meaning looks at what entries say, once they are known to be in the log.
func (c *checking) meaning() {
	c.trail()
	if !c.rep.failed(StepTrail) {
		c.complete()
	}
	c.openings()
	c.inForce()
	c.blobs()
	c.stamps()
}

func newChecking(b *Bundle, opts Options) (*checking, error) {
	c := &checking{Bundle: b, rep: newReport(), opts: opts, policy: opts.Policy, at: map[Place]int{}}
	var err error
	if c.policy == nil {
		if c.policy, err = audit.NewWitnessPolicy(opts.Quorum, trimmed(opts.Witnesses)...); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	lines := strings.Split(opts.Keys, "\n")
	for _, l := range c.policy.Logs() {
		lines = append(lines, l.VerifierKey)
	}
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		v, err := note.NewVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("%w: verifier key: %w", ErrOptions, err)
		}
		c.keys = append(c.keys, v)
	}
	for i, raw := range opts.Pinned {
		n, err := audit.SplitNote(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: kept checkpoint %d: %w", ErrOptions, i+1, err)
		}
		head, err := audit.ParseCheckpoint(n.Text)
		if err != nil {
			return nil, fmt.Errorf("%w: kept checkpoint %d: %w", ErrOptions, i+1, err)
		}
		c.pinned = append(c.pinned, pinned{n, head})
	}
	return c, nil
}

func trimmed(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.TrimSpace(s)
	}
	return out
}

func (c *checking) simulated() bool {
	for _, e := range c.entries {
		if e != nil && e.Body.Sim {
			return true
		}
	}
	return false
}

// limits says under every verdict what was not checked.
func (r *Report) limits(simulated bool) {
	for _, t := range []verify.Text{
		say("whether what the entries claim is true, and whether every act made an entry: only acts through this service do", "记录所述是否属实,以及是否每个行为都有记录:只有经本系统的行为才有记录"),
		say("whether everybody is shown the same log: witnesses and checkpoints kept elsewhere are for that", "是否所有人看到同一份日志:须靠见证方及另行保存的检查点"),
		say("whether the ends of all trails were committed truthfully: whoever holds the whole log recomputes them with trailcheck", "轨迹汇总是否如实:持有完整日志者可用 trailcheck 重算"),
		say("who stands behind an alias: names are the service's word", "别名背后是谁:姓名仅为系统所称"),
		say("time: only a witness's time and a time-stamping authority's are not the service's own", "时间:除见证方与时间戳机构外,均为系统自身时钟"),
		say("what withheld entries and values contain, and what came after the checkpoint", "未提供的记录与内容,以及检查点之后发生的事"),
		say("whether the page in the bundle is the genuine one: compare its SHA-256 with the README of the release", "证据包内的页面是否为正版:请将其 SHA-256 与发布说明(README)核对"),
	} {
		r.add(StepLimits, t)
	}
	if simulated {
		r.note(StepLimits, "the log says of itself that it is simulated", "日志自述为模拟数据")
	}
}
