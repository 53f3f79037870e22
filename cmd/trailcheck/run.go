package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/verifypage"
)

// console is where a command reads its surroundings and writes.
type console struct {
	out, err io.Writer
	getenv   func(string) string
	lang     string // "zh" or "en", set by flags
}

// command is one verb. It gets its arguments without its own name.
type command struct {
	name string
	run  func(ctx context.Context, c *console, args []string) exitcode.Code
	text verify.Text
}

func commands() []command {
	return []command{
		{"verify", verifyCommand, verify.Text{EN: "verify a published log", ZH: "验证已发布的日志"}},
		{"explain", explainCommand, verify.Text{EN: "say what one entry records, with its proof, or what a misbehaviour file shows", ZH: "说明某一条记录的内容并给出证明,或说明异常行为文件"}},
		{"report", reportCommand, verify.Text{EN: "recompute supervision figures from the log", ZH: "依据日志重算监督指标"}},
	}
}

// run dispatches to the verb. An unknown verb is an error of usage: a script must not take its silence for success.
func run(ctx context.Context, c *console, args []string) exitcode.Code {
	c.lang = language(c.getenv)
	if len(args) == 0 {
		usage(c, c.err)
		return exitcode.Usage
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] {
			return cmd.run(ctx, c, args[1:])
		}
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(c, c.out)
		return exitcode.OK
	}
	if args[0] == "version" || args[0] == "--version" {
		fmt.Fprintln(c.out, "trailcheck", version())
		fmt.Fprintln(c.out, "verify.html", verifypage.Digest()) // the SHA-256 that a copy of the page must have
		return exitcode.OK
	}
	c.complain(verify.Text{EN: fmt.Sprintf("unknown command %q", args[0]), ZH: fmt.Sprintf("未知命令 %q", args[0])})
	c.hint("trailcheck help")
	return exitcode.Usage
}

func usage(c *console, w io.Writer) {
	fmt.Fprintln(w, verify.Text{EN: "trailcheck: check a published Sealtrail log offline", ZH: "trailcheck:离线检查已发布的 Sealtrail 日志"}.In(c.lang))
	fmt.Fprintln(w)
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  trailcheck %-8s %s\n", cmd.name, cmd.text.In(c.lang))
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, verify.Text{
		EN: "trailcheck <command> --help shows its flags. Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 integrity finding.",
		ZH: "trailcheck <命令> --help 显示其参数。退出码:0 正常,1 失败,2 用法错误,3 未找到,4 完整性问题。",
	}.In(c.lang))
}

// version is the module's, as the Go toolchain stamped it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// language is zh where the environment says so (LC_ALL before LC_MESSAGES before LANG), else en.
func language(getenv func(string) string) string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := getenv(name); v != "" {
			if strings.HasPrefix(v, "zh") {
				return "zh"
			}
			return "en"
		}
	}
	return "en"
}

func (c *console) complain(t verify.Text) { fmt.Fprintf(c.err, "trailcheck: %s\n", t.In(c.lang)) }

func (c *console) hint(text string) {
	fmt.Fprintf(c.err, "%s %s\n", verify.Text{EN: "hint:", ZH: "提示:"}.In(c.lang), text)
}

// fail maps the errors of a verification that could not be carried out.
func (c *console) fail(err error) exitcode.Code {
	c.complain(verify.Text{EN: err.Error(), ZH: err.Error()})
	switch {
	case errors.Is(err, context.Canceled):
		return exitcode.Interrupted
	case errors.Is(err, verify.ErrOptions):
		c.hint(verify.Text{EN: "check the files of --key (a log's key, not a witness's), --second-key, --pinned, --witness and --policy", ZH: "请检查 --key(日志的公钥,不是见证方的)、--second-key、--pinned、--witness 与 --policy 所给的文件"}.In(c.lang))
		return exitcode.Usage
	case errors.Is(err, errUsage):
		c.hint(verify.Text{EN: "trailcheck <command> --help shows its flags", ZH: "trailcheck <命令> --help 显示其参数"}.In(c.lang))
		return exitcode.Usage
	case errors.Is(err, verify.ErrNoLog):
		c.hint(verify.Text{EN: "name the folder that holds the file checkpoint, or one above it", ZH: "请给出含有 checkpoint 文件的目录,或其上级目录"}.In(c.lang))
		return exitcode.NotFound
	case errors.Is(err, os.ErrNotExist), errors.Is(err, errNotFound):
		return exitcode.NotFound
	}
	return exitcode.Failure
}

var (
	errUsage    = errors.New("usage")
	errNotFound = errors.New("not found")
)

// flags is a flag set with the flags that every verb has. Flags may stand before and after the arguments.
type flags struct {
	*flag.FlagSet
	lang   string
	output string
}

func newFlags(c *console, name, args string, what verify.Text) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.SetOutput(c.err)
	f.StringVar(&f.lang, "lang", c.lang, "language of the output: zh or en")
	f.StringVar(&f.output, "o", "text", "output: text or json")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "trailcheck %s [flags] %s\n  %s\n", name, args, what.In(c.lang))
		f.PrintDefaults()
	}
	return f
}

