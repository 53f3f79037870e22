package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sealtrail/sealtrail/internal/intake"
)

// readSet is how many complaints the reads choose from: a work list, so that
// leases are warm; cold reads are a line of their own.
const readSet = 500

// client sends the requests of one side.
type client struct {
	base, token string
	http        *http.Client
	ids         []string // of imported complaints, the same ones on both sides
	bodies      [][]byte // of drafts, with slot where the source id goes
	next        atomic.Int64
	answered    atomic.Int64 // bytes
}

// slot is replaced by a fresh source id of the same length.
const slot = "bench-0000000000"

func (b *bench) clientOf(ctx context.Context, s side, bodies [][]byte) (*client, error) {
	in := b.install
	token, err := in.Token("intake-li")
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.DisableCompression = 256, true
	c := &client{base: in.base(s), token: token, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}, bodies: bodies}
	table := map[side]string{floorSide: "floor", ourSide: "sealtrail"}[s]
	rows, err := in.admin[s].Query(ctx, "select id::text from "+table+".complaint where source <> 'bench' and sensitivity = 'ordinary' order by source, source_id limit $1", 2*readSet)
	if err != nil {
		return nil, fmt.Errorf("choosing complaints to read: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		c.ids = append(c.ids, id)
	}
	return c, rows.Err()
}

func (c *client) do(ctx context.Context, method, path string, body []byte, want int) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Sealtrail-Purpose", "handle")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", fmt.Sprintf("%016x", rand.Uint64()))
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != want {
		problem, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		if res.StatusCode == http.StatusServiceUnavailable {
			return fmt.Errorf("%w: %s", errRefused, problem)
		}
		return fmt.Errorf("%s: status %d, want %d: %s", method, res.StatusCode, want, problem)
	}
	n, err := io.Copy(io.Discard, res.Body)
	c.answered.Add(n)
	return err
}

// read reads one of the first readSet complaints, masked.
func (c *client) read(ctx context.Context, _ int) error {
	return c.do(ctx, http.MethodGet, "/v1/complaints/"+c.ids[rand.IntN(min(readSet, len(c.ids)))], nil, http.StatusOK)
}

// create files a complaint that was never filed.
func (c *client) create(ctx context.Context, _ int) error {
	n := c.next.Add(1)
	body := bytes.Replace(c.bodies[int(n)%len(c.bodies)], []byte(slot), fmt.Appendf(nil, "bench-%010d", n), 1)
	return c.do(ctx, http.MethodPost, "/v1/complaints", body, http.StatusCreated)
}

// drafts are complaints to create, encoded.
func (b *bench) drafts(d *dataset) ([][]byte, error) {
	var bodies [][]byte
	for _, name := range d.parts {
		raw, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading the complaints: %w", err)
		}
		rows := intake.CFPB(bytes.NewReader(raw), intake.Options{Identities: intake.NewIdentities(identities)})
		if !strings.HasSuffix(name, ".csv") {
			rows = intake.JSONLines(bytes.NewReader(raw), intake.Options{})
		}
		for row, err := range rows {
			if err != nil {
				return nil, fmt.Errorf("reading the complaints: %w", err)
			}
			row.Draft.Source, row.Draft.SourceID = "bench", slot
			body, err := json.Marshal(row.Draft)
			if err != nil {
				return nil, fmt.Errorf("encoding a complaint: %w", err)
			}
			bodies = append(bodies, body)
			if len(bodies) == 20_000 { // more than one run creates at 32 clients
				return bodies, nil
			}
		}
	}
	return bodies, nil
}

// serving: masked reads and creates through HTTP.
func serving(ctx context.Context, b *bench) error {
	in, err := b.installed(ctx)
	if err != nil {
		return err
	}
	d, err := b.data(b.rounds)
	if err != nil {
		return err
	}
	if !b.loaded {
		for s := range sides {
			if _, err := b.importPart(ctx, s, d.parts[0]); err != nil {
				return err
			}
		}
	}
	bodies, err := b.drafts(d)
	if err != nil {
		return err
	}
	var c [sides]*client
	for s := range sides {
		if c[s], err = b.clientOf(ctx, s, bodies); err != nil {
			return err
		}
	}
	for s := range sides { // once each: leases, plans, connections
		for _, id := range c[s].ids[:min(readSet, len(c[s].ids))] {
			if err := c[s].do(ctx, http.MethodGet, "/v1/complaints/"+id, nil, http.StatusOK); err != nil {
				return err
			}
		}
		b.say("one masked read of %s has %d bytes", word(s), c[s].answered.Load()/int64(min(readSet, len(c[s].ids))))
	}
	if err := b.cold(ctx, c[ourSide]); err != nil {
		return err
	}
	for _, x := range []struct {
		name string
		do   [sides]act
	}{{"masked read", [sides]act{c[floorSide].read, c[ourSide].read}}, {"create", [sides]act{c[floorSide].create, c[ourSide].create}}} {
		if err := b.verb(ctx, in, x.name, x.do); err != nil {
			return err
		}
	}
	return nil
}

