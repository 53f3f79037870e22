package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/erasures"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/receipt"
)

// judged is what a receipt proves, as -o json gives it.
type judged struct {
	OK          bool         `json:"ok"`
	Institution string       `json:"institution"`
	Erasure     string       `json:"erasure"`
	Items       []judgedItem `json:"items"`
	// Logs is the outcome of the comparison with the logs themselves: ok, failed or not_checked.
	Logs verify.Status `json:"logs"`
}

// judgedItem is what is proved of one record.
type judgedItem struct {
	Complaint string   `json:"complaint"`
	Result    string   `json:"result"`
	Proved    bool     `json:"proved"`
	Findings  []string `json:"findings,omitempty"`

	At              time.Time `json:"at,omitzero"`
	Basis           string    `json:"basis,omitempty"`
	RequestedBy     string    `json:"requested_by,omitempty"`
	ApprovedBy      string    `json:"approved_by,omitempty"`
	Commitment      string    `json:"commitment,omitempty"`
	WrappedSHA256   string    `json:"wrapped_sha256,omitempty"`
	KeyVersion      int64     `json:"key_version,omitempty"`
	Until           string    `json:"until,omitempty"`
	IrrecoverableAt time.Time `json:"irrecoverable_at,omitzero"`
	MinAvailable    int64     `json:"min_available,omitempty"`
	SnapshotsBefore string    `json:"snapshots_destroyed_before,omitempty"`
}

// receiptCommand is "trailcheck verify RECEIPT [DIR]": the receipt by itself, with the given key only, and where the logs are at
// hand also against them.
func receiptCommand(ctx context.Context, c *console, f *flags, rest []string, opts verify.Options) exitcode.Code {
	if len(rest) == 1 && (len(opts.Pinned) > 0 || len(opts.WitnessCheckpoints) > 0 || opts.MaxAge > 0 || len(opts.SecondKeys) > 0) {
		return c.fail(fmt.Errorf("%w: saved checkpoints, --second-key and --max-age are compared with logs: give their folder behind the receipt", errUsage))
	}
	raw, err := os.ReadFile(rest[0])
	if err != nil {
		return c.fail(err)
	}
	r, err := receipt.Parse(raw)
	if err != nil {
		c.complain(verify.Text{EN: err.Error(), ZH: err.Error()})
		return exitcode.Integrity
	}
	verdicts, err := r.Verify(opts.VerifierKey)
	if err != nil {
		return c.fail(fmt.Errorf("%w: %w", verify.ErrOptions, err))
	}
	j := judge(r, verdicts)
	if err := j.cosigned(r, opts); err != nil {
		return c.fail(err)
	}
	if len(rest) > 1 {
		if err := j.compare(ctx, r, rest[1], opts); err != nil {
			return c.fail(err)
		}
	}
	j.settle()
	if f.output == "json" {
		err = writeJSON(c.out, j)
	} else {
		p := printer{w: c.out, lang: c.lang}
		p.judged(j)
		err = p.err
	}
	switch {
	case err != nil:
		return c.fail(err)
	case !j.OK:
		return exitcode.Integrity
	}
	return exitcode.OK
}

// judge takes the verdicts over.
func judge(r *receipt.Receipt, verdicts []receipt.Verdict) *judged {
	j := &judged{Institution: r.Institution, Erasure: r.Erasure, Logs: verify.NotChecked}
	for _, v := range verdicts {
		j.Items = append(j.Items, judgedItem{Complaint: v.Complaint, Result: v.Result, Findings: v.Findings, At: v.At, Basis: v.Basis, RequestedBy: v.RequestedBy,
			ApprovedBy: v.ApprovedBy, Commitment: v.Commitment, WrappedSHA256: v.WrappedSHA256, KeyVersion: v.KeyVersion, Until: v.Until,
			IrrecoverableAt: v.IrrecoverableAt, MinAvailable: v.MinAvailable, SnapshotsBefore: v.SnapshotsBefore})
	}
	return j
}

func (j *judged) settle() {
	j.OK = j.Logs != verify.Failed
	for i := range j.Items {
		j.Items[i].Proved = len(j.Items[i].Findings) == 0
		j.OK = j.OK && j.Items[i].Proved
	}
}

// cosigned checks, if witnesses are given, that enough of them cosigned every checkpoint of the receipt.
func (j *judged) cosigned(r *receipt.Receipt, opts verify.Options) error {
	if len(opts.Witnesses) == 0 {
		return nil
	}
	var witnesses []note.Verifier
	for _, key := range opts.Witnesses {
		v, err := audit.NewCosignatureVerifier(key)
		if err != nil {
			return fmt.Errorf("%w: witness key: %w", verify.ErrOptions, err)
		}
		witnesses = append(witnesses, v)
	}
	quorum := opts.Quorum
	if quorum == 0 {
		quorum = len(witnesses)
	}
	if quorum < 0 || quorum > len(witnesses) {
		return fmt.Errorf("%w: quorum %d of %d witnesses", verify.ErrOptions, opts.Quorum, len(witnesses))
	}
	for i := range r.Items {
		for n, p := range []*receipt.Proof{r.Items[i].Stage1, r.Items[i].Stage2} {
			if p == nil {
				continue
			}
			if signed, err := note.Open([]byte(p.Checkpoint), note.VerifierList(witnesses...)); err != nil || len(signed.Sigs) < quorum {
				j.find(&wanted{item: i, stage: n + 1}, "the checkpoint is not cosigned by the given witnesses")
			}
		}
	}
	return nil
}

// wanted is an entry that a receipt claims to be in a log.
type wanted struct {
	item  int
	stage int
	proof *receipt.Proof
	found bool
}

