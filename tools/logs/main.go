// Command logs is other people's logs under the load of our bench: Trillian on
// PostgreSQL and Tessera's POSIX driver, each as its makers ship it, driven by
// the same loop of clients as ours.
//
// It answers one line of JSON to each line "drive <clients> <milliseconds>" on
// standard input, so that the bench can let the logs take turns, and ends with
// its input. Never linked into Sealtrail.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// peer is a log that takes entries. add returns when the log has acknowledged
// the entry as durable.
type peer interface {
	add(ctx context.Context, entry []byte) error
	close(ctx context.Context) error
}

type options struct {
	kind, dsn, schema, dir string
	batch                  uint
	age                    time.Duration
	size                   int
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "logs:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	flag.StringVar(&o.kind, "log", "", "trillian or tessera")
	flag.StringVar(&o.dsn, "dsn", "", "trillian: address of an empty database")
	flag.StringVar(&o.schema, "schema", "", "trillian: file of its schema")
	flag.StringVar(&o.dir, "dir", "", "tessera: empty folder of the log")
	flag.UintVar(&o.batch, "batch", 256, "tessera: entries to a batch")
	flag.DurationVar(&o.age, "age", time.Millisecond, "tessera: how long a batch waits for more")
	flag.IntVar(&o.size, "size", 600, "bytes to an entry")
	flag.Parse()
	klog.LogToStderr(false) // both tell of every batch
	klog.SetOutput(io.Discard)
	var p peer
	var err error
	switch o.kind {
	case "trillian":
		p, err = newTrillian(ctx, o)
	case "tessera":
		p, err = newTessera(ctx, o)
	default:
		err = errors.New("-log is trillian or tessera")
	}
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, p, o.size), p.close(ctx))
}

// result is what a number of clients got done.
type result struct {
	Rate     float64 `json:"rate"` // entries per second
	P50, P99 int64   // microseconds
	Acts     int     `json:"acts"`
	Refused  int     `json:"refused"` // pushed back: neither in the rate nor in the times
	Error    string  `json:"error,omitempty"`
}

func serve(ctx context.Context, p peer, size int) error {
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var clients, ms int
		if _, err := fmt.Sscanf(lines.Text(), "drive %d %d", &clients, &ms); err != nil {
			return fmt.Errorf("reading a command: %w", err)
		}
		if err := out.Encode(drive(ctx, p, load{clients, time.Duration(ms) * time.Millisecond, size})); err != nil {
			return err
		}
	}
	return lines.Err()
}

type load struct {
	clients int
	long    time.Duration
	size    int
}

// drive lets clients add entries, each its next as soon as the last is
// acknowledged.
func drive(ctx context.Context, p peer, l load) result {
	took := make([][]time.Duration, l.clients)
	refused := make([]int, l.clients)
	errs := make([]error, l.clients)
	var wg sync.WaitGroup
	began := time.Now()
	for c := range l.clients {
		wg.Go(func() {
			entry := []byte(strings.Repeat("x", l.size))
			for time.Since(began) < l.long {
				_, _ = rand.Read(entry[:32]) // no two are alike
				at := time.Now()
				err := p.add(ctx, entry)
				if errors.Is(err, errPushedBack) {
					refused[c]++
					continue
				}
				if err != nil {
					errs[c] = err
					return
				}
				took[c] = append(took[c], time.Since(at))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	all := slices.Concat(took...)
	slices.Sort(all)
	r := result{Rate: float64(len(all)) / elapsed.Seconds(), Acts: len(all)}
	for _, n := range refused {
		r.Refused += n
	}
	if err := errors.Join(errs...); err != nil {
		r.Error = err.Error()
	}
	if len(all) > 0 {
		r.P50, r.P99 = all[len(all)/2].Microseconds(), all[min(len(all)-1, len(all)*99/100)].Microseconds()
	}
	return r
}

// errPushedBack means that a log asked to try again later.
var errPushedBack = errors.New("pushed back")
