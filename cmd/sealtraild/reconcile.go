package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/internal/reconcile"
	"github.com/sealtrail/sealtrail/internal/server"
)

type reconcileCommand struct {
	server.ReconcileConfig
	Once   bool   `help:"Compare what is there and end; exit code 4 if anything is alone." xor:"mode"`
	Follow bool   `help:"Go on comparing until a signal comes (the default)." xor:"mode"`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json; of --once."`
}

// Run compares what Vault wrote down of the keys with what the log says, in both
// directions.
func (k *reconcileCommand) Run(ctx context.Context, c console) error {
	r, err := server.NewReconciler(ctx, k.ReconcileConfig, c.err)
	if err != nil {
		return err
	}
	defer r.Close()
	if !k.Once {
		if len(k.VaultAuditFile) != 1 {
			return usageError{"--follow follows one file"}
		}
		return r.Follow(ctx)
	}
	found, err := r.Once(ctx)
	if err != nil {
		return err
	}
	if err := k.print(c, found); err != nil {
		return err
	}
	if n := len(found.Alarms); n > 0 {
		return findings{n}
	}
	return nil
}

func (k *reconcileCommand) print(c console, r *reconcile.Result) error {
	if k.Output == "json" {
		return asJSON(c.out, r)
	}
	for _, a := range r.Alarms {
		text := alarmText(a.What)
		if _, err := fmt.Fprintf(c.out, "✗ %s %s %s %s\n  %s\n  %s\n", a.What, a.At.Format(time.RFC3339), a.Batch, a.Line, text[0], text[1]); err != nil {
			return err
		}
	}
	good := mark(r.State == reconcile.StateGood)
	_, err := fmt.Fprintf(c.out, "%s %s: %d calls with %d items, %d matched, %d findings; segment %s\n"+
		"  调用 %[3]d 次,共 %[4]d 项,已对上 %[5]d 项,发现 %[6]d 项问题\n"+
		"– not seen: who decrypts offline with unseal shares and a snapshot of Vault\n"+
		"  看不到:持有解封份额和 Vault 快照的人离线解密\n", good, r.State, r.Counts.Calls, r.Counts.Items, r.Counts.Matched, len(r.Alarms), r.Segment)
	return err
}

// alarmText says what an alarm means, in English and Chinese.
func alarmText(what string) [2]string {
	switch what {
	case reconcile.AlarmWithoutEntry:
		return [2]string{"a data key was opened at Vault, and no entry of the log stands for it", "Vault 中有一把数据密钥被解开,日志里没有记录为它负责"}
	case reconcile.AlarmSurplus:
		return [2]string{"a key was used again under the id of a genuine call", "有人借用真实调用的编号再次使用密钥"}
	case reconcile.AlarmIndex:
		return [2]string{"index tokens were computed for nothing that the log knows", "计算了索引令牌,日志里没有相应记录"}
	case reconcile.AlarmRewrap:
		return [2]string{"keys were rewrapped in no run that the log knows", "密钥被重新包裹,日志里没有相应批次"}
	case reconcile.AlarmBatchUnseen:
		return [2]string{"an entry names a call that Vault did not write down", "日志记录所指的调用,Vault 没有记下"}
	case reconcile.AlarmKeyCall:
		return [2]string{"a key was configured, exported or trimmed without an entry", "密钥被改配置、导出或裁剪,日志里没有记录"}
	case reconcile.AlarmRole:
		return [2]string{"the keys were used with another login than the service's", "使用密钥的不是服务的登录身份"}
	case reconcile.AlarmDevice:
		return [2]string{"an audit device was made, disabled or replaced", "审计设备被新建、停用或替换"}
	}
	return [2]string{"Vault's audit file is silent, missing or shorter than it was", "Vault 审计文件无更新、缺失或变短"}
}