// compare looks every stage up in the logs, byte for byte, and the entry that closed the key epoch.
func (j *judged) compare(ctx context.Context, r *receipt.Receipt, dir string, opts verify.Options) error {
	var all []*wanted
	for i := range r.Items {
		for n, p := range []*receipt.Proof{r.Items[i].Stage1, r.Items[i].Stage2} {
			if p == nil {
				continue
			}
			all = append(all, &wanted{item: i, stage: n + 1, proof: p})
		}
	}
	byPlace := map[string][]*wanted{}
	for _, w := range all {
		at := place(audit.CheckpointOrigin([]byte(w.proof.Checkpoint)), w.proof.Index)
		byPlace[at] = append(byPlace[at], w)
	}
	opts.Entries = func(v *audit.LeafView) error {
		for _, w := range byPlace[place(string(v.Log()), v.Index)] {
			w.found = bytes.Equal(v.RawLeaf(), w.proof.Leaf)
		}
		return nil
	}
	reports, fold, err := verifyLogs(ctx, dir, opts)
	if err != nil {
		return err
	}
	j.Logs = verify.OK
	for _, rep := range reports {
		if !rep.OK() {
			j.Logs = verify.Failed
		}
	}
	for _, w := range all {
		if !w.found {
			j.find(w, "the entry is not in the given logs")
		}
		if w.stage == 2 && w.found {
			j.epoch(w, r, fold)
		}
	}
	return nil
}

func place(origin string, index uint64) string { return origin + "\n" + strconv.FormatUint(index, 10) }

func (j *judged) find(w *wanted, text string) {
	item := &j.Items[w.item]
	item.Findings = append(item.Findings, fmt.Sprintf("stage %d: %s", w.stage, text))
}

// epoch checks that the epoch entry that the second stage names closed one, for the same key and as far.
func (j *judged) epoch(w *wanted, r *receipt.Receipt, fold *erasures.Fold) {
	leaf, err := audit.ParseLeaf(w.proof.Leaf)
	if err != nil {
		return // package receipt has said so
	}
	f := leaf.Body.Facts
	name, _ := f.Text("key")
	least, _ := f.Int("min_available")
	entry, _ := f.Int("epoch_entry")
	key, closed, ok := fold.Closed(r.Institution, uint64(entry))
	if !ok || key != name || closed != least {
		j.find(w, "the entry that it names closed no such key epoch")
	}
}

// resultText says what a result means.
func (p *printer) resultText(result string) string {
	switch result {
	case receipt.Held:
		return p.say("kept: a legal hold", "保留:法律保全")
	case receipt.Retained:
		return p.say("kept: statutory retention has not ended", "保留:法定保存期限未满")
	case receipt.Shredded:
		return p.say("erased: the data key was destroyed; an older key backup still opens the record until the key epoch is closed", "已删除:数据密钥已销毁;密钥周期关闭前,更早的密钥备份仍可打开该记录")
	case receipt.Reduced:
		return p.say("groups of fields were erased", "部分字段已删除")
	case receipt.Irrecoverable:
		return p.say("erased and irrecoverable", "已删除且不可恢复")
	}
	return result
}

func (p *printer) judged(j *judged) {
	p.line("%s %s, %s", p.say("receipt of erasure", "删除回执"), j.Erasure, j.Institution)
	for i := range j.Items {
		p.item(&j.Items[i])
	}
	p.line("")
	switch j.Logs {
	case verify.Failed:
		p.line("✗ %s", p.say("the given logs do not verify: run trailcheck verify on them", "所给日志未通过验证:请对其运行 trailcheck verify"))
	case verify.OK:
		p.line("✓ %s", p.say("the entries are in the given logs, which verify", "记录均在所给日志中,日志验证通过"))
	default:
		p.line("– %s", p.say("not compared with the logs: give their folder to see also that nothing was opened or changed afterwards", "未与日志比对:给出日志目录,可一并检查删除后未再打开或更改"))
	}
	if j.OK {
		p.line("✓ %s", p.say("the receipt is proved by the given key", "回执由所给公钥证实"))
		return
	}
	p.line("✗ %s", p.say("the receipt is NOT proved: do not rely on it", "回执未获证实:不可依赖"))
}

func (p *printer) item(i *judgedItem) {
	sign := "✓"
	if !i.Proved {
		sign = "✗"
	}
	p.line(" %s %s  %s", sign, i.Complaint, p.resultText(i.Result))
	for _, f := range i.Findings {
		p.line("     ✗ %s", f)
	}
	if !i.Proved {
		return
	}
	p.line("     %s %s", i.At.UTC().Format(time.RFC3339), p.say("in the log", "记入日志"))
	if i.Basis != "" {
		p.line("     %s %s; %s %s, %s %s", p.say("basis", "依据"), labels("erasure_basis", []string{i.Basis}, p.lang == "zh")[0],
			p.say("requested by", "申请人"), i.RequestedBy, p.say("approved by", "批准人"), i.ApprovedBy)
	}
	if i.Until != "" {
		p.line("     %s %s", p.say("kept until", "保存至"), i.Until)
	}
	if i.Result != receipt.Irrecoverable {
		return
	}
	if i.SnapshotsBefore == "" {
		p.line("     %s", p.say("provided that older snapshots of Vault and backups of keys are destroyed, which nobody has declared", "前提:更早的 Vault 快照与密钥备份已销毁(尚无人声明)"))
		return
	}
	p.line("     %s %s", p.say("provided that snapshots of Vault and backups of keys are destroyed, as declared, that are older than", "前提:下列时间之前的 Vault 快照与密钥备份已按声明销毁:"), i.SnapshotsBefore)
}
