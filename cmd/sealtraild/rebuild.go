package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/server"
)

// trailRebuild brings a database that is behind the published log to its state.
type trailRebuild struct {
	Institution  string   `env:"SEALTRAIL_INSTITUTION" required:""`
	AdminURLFile string   `aliases:"admin-database-url-file" help:"File with a superuser's database address: the service's role may not insert." env:"SEALTRAIL_ADMIN_URL_FILE" required:""`
	Published    string   `help:"Folder of the published log." env:"SEALTRAIL_PUBLISHED" required:""`
	Key          []string `help:"The log's verifier key, or a file with such keys, from elsewhere than the published folder." required:"" sep:"none"`
	Pinned       []string `help:"File with a checkpoint that somebody kept from earlier." sep:"none"`

	Witness           []string `help:"Verifier key of a witness, or a file with it." sep:"none"`
	WitnessCheckpoint []string `help:"File with the checkpoint that a witness saved last." sep:"none"`
	Ask               []string `name:"ask-witness" help:"URL=verifier-key of a witness that is asked for its last checkpoint." env:"SEALTRAIL_WITNESSES" sep:";"`

	Confirm string `help:"The origin of the newest published log." required:"" placeholder:"ORIGIN"`
	Output  string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run rebuilds in one transaction, or changes nothing. Exit code 4 if the
// published log does not verify, if the database contradicts it, or if records
// are lost.
func (t *trailRebuild) Run(ctx context.Context, c console) error {
	origin, err := t.newest()
	if err != nil {
		return err
	}
	if origin != t.Confirm {
		return usageError{fmt.Sprintf("--confirm does not repeat the origin of the newest published log, %s", origin)}
	}
	opts, silent, err := t.options(ctx, origin)
	if err != nil {
		return err
	}
	dsn, err := server.Secret(t.AdminURLFile)
	if err != nil {
		return err
	}
	conn, err := adminConn(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rebuilt, reports, err := publish.Rebuild(ctx, pglog.RebuildConfig{Conn: conn, Institution: t.Institution, Published: os.DirFS(t.Published),
		Operator: "operator"}, opts)
	if err != nil {
		return t.refused(c, err, reports)
	}
	pool, err := pgxpool.New(ctx, dsn)
	if err != nil {
		return errors.New("opening the database: it cannot be reached or refuses the login")
	}
	defer pool.Close()
	lost, err := server.LostRecords(ctx, pool, t.Institution)
	if err != nil {
		return fmt.Errorf("the log is rebuilt; lost records were not looked for: %w", err)
	}
	if err := t.print(c, rebuiltOutput{Rebuilt: rebuilt, Lost: lost, Unchecked: append(silent, unchecked(reports)...)}); err != nil {
		return err
	}
	if len(lost) > 0 {
		return findings{len(lost)}
	}
	return nil
}

// newest is the origin of the institution's newest published log.
func (t *trailRebuild) newest() (string, error) {
	own, err := fs.Sub(os.DirFS(t.Published), t.Institution)
	if err != nil {
		return "", usageError{"--published or --institution is no folder's name"}
	}
	dirs, err := verify.Logs(own)
	if err != nil {
		return "", fmt.Errorf("finding the published logs: %w", err)
	}
	if len(dirs) == 0 {
		return "", usageError{"no log of the institution is published in the folder of --published"}
	}
	raw, err := fs.ReadFile(own, path.Join(dirs[len(dirs)-1], audit.CheckpointPath))
	if err != nil {
		return "", fmt.Errorf("finding the published logs: %w", err)
	}
	return audit.CheckpointOrigin(raw), nil
}

// options reads keys and checkpoints and asks the witnesses; silent says of
// each witness that did not answer that it was not compared.
func (t *trailRebuild) options(ctx context.Context, origin string) (opts verify.Options, silent []verify.Text, err error) {
	keys, err := texts(t.Key)
	if err != nil {
		return opts, nil, err
	}
	witnesses, err := texts(t.Witness)
	if err != nil {
		return opts, nil, err
	}
	opts.VerifierKey, opts.Witnesses = strings.Join(keys, "\n"), strings.Fields(strings.Join(witnesses, "\n"))
	if opts.Pinned, err = contents(t.Pinned); err != nil {
		return opts, nil, err
	}
	if opts.WitnessCheckpoints, err = contents(t.WitnessCheckpoint); err != nil {
		return opts, nil, err
	}
	for _, spec := range t.Ask {
		url, vkey, ok := strings.Cut(spec, "=")
		if !ok {
			return opts, nil, usageError{"--ask-witness wants URL=verifier-key"}
		}
		w, err := publish.NewWitnessClient(ctx, publish.WitnessClientConfig{URL: url, VerifierKey: vkey})
		if err != nil {
			return opts, nil, usageError{err.Error()}
		}
		raw, err := w.Last(ctx, origin)
		if err != nil {
			silent = append(silent, verify.Text{EN: "witness " + w.Name() + ", which did not say what it saw last", ZH: "见证方 " + w.Name() + "(未能说明其最近所见)"})
			continue
		}
		opts.Witnesses, opts.WitnessCheckpoints = append(opts.Witnesses, vkey), append(opts.WitnessCheckpoints, raw)
	}
	if len(opts.Witnesses) > 0 {
		opts.Quorum = 1 // each that saved a checkpoint is compared by itself
	}
	return opts, silent, nil
}

// texts reads what is a file and takes the rest as it is.
func texts(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		raw, err := os.ReadFile(arg)
		switch {
		case err == nil:
			out = append(out, string(raw))
		case strings.Count(arg, "+") >= 2:
			out = append(out, arg)
		default:
			return nil, usageError{"a key is neither a verifier key nor a file that can be read"}
		}
	}
	return out, nil
}

func contents(names []string) ([][]byte, error) {
	var out [][]byte
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, usageError{"a checkpoint's file cannot be read"}
		}
		out = append(out, raw)
	}
	return out, nil
}

