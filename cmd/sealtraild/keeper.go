package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/server"
)

// suiteOf reads the words of --to.
func suiteOf(name string) uint8 {
	if name == "sm4" {
		return custody.SuiteSM
	}
	return custody.SuiteAES
}

type keySuite struct {
	server.Config
	To      string `help:"Choose a suite: aes (AES-256-GCM, SHA-256) or sm4 (SM4-GCM, SM3)." enum:"aes,sm4," default:""`
	Confirm string `help:"The institution again; needed with --to." placeholder:"INSTITUTION"`
	Output  string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run chooses a suite, or shows the chosen one and how many records are sealed
// in each, by the rows and by the log; exit code 4 if the two differ.
func (k *keySuite) Run(ctx context.Context, c console) error {
	if k.To != "" && k.Confirm != k.Institution {
		return usageError{"--confirm does not repeat the institution"}
	}
	return server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) error {
		if k.To != "" {
			ref, err := s.Door().ChooseSuite(ctx, suiteOf(k.To))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.out, "✓ %s is sealed in suite %d (%s) from now on (entry %d)\nnext: sealtraild key reseal\n", k.Institution, suiteOf(k.To), k.To, ref.Entry)
			return err
		}
		suites, err := s.Door().Suites(ctx)
		if err != nil {
			return err
		}
		return k.print(c.out, suites)
	})
}

func (k *keySuite) print(out io.Writer, s *custody.Suites) error {
	var err error
	if k.Output == "json" {
		err = asJSON(out, s)
	} else {
		_, err = fmt.Fprintf(out, "suite %d is chosen\n", s.Chosen)
		for _, suite := range []uint8{custody.SuiteAES, custody.SuiteSM} {
			fmt.Fprintf(out, "%s suite %d: %d records, by the log %d\n", mark(s.Stored[suite] == s.Logged[suite]), suite, s.Stored[suite], s.Logged[suite])
		}
	}
	if err == nil && !s.Agree {
		err = findings{1}
	}
	return err
}

// jobFlags are those of every job of the keeper.
type jobFlags struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

type keyReseal struct {
	server.Config
	jobFlags
}

// Run moves every record to the chosen suite, with the service running or not.
// It may be ended anywhere and run again; exit code 4 if records are left that
// cannot be moved.
func (k *keyReseal) Run(ctx context.Context, c console) error {
	return k.run(ctx, k.Config, c, func(ctx context.Context, d *custody.Door, tell func(custody.Progress)) (custody.Progress, error) {
		return d.Resealing(ctx, tell)
	})
}

type keyReindex struct {
	server.Config
	jobFlags
}

// Run fills the generation of the indexes that is being built. It may be ended
// anywhere and run again; exit code 4 if records are left that cannot be indexed.
func (k *keyReindex) Run(ctx context.Context, c console) error {
	return k.run(ctx, k.Config, c, func(ctx context.Context, d *custody.Door, tell func(custody.Progress)) (custody.Progress, error) {
		return d.Reindexing(ctx, tell)
	})
}

func (j *jobFlags) run(ctx context.Context, cfg server.Config, c console,
	job func(context.Context, *custody.Door, func(custody.Progress)) (custody.Progress, error)) error {
	var p custody.Progress
	err := server.Once(ctx, cfg, c.err, func(ctx context.Context, s *server.Server) (err error) {
		p, err = job(ctx, s.Door(), jobProgress(c.err))
		return err
	})
	if err != nil {
		return err
	}
	if j.Output == "json" {
		err = asJSON(c.out, p)
	} else {
		_, err = fmt.Fprintf(c.out, "%s %s towards %s: %d records moved, %.0f a second; %d are left, %d cannot be moved\n",
			mark(p.Left == 0), p.Job, p.Target, p.Done, p.PerSecond, p.Left, p.Failed)
	}
	if err == nil && p.Left > 0 {
		err = findings{int(p.Left)}
	}
	return err
}

// jobProgress writes a line every progressEvery, and one for each thing that is
// waited for.
func jobProgress(w io.Writer) func(custody.Progress) {
	var last time.Time
	waiting := ""
	return func(p custody.Progress) {
		if p.Waiting != "" && p.Waiting != waiting {
			fmt.Fprintf(w, "waiting for %s\n", p.Waiting)
		}
		waiting = p.Waiting
		if p.Waiting != "" || time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		fmt.Fprintf(w, "%d records, %.0f a second, %d left (%s), %d failed\n", p.Done, p.PerSecond, p.Left, p.Remaining, p.Failed)
	}
}

type keyIndexSwitch struct {
	server.Config
	confirmed
	Epoch int `help:"The generation that was built." required:""`
}

// Run makes the generation that was built the one that searches read; refused
// while any record lacks a token of it.
func (k *keyIndexSwitch) Run(ctx context.Context, c console) error {
	if err := k.check(k.Institution); err != nil {
		return err
	}
	return server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) error {
		ref, err := s.Door().SwitchIndex(ctx, k.Epoch)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "✓ searches read generation %d of the blind indexes (entry %d)\nnext: sealtraild key index-drop\n", k.Epoch, ref.Entry)
		return err
	})
}

type keyIndexDrop struct {
	server.Config
	confirmed
	Epoch int `help:"The retired generation." required:""`
}

// Run deletes the tokens of a retired generation. It may be ended anywhere and
// run again.
func (k *keyIndexDrop) Run(ctx context.Context, c console) error {
	if err := k.check(k.Institution); err != nil {
		return err
	}
	return server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) error {
		ref, n, err := s.Door().DropIndex(ctx, k.Epoch)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.out, "✓ generation %d of the blind indexes is dropped: %d tokens (entry %d)\n", k.Epoch, n, ref.Entry)
		return err
	})
}

type scrubCommand struct {
	server.Config
	All     bool   `help:"Look at every record; otherwise at --records, from a random place on."`
	Records int    `help:"How many records to look at." default:"100"`
	Output  string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run opens and authenticates records without showing anything of them and
// names those that are not what was sealed, or older than the log; exit code 4
// if there are any.
func (k *scrubCommand) Run(ctx context.Context, c console) error {
	if k.Records < 1 {
		return usageError{"--records is at least 1"}
	}
	var found *custody.Scrubbed
	err := server.Once(ctx, k.Config, c.err, func(ctx context.Context, s *server.Server) (err error) {
		if k.All {
			found, err = s.Door().Scrub(ctx, scrubProgress(c.err))
			return err
		}
		found, err = s.Door().ScrubSome(ctx, k.Records)
		return err
	})
	if err != nil {
		return err
	}
	if err := k.print(c.out, found); err != nil {
		return err
	}
	if n := len(found.Findings); n > 0 {
		return findings{n}
	}
	return nil
}

func (k *scrubCommand) print(out io.Writer, s *custody.Scrubbed) error {
	if k.Output == "json" {
		return asJSON(out, s)
	}
	for _, f := range s.Findings {
		if _, err := fmt.Fprintf(out, "✗ complaint %s: %s\n", f.Complaint, f.What); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%s %d records, %d fields authenticated; %d findings, %d changed or erased meanwhile\n",
		mark(len(s.Findings) == 0), s.Records, s.Fields, len(s.Findings), s.Skipped)
	return err
}

func scrubProgress(w io.Writer) func(custody.Scrubbed) {
	var last time.Time
	return func(s custody.Scrubbed) {
		if time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		fmt.Fprintf(w, "%d records, %d findings\n", s.Records, len(s.Findings))
	}
}