// cold reads complaints whose key nobody holds: each costs a call to Vault.
func (b *bench) cold(ctx context.Context, c *client) error {
	ids := c.ids[min(readSet, len(c.ids)):]
	if len(ids) == 0 {
		return nil
	}
	next := 0
	l, err := drive(ctx, 1, b.each, func(ctx context.Context, _ int) error {
		next++
		return c.do(ctx, http.MethodGet, "/v1/complaints/"+ids[(next-1)%len(ids)], nil, http.StatusOK)
	})
	if err != nil {
		return err
	}
	b.report("masked read without a lease, 1 client, p50", p50Of(l), "us", fmt.Sprintf("%d reads of %d complaints: each unwraps in Vault first", l.acts, len(ids)))
	return nil
}

// verb measures one operation at each number of clients.
func (b *bench) verb(ctx context.Context, in *installation, name string, do [sides]act) error {
	counts := []int{1, 8, 32}
	if b.long {
		counts = append(counts, 128)
	}
	for _, clients := range counts {
		var spent [sides]usage
		var acts [sides]int
		var p pair
		err := inTurns(b.rounds, func(_ int, s side) error {
			at := in.usage()
			l, err := drive(ctx, clients, b.each, do[s])
			if err != nil {
				return err
			}
			if err := in.settle(ctx); err != nil {
				return err
			}
			spent[s], acts[s] = spent[s].plus(in.usage().minus(at)), acts[s]+l.acts
			p[s] = append(p[s], l)
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s at %d clients: %w", name, clients, err)
		}
		b.judgeVerb(name, clients, p)
		if clients == 32 {
			b.report(name+", CPU of all programs at 32 clients", 1e6*spent[ourSide].total()/float64(acts[ourSide]), "us",
				spent[ourSide].per(acts[ourSide])+"; floor: "+spent[floorSide].per(acts[floorSide]))
		}
	}
	return b.stagesOf(ctx, in, name, do[ourSide])
}

func (b *bench) judgeVerb(name string, clients int, p pair) {
	floor := fmt.Sprintf("%.0f against %.0f per second, p50 %.0f against %.0f us, p99 %.0f against %.0f us", p.mid(ourSide, rateOf), p.mid(floorSide, rateOf),
		p.mid(ourSide, p50Of), p.mid(floorSide, p50Of), p.mid(ourSide, p99Of), p.mid(floorSide, p99Of))
	if n, m := p.refused(ourSide), p.refused(floorSide); n+m > 0 {
		floor += fmt.Sprintf("; answered 503: %d against %d", n, m)
	}
	switch clients {
	case 1:
		b.judge(Line{Name: name + ", 1 client, p50 to the floor's", Value: p.ratio(p50Of), Unit: "x", Note: floor}, atMost(6), p.mid(floorSide, p50Of))
	case 32:
		b.judge(Line{Name: name + ", 32 clients, rate to the floor's", Value: p.ratio(rateOf), Unit: "x", Note: floor}, atLeast(0.3), p.mid(floorSide, rateOf))
	default:
		b.report(fmt.Sprintf("%s, %d clients, rate to the floor's", name, clients), p.ratio(rateOf), "x", floor)
	}
}

// stagesOf profiles the service while 32 clients act, and reports what each
// stage costs it per act.
func (b *bench) stagesOf(ctx context.Context, in *installation, name string, do act) error {
	long := max(3*time.Second, b.each)
	profile := b.profile(strings.ReplaceAll(name, " ", "-"))
	before := in.usage()
	profile.start(ctx, in, long)
	l, err := drive(ctx, 32, long+200*time.Millisecond, do)
	if err != nil {
		return err
	}
	cpu := 1e6 * in.usage().minus(before)["service"] / float64(l.acts)
	shares, err := profile.shares(ctx)
	if err != nil {
		return err
	}
	b.report(name+", CPU of the service", cpu, "us", "per act at 32 clients, profiled; the stages below are parts of it")
	for _, s := range stages() {
		if share := shares[s.name]; share >= 0.5 {
			b.report(name+": "+s.name, cpu*share/100, "us", fmt.Sprintf("%.0f %% of the service's CPU", share))
		}
	}
	return in.settle(ctx)
}
