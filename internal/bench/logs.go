package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/internal/sandbox"
)

// contestant is a log, or what somebody may take for one, under load.
type contestant struct {
	name   string
	drive  func(ctx context.Context, clients int) (load, error)
	settle func(context.Context) error // waits until what it does behind the clients is done
}

// comparing drives five ways to keep a log in turns: a plain insert, an insert
// with a hash chain under a row lock, Trillian and ours in the same PostgreSQL,
// Tessera in a folder of the same disk.
func comparing(ctx context.Context, b *bench) (err error) {
	in, err := b.installed(ctx)
	if err != nil {
		return err
	}
	t, stop, err := in.openTrail(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	list := []contestant{
		b.ownLoop("plain insert", t.insert, nil),
		b.ownLoop("row-locked hash chain", t.chain, nil),
		b.ownLoop(oursName, t.append, func(ctx context.Context) error {
			return errors.Join(untilSequenced(ctx, t.pool), t.untilPublished(ctx))
		}),
	}
	peers, end, err := in.otherLogs(ctx, b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	list = append(list, peers...)
	carried, err := in.throughHTTP()
	if err != nil {
		return err
	}
	list = append(list, b.ownLoop(carriedName, carried, func(ctx context.Context) error { return in.drained(ctx) }))
	clients := []int{1, 32}
	if b.long {
		clients = append(clients, 128)
	}
	for _, n := range clients {
		loads, err := b.raceAll(ctx, list, n)
		if err != nil {
			return err
		}
		b.judgeLogs(n, list, loads)
	}
	return nil
}

func (b *bench) ownLoop(name string, do act, settle func(context.Context) error) contestant {
	return contestant{name: name, settle: settle, drive: func(ctx context.Context, clients int) (load, error) {
		return drive(ctx, clients, b.each, do)
	}}
}

// raceAll lets all act in turns, in random order within each round.
func (b *bench) raceAll(ctx context.Context, list []contestant, clients int) (map[string][]load, error) {
	loads := map[string][]load{}
	for range b.rounds {
		for _, i := range rand.Perm(len(list)) {
			l, err := list[i].drive(ctx, clients)
			if err != nil {
				return nil, fmt.Errorf("driving %s: %w", list[i].name, err)
			}
			loads[list[i].name] = append(loads[list[i].name], l)
			if list[i].settle != nil {
				if err := list[i].settle(ctx); err != nil {
					return nil, err
				}
			}
		}
	}
	return loads, nil
}

// Names of logs in the figures.
const (
	trillianName = "Trillian"
	tesseraName  = "Tessera POSIX"
	oursName     = "ours"
	carriedName  = "ours through HTTP"
)

// ratioGoals are audit.md's, at 32 clients; the others are only reported.
func ratioGoals(name string) float64 {
	switch name {
	case trillianName:
		return 5
	case tesseraName:
		return 8
	}
	return 0
}

func (b *bench) judgeLogs(clients int, list []contestant, loads map[string][]load) {
	for _, c := range list {
		l := pair{loads[c.name], loads[oursName]}
		b.report(fmt.Sprintf("log: %s, %s", c.name, counted(clients)), l.mid(floorSide, rateOf), "/s",
			fmt.Sprintf("p50 %.0f us, p99 %.0f us; %d pushed back", l.mid(floorSide, p50Of), l.mid(floorSide, p99Of), l.refused(floorSide)))
	}
	for _, c := range list {
		if c.name == oursName || c.name == carriedName {
			continue
		}
		p := pair{loads[c.name], loads[oursName]}
		l := Line{Name: fmt.Sprintf("append, %s, rate to %s's", counted(clients), c.name), Value: p.ratio(rateOf), Unit: "x",
			Note: fmt.Sprintf("%.0f against %.0f per second", p.mid(ourSide, rateOf), p.mid(floorSide, rateOf))}
		if bound := ratioGoals(c.name); clients == 32 && bound > 0 {
			b.judge(l, atLeast(bound), p.mid(floorSide, rateOf))
		} else {
			b.report(l.Name, l.Value, l.Unit, l.Note)
		}
	}
}

func counted(clients int) string {
	if clients == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", clients)
}

// throughHTTP appends as an application does that has nothing to do with complaints: one dry check of a decision, one entry. Token,
// decision and JSON are in it, so it has no ratio.
func (in *installation) throughHTTP() (act, error) {
	token, err := in.Token("intake-li")
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.DisableCompression = 256, true
	c := &client{base: in.API, token: token, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
	question := []byte(`{"items":[{"action":"create"}]}`)
	return func(ctx context.Context, _ int) error {
		return c.do(ctx, http.MethodPost, "/v1/decisions:check", question, http.StatusOK)
	}, nil
}

// drained waits until the service's own log has sequenced everything.
func (in *installation) drained(ctx context.Context) error {
	pool, err := in.pool(ctx, in.DatabaseName)
	if err != nil {
		return err
	}
	defer pool.Close()
	return untilSequenced(ctx, pool)
}

// chain inserts the bytes that Append would store with a hash over them and the
// former hash, under the lock of the row that holds it: the log that people
// build first.
func (t *trailLog) chain(ctx context.Context, _ int) error {
	body := t.body()
	raw, err := body.Canonical()
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		var former []byte
		if err := tx.QueryRow(ctx, "select hash from floor.chain_head where institution = $1 for update", t.shard.Institution).Scan(&former); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `with linked as (
				insert into floor.chain (institution, body, subject, hash) values ($1, $2, $3, sha256($4::bytea || $2)) returning hash
			) update floor.chain_head h set hash = linked.hash from linked where h.institution = $1`, t.shard.Institution, raw, body.Subject, former)
		return err
	})
}