// parse returns the arguments, at least one and at most limit of them; ok is false if the verb is to end with the code.
func (f *flags) parse(c *console, args []string, least, limit int) (rest []string, code exitcode.Code, ok bool) {
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return nil, exitcode.OK, false
		}
		if err != nil {
			return nil, exitcode.Usage, false // the flag set has said why
		}
		if f.NArg() == 0 {
			break
		}
		rest, args = append(rest, f.Arg(0)), f.Args()[1:]
	}
	c.lang = f.lang
	switch {
	case f.lang != "zh" && f.lang != "en":
		c.lang = "en"
		c.complain(verify.Text{EN: "--lang is zh or en"})
	case f.output != "text" && f.output != "json":
		c.complain(verify.Text{EN: "-o is text or json", ZH: "-o 只能是 text 或 json"})
	case len(rest) < least || len(rest) > limit:
		f.Usage()
	default:
		return rest, exitcode.OK, true
	}
	return nil, exitcode.Usage, false
}

// list is a flag that may be given several times.
type list []string

// String returns the values with commas.
func (l *list) String() string { return strings.Join(*l, ",") }

// Set adds a value.
func (l *list) Set(v string) error {
	*l = append(*l, v)
	return nil
}

// against holds the flags that say against what a log is verified. Every verb that reads a log has them.
type against struct {
	keys, pinned, witnesses, witnessed list
	second                             list
	quorum                             int
	policy                             string
}

func (a *against) register(f *flags) {
	f.Var(&a.keys, "key", "the log's verifier key, or a `file` with such keys, one per line; may be repeated")
	f.Var(&a.second, "second-key", "the log's second verifier key (ML-DSA-44), or a `file` with such keys: the newest checkpoint must then bear a line by it; may be repeated")
	f.Var(&a.pinned, "pinned", "`file` with a checkpoint that you kept from earlier; may be repeated")
	f.Var(&a.witnesses, "witness", "a witness's verifier key, or a `file` with it; may be repeated")
	f.Var(&a.witnessed, "witness-checkpoint", "`file` with a checkpoint that a witness saved; may be repeated")
	f.IntVar(&a.quorum, "quorum", 0, "how many witnesses must have cosigned; 0 means all that are given")
	f.StringVar(&a.policy, "policy", "", "`file` with a witness policy (C2SP tlog-policy) instead of --witness and --quorum; keys of its log lines count as --key")
}

// options reads the files and returns what package verify wants. Every entry is compared with the registry's schema.
func (a *against) options() (verify.Options, error) {
	o := verify.Options{Quorum: a.quorum, Schema: newSchema().check}
	var err error
	if err = a.readPolicy(&o); err != nil {
		return o, err
	}
	if len(a.keys) == 0 && (o.Policy == nil || len(o.Policy.Logs()) == 0) {
		return o, fmt.Errorf("%w: --key is required: the log's verifier key, from elsewhere than the folder", errUsage)
	}
	if len(a.witnessed) > 0 && len(a.witnesses) == 0 && o.Policy == nil {
		return o, fmt.Errorf("%w: --witness-checkpoint needs the --witness key that it bears; without one, give it as --pinned", errUsage)
	}
	var keys []string
	for _, k := range a.keys {
		text, err := keyText(k)
		if err != nil {
			return o, err
		}
		keys = append(keys, text)
	}
	if o.Policy != nil {
		for _, l := range o.Policy.Logs() {
			keys = append(keys, l.VerifierKey)
		}
	}
	o.VerifierKey = strings.Join(keys, "\n")
	for _, k := range a.second {
		text, err := keyText(k)
		if err != nil {
			return o, err
		}
		o.SecondKeys = append(o.SecondKeys, strings.Fields(text)...)
	}
	for _, w := range a.witnesses {
		text, err := keyText(w)
		if err != nil {
			return o, err
		}
		o.Witnesses = append(o.Witnesses, strings.Fields(text)...)
	}
	if o.Pinned, err = readAll(a.pinned); err != nil {
		return o, err
	}
	o.WitnessCheckpoints, err = readAll(a.witnessed)
	return o, err
}

// readPolicy reads the witness policy, if one is named.
func (a *against) readPolicy(o *verify.Options) error {
	if a.policy == "" {
		return nil
	}
	if len(a.witnesses) > 0 || a.quorum != 0 {
		return fmt.Errorf("%w: --policy says which witnesses count: leave out --witness and --quorum", errUsage)
	}
	data, err := os.ReadFile(a.policy)
	if err != nil {
		return fmt.Errorf("%w: reading the policy: %w", errUsage, err)
	}
	if o.Policy, err = audit.ParseWitnessPolicy(data); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}

// keyText returns the content of the file of that name, or the name itself if it looks like a key.
func keyText(arg string) (string, error) {
	data, err := os.ReadFile(arg)
	if err == nil {
		return string(data), nil
	}
	if strings.Count(arg, "+") >= 2 {
		return arg, nil
	}
	return "", fmt.Errorf("%w: reading key: %w", errUsage, err)
}

func readAll(names []string) (out [][]byte, err error) {
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("%w: reading checkpoint: %w", errUsage, err)
		}
		out = append(out, data)
	}
	return out, nil
}
