package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/server"
	"github.com/sealtrail/sealtrail/internal/store"
)

// commands is the whole command line: one struct is flags, environment, help.
type commands struct {
	Serve       serveCommand       `cmd:"" help:"Run the service of one institution."`
	Migrate     migrateCommand     `cmd:"" help:"Bring a database to the newest schema. Needs a superuser's address, once."`
	Institution institutionCommand `cmd:"" help:"Make Vault and database ready for an institution."`
	Key         keyCommand         `cmd:"" help:"Master keys: status, rotation, rewrap, closing of epochs."`
	Scrub       scrubCommand       `cmd:"" help:"Open and authenticate stored records without showing anything of them."`
	Trail       trailCommand       `cmd:"" help:"Check what PostgreSQL holds of the log."`
	Policy      policyCommand      `cmd:"" help:"Check a policy bundle."`
	Witness     witnessCommand     `cmd:"" help:"Run a witness: a second process with a key and a folder of its own."`
	Reconcile   reconcileCommand   `cmd:"" help:"Compare what Vault wrote down of the keys with the log. The audit department's process."`
	Backup      backupCommand      `cmd:"" help:"Write the database in parts, the wrapped keys apart."`
	Restore     restoreCommand     `cmd:"" help:"Fill an empty database from parts, which may be of different age."`
	Doctor      doctorCommand      `cmd:"" help:"Say what is wrong with an installation, and the next step."`
	Demo        demoCommand        `cmd:"" help:"Set everything up on this machine and tell the story with real output."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// console is what commands write to.
type console struct {
	out, err io.Writer
}

// findings is returned by checks that found something: exit code 4.
type findings struct{ n int }

func (f findings) Error() string { return fmt.Sprintf("%d findings", f.n) }

func run(ctx context.Context, args []string, out, errOut io.Writer) exitcode.Code {
	var cmds commands
	exited := false
	parser, err := kong.New(&cmds, kong.Name("sealtraild"), kong.UsageOnError(), kong.Writers(out, errOut),
		kong.Description("Server and operator's tool of Sealtrail."),
		kong.Exit(func(int) { exited = true }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		fmt.Fprintln(errOut, "sealtraild:", err)
		return exitcode.Failure
	}
	if len(args) == 1 && args[0] == "--version" {
		args = []string{"version"}
	}
	kctx, err := parser.Parse(args)
	if exited {
		return exitcode.OK
	}
	if err != nil {
		fmt.Fprintln(errOut, "sealtraild:", err)
		fmt.Fprintln(errOut, "hint:", helpFor(err), "--help")
		return exitcode.Usage
	}
	kctx.BindTo(ctx, (*context.Context)(nil))
	err = kctx.Run(console{out, errOut})
	if err != nil && !errors.As(err, new(findings)) {
		fmt.Fprintln(errOut, "sealtraild:", err)
	}
	return codeOf(ctx, err)
}

// helpFor is the command whose help says what a wrong command line lacks.
func helpFor(err error) string {
	words := "sealtraild"
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

// usageError is a wrong command line that the grammar cannot see.
type usageError struct{ what string }

func (e usageError) Error() string { return e.what }

// codeOf maps an error to the table of exit codes; an integrity finding wins.
func codeOf(ctx context.Context, err error) exitcode.Code {
	switch {
	case err == nil:
		return exitcode.OK
	case errors.As(err, new(findings)), errors.Is(err, custody.ErrIntegrity):
		return exitcode.Integrity
	case errors.As(err, new(usageError)):
		return exitcode.Usage
	case errors.Is(err, custody.ErrNotFound):
		return exitcode.NotFound
	case errors.As(err, new(*custody.ConflictError)):
		return exitcode.Conflict
	case errors.Is(err, custody.ErrKeysUnavailable), errors.Is(err, custody.ErrStoreUnavailable), errors.Is(err, custody.ErrUnrecorded),
		errors.Is(err, store.ErrUnavailable):
		return exitcode.Unavailable
	case ctx.Err() != nil:
		return exitcode.Interrupted
	}
	return exitcode.Failure
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(c console) error {
	_, err := fmt.Fprintln(c.out, "sealtraild", server.Version)
	return err
}