// chainTables are what chain writes to.
const chainTables = `
create table floor.chain (
	institution text not null, id bigint generated always as identity, body bytea not null, subject text not null, hash bytea not null,
	inserted_at timestamptz not null default clock_timestamp(), primary key (institution, id)
);
create table floor.chain_head (institution text primary key, hash bytea not null);
insert into floor.chain_head values ('` + sandbox.Institution + `', '');
grant select, insert, update on floor.chain, floor.chain_head to sealtrail_app;`

// otherLogs builds tools/logs and starts a process of it for each log.
func (in *installation) otherLogs(ctx context.Context, b *bench) (list []contestant, end func() error, err error) {
	program := filepath.Join(b.dir, "logs")
	module := filepath.Join(b.root, "tools", "logs")
	b.say("building Trillian and Tessera from tools/logs")
	if _, err := output(ctx, module, "go", "build", "-o", program, "."); err != nil {
		return nil, nil, err
	}
	home, err := output(ctx, module, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/trillian")
	if err != nil {
		return nil, nil, err
	}
	dsn, err := in.database(ctx, "trillian", func(context.Context, string) error { return nil })
	if err != nil {
		return nil, nil, err
	}
	var running []*peerLog
	end = func() error {
		var errs []error
		for _, p := range running {
			errs = append(errs, p.end())
		}
		return errors.Join(errs...)
	}
	schema := filepath.Join(strings.TrimSpace(home), "storage", "postgresql", "schema", "storage.sql")
	for _, c := range []struct {
		name string
		args []string
	}{
		{trillianName, []string{"-log", "trillian", "-dsn", dsn, "-schema", schema}},
		{tesseraName, []string{"-log", "tessera", "-dir", filepath.Join(b.dir, "tessera-log")}},
	} {
		p, err := startPeer(ctx, program, c.args)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("starting %s: %w", c.name, err), end())
		}
		running = append(running, p)
		list = append(list, contestant{name: c.name, drive: func(_ context.Context, clients int) (load, error) { return p.drive(clients, b.each) }})
	}
	return list, end, nil
}

func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running %s %s: %w: %s", name, args[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return string(out), nil
}

// peerLog is a process of tools/logs; one load at a time.
type peerLog struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startPeer(ctx context.Context, program string, args []string) (*peerLog, error) {
	cmd := exec.CommandContext(ctx, program, append(args, "-size", "600")...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &peerLog{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

func (p *peerLog) drive(clients int, long time.Duration) (load, error) {
	if _, err := fmt.Fprintf(p.in, "drive %d %d\n", clients, long.Milliseconds()); err != nil {
		return load{}, err
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return load{}, fmt.Errorf("reading what it got done: %w", err)
	}
	var r struct {
		Rate          float64
		P50, P99      int64
		Acts, Refused int
		Error         string
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return load{}, fmt.Errorf("reading what it got done: %w", err)
	}
	if r.Error != "" {
		return load{}, errors.New(r.Error)
	}
	return load{rate: r.Rate, p50: time.Duration(r.P50) * time.Microsecond, p99: time.Duration(r.P99) * time.Microsecond, acts: r.Acts, refused: r.Refused}, nil
}

// end lets the process end with its input.
func (p *peerLog) end() error {
	return errors.Join(p.in.Close(), p.cmd.Wait())
}
