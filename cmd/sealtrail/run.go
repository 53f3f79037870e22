package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// streams are the three standard streams, so that tests can look at them.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// cli is the grammar: flags, environment and help come from this one place.
type cli struct {
	Server    string        `env:"SEALTRAIL_SERVER" default:"https://127.0.0.1:8443" help:"Address of the server." placeholder:"URL"`
	TokenFile string        `env:"SEALTRAIL_TOKEN_FILE" type:"path" help:"File with the bearer token (mode 0600); a token is never a flag." placeholder:"FILE"`
	CA        string        `env:"SEALTRAIL_CA" type:"path" help:"PEM file with the certificate authority of the server." placeholder:"FILE"`
	Purpose   string        `env:"SEALTRAIL_PURPOSE" help:"Why: handle, approve, quality, audit, subject_request, regulator_report, legal, incident or breakglass." placeholder:"PURPOSE"`
	Output    string        `short:"o" enum:"auto,table,json,jsonl" default:"auto" help:"table, json or jsonl; auto is table on a terminal and jsonl in a pipe."`
	Timeout   time.Duration `default:"35s" help:"How long one request may take."`

	Complaint     complaintCmd     `cmd:"" help:"File, read, find, amend and move complaints."`
	Reveal        revealCmd        `cmd:"" help:"Open named fields of a complaint in clear."`
	File          fileCmd          `cmd:"" help:"Attachments and recordings: add, list, get."`
	Import        importCmd        `cmd:"" help:"File the complaints of a CFPB or JSON lines file."`
	Report        reportCmd        `cmd:"" help:"Supervision figures of a period."`
	Audit         auditCmd         `cmd:"" help:"Entries of the log."`
	Person        personCmd        `cmd:"" help:"People in the duty register."`
	Duty          dutyCmd          `cmd:"" help:"Appointments."`
	Training      trainingCmd      `cmd:"" help:"Confidentiality training."`
	Undertaking   undertakingCmd   `cmd:"" help:"Confidentiality undertaking."`
	Key           keyCmd           `cmd:"" help:"Master keys: status, closing of an epoch by two custodians."`
	Access        accessCmd        `cmd:"" help:"Access grants: ask, review, revoke."`
	BreakGlass    breakGlassCmd    `cmd:"" name:"break-glass" help:"Emergency access: open, close, review."`
	Hold          holdCmd          `cmd:"" help:"Legal holds: place, ask for release, release."`
	Erasure       erasureCmd       `cmd:"" help:"Erasures: ask, approve, show, receipt, what is due."`
	Disclosure    disclosureCmd    `cmd:"" help:"Packages for a recipient's public key: ask, approve, confirm, fetch; and leaving with everything."`
	Intake        intakeCmd        `cmd:"" help:"Seal drafts while no server is there, and hand them in later."`
	Looked        lookedCmd        `cmd:"" help:"Who looked at a complaint: duties and days."`
	Investigation investigationCmd `cmd:"" help:"Sealed investigations: ask, assent, close."`
	Source        sourceCmd        `cmd:"" help:"Source systems: how many complaints they sent."`
	Whoami        whoamiCmd        `cmd:"" help:"Who the server takes you for."`
	Version       versionCmd       `cmd:"" help:"Version of this program."`
}

// session is what every verb gets.
type session struct {
	context.Context
	*streams
	cli    *cli
	client *client
	zh     bool
	format string // table, json or jsonl
}

// exited carries kong's wish to end (after --help) out of the parser.
type exited int

// run is the whole command; main only adds signals.
func run(ctx context.Context, args []string, s *streams) (code exitcode.Code) {
	defer func() {
		if v := recover(); v != nil {
			e, ok := v.(exited)
			if !ok {
				panic(v)
			}
			code = exitcode.Code(e)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("sealtrail"), kong.Description("Custody of sealed complaint records."),
		kong.Writers(s.out, s.err), kong.Exit(func(n int) { panic(exited(n)) }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: false}),
		kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(s.err, "sealtrail:", err)
		return exitcode.Failure
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	session := &session{Context: ctx, streams: s, cli: &c, zh: speaksChinese(os.Getenv)}
	if len(args) == 1 && args[0] == "--version" {
		args = []string{"version"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		session.complain(err.Error(), helpFor(err)+" --help")
		return exitcode.Usage
	}
	session.format = c.Output
	if session.format == "auto" {
		session.format = formatFor(s.out)
	}
	session.client = &client{session: session}
	return session.end(parsed.Run(session))
}

// helpFor is the command whose help says what a wrong command line lacks: as
// much of it as was understood.
func helpFor(err error) string {
	words := "sealtrail"
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) || wrong.Context == nil {
		return words
	}
	for _, step := range wrong.Context.Path {
		if step.Command != nil {
			words += " " + step.Command.Name
		}
	}
	return words
}

// formatFor is table on a terminal and jsonl elsewhere.
func formatFor(out io.Writer) string {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return "table"
	}
	return "jsonl"
}

// speaksChinese follows LC_ALL, LC_MESSAGES and LANG, in that order.
func speaksChinese(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := getenv(name); v != "" {
			return strings.HasPrefix(strings.ToLower(v), "zh")
		}
	}
	return false
}

// usageError is a wrong command line that the grammar cannot see.
type usageError struct{ what, hint string }

func (e *usageError) Error() string { return e.what }

// end says what went wrong and picks the exit code.
func (s *session) end(err error) exitcode.Code {
	if err == nil {
		return exitcode.OK
	}
	var problem *problem
	var usage *usageError
	var away *awayError
	switch {
	case s.Err() != nil:
		s.complain(s.word("已中断", "interrupted"), "")
		return exitcode.Interrupted
	case errors.As(err, &problem):
		s.showProblem(problem)
		return problem.exit()
	case errors.As(err, &usage):
		s.complain(usage.what, usage.hint)
		return exitcode.Usage
	case errors.As(err, &away):
		s.complain(s.word("无法连接服务器: ", "reaching the server: ")+away.cause.Error(), s.word("请检查 --server 与 --ca,或稍后重试", "check --server and --ca, or try again later"))
		return exitcode.Unavailable
	}
	s.complain(err.Error(), "")
	return exitcode.Failure
}

func (s *session) complain(what, hint string) {
	fmt.Fprintln(s.err, "sealtrail:", what)
	s.suggest(hint)
}

// suggest prints the next step.
func (s *session) suggest(hint string) {
	if hint != "" {
		fmt.Fprintln(s.err, s.word("提示:", "hint: ")+hint)
	}
}

func (s *session) word(zh, en string) string {
	if s.zh {
		return zh
	}
	return en
}

// notRepeated is a --confirm that is not what it has to repeat.
func (s *session) notRepeated(zh, en string) error {
	return &usageError{s.word("--confirm 与"+zh+"不符", "--confirm does not repeat "+en), ""}
}