// unchecked names the steps of the verification that had nothing to work with.
func unchecked(reports []*verify.Report) (list []verify.Text) {
	for _, r := range reports {
		for _, s := range r.Unchecked() {
			list = append(list, verify.Text{EN: r.Origin + ": " + s.Text.EN, ZH: r.Origin + ":" + s.Text.ZH})
		}
	}
	return list
}

// refused says why nothing was changed.
func (t *trailRebuild) refused(c console, err error, reports []*verify.Report) error {
	var contradicted *pglog.ContradictionError
	switch {
	case errors.As(err, &contradicted):
		for _, f := range contradicted.Findings {
			fmt.Fprintln(c.err, "✗", f)
		}
		fmt.Fprintln(c.err, "✗ nothing was changed: the database holds what the published log contradicts, so it is no older state of it / 未作任何更改:数据库内容与已发布日志相矛盾,并非其较早状态")
		return findings{len(contradicted.Findings)}
	case errors.Is(err, publish.ErrUnverified):
		n := 0
		for _, r := range reports {
			for _, s := range r.Steps {
				for _, f := range s.Findings {
					n++
					fmt.Fprintf(c.err, "✗ %s %s: %s / %s\n", r.Origin, f.Code, f.Text.EN, f.Text.ZH)
				}
			}
		}
		fmt.Fprintln(c.err, "✗ nothing was changed: the published log does not verify / 未作任何更改:已发布日志未通过验证")
		return findings{max(n, 1)}
	}
	return err
}

// rebuiltOutput is what the command says.
type rebuiltOutput struct {
	*pglog.Rebuilt
	Lost      []server.Lost
	Unchecked []verify.Text
}

func (t *trailRebuild) print(c console, r rebuiltOutput) error {
	if t.Output == "json" {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	var b strings.Builder
	say := func(mark, en, zh string, args ...any) {
		fmt.Fprintf(&b, mark+" "+en+"\n  "+zh+"\n", append(append([]any{}, args...), args...)...)
	}
	if len(r.Logs) == 0 {
		say("✓", "nothing to rebuild: the database is not behind the published log", "无需重建:数据库并不落后于已发布日志")
	}
	for _, l := range r.Logs {
		say("✓", "log %s: %d leaves before, %d now, %d entries came back; root %s; every row hashed again and compared with the published log",
			"日志 %s:原有 %d 条,现有 %d 条,恢复 %d 条记录;根 %s;每一行均已重新计算哈希并与已发布日志比对", l.Shard.Origin, l.Had, l.Size, l.Added, hex.EncodeToString(l.Root[:]))
	}
	if len(r.Logs) > 0 {
		say("✓", "%d entries stay pending %v, %d that were pending are published and have their index; new entries get ids behind %d",
			"仍待处理 %d 条 %v,原待处理而已发布 %d 条,新记录编号自 %d 之后", r.Waiting, r.Pending, r.Claimed, r.SkipTo)
		say("–", "did not come back, since no published file holds it: openings of commitments (salts, sealed values), who stands behind an alias, times of insertion, and whatever was acknowledged and not published",
			"未恢复(已发布文件中没有):承诺的开示数据(盐值与密封值)、化名对应的人员、插入时间,以及已确认而未发布的内容")
	}
	for _, text := range r.Unchecked {
		fmt.Fprintf(&b, "– not checked: %s / 未检查:%s\n", text.EN, text.ZH)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "– %s\n", f)
	}
	for _, l := range r.Lost {
		fmt.Fprintf(&b, "✗ lost / 丢失: %s %s, revision %d, logged %d, entry %d\n", l.Complaint, l.What(), l.Revision, l.Logged, l.Entry)
	}
	say("next:", "start the service, which compares again before it takes anything; then sealtraild trail check",
		"下一步:启动服务(接受任何写入前会再次比对),然后运行 sealtraild trail check")
	_, err := fmt.Fprint(c.out, b.String())
	return err
}
