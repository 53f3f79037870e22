// Package exitcode is the one table of exit codes that sealtrail, sealtraild
// and trailcheck follow, so that a script can branch without reading text.
//
// The one idea: a code names what the caller should do next. docs/exit-codes.md
// is checked against this table by a test. The package must never know an error
// type: each command maps its own errors.
package exitcode

// Code is a process exit status.
type Code int

// The codes. Where several apply, Integrity wins: whoever verifies must never
// mistake a finding for an outage.
const (
	OK            Code = 0   // done, and nothing was found wrong
	Failure       Code = 1   // any failure without a code of its own
	Usage         Code = 2   // the command line, or the input it names, is wrong
	NotFound      Code = 3   // no such record for this caller
	Integrity     Code = 4   // stored or published data is not what was sealed or signed
	Denied        Code = 5   // the policy refused, or the token is not valid
	NeedsApproval Code = 6   // a second person has to act first
	Conflict      Code = 7   // stale revision, or the record's state does not allow it
	Unavailable   Code = 8   // a needed service is away: try again later
	Interrupted   Code = 130 // Ctrl-C (128 + SIGINT)
)

// Row is one line of the table.
type Row struct {
	Code    Code
	Name    string // stable, for scripts and documents
	Meaning string // English, as in docs/exit-codes.md
	ZH      string // the same in Chinese
}

// Table returns every code in ascending order.
func Table() []Row {
	return []Row{
		{OK, "ok", "done, nothing found wrong", "完成,未发现问题"},
		{Failure, "failure", "failed for a reason without a code of its own", "失败(无专用退出码)"},
		{Usage, "usage", "wrong command line or input", "命令行或输入有误"},
		{NotFound, "not_found", "no such record for this caller", "对当前用户而言不存在"},
		{Integrity, "integrity", "integrity finding: data is not what was sealed or signed", "完整性发现:数据与封存或签名时不符"},
		{Denied, "denied", "refused by policy, or not authenticated", "被策略拒绝或身份无效"},
		{NeedsApproval, "needs_approval", "a second person has to act first", "须由第二人先行审批"},
		{Conflict, "conflict", "stale revision or wrong state", "版本过期或状态不允许"},
		{Unavailable, "unavailable", "a needed service is away; nothing was disclosed or changed", "所需服务不可用;未披露也未更改任何数据"},
		{Interrupted, "interrupted", "interrupted by Ctrl-C", "被 Ctrl-C 中断"},
	}
}

// String returns the code's stable name, or "unknown".
func (c Code) String() string {
	for _, r := range Table() {
		if r.Code == c {
			return r.Name
		}
	}
	return "unknown"
}
