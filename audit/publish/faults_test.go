package publish_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
)

var errFault = errors.New("made to fail")

// faults makes one operation of a round fail, once: before it was done, or after.
type faults struct {
	after bool // the operation is done, and its answer is an error

	mu    sync.Mutex
	armed bool
	point point
	fired bool
	seen  map[string]int    // operations since it was armed, by what they are
	order []point           // the same, in their order
	names map[string]string // text of each prepared statement
}

// point is the n-th operation of a kind within a round, from 0: "file rename", "store put tile/0", "sql run select ...".
type point struct {
	what string
	n    int
}

// arm lets the operation at p fail from now on.
func (f *faults) arm(p point) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.point, f.fired, f.seen, f.order = true, p, false, map[string]int{}, nil
}

// disarm reports whether the operation failed.
func (f *faults) disarm() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	return f.fired
}

// hit counts an operation and says whether it is the one.
func (f *faults) hit(what string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed || f.fired {
		return false
	}
	at := point{what, f.seen[what]}
	f.seen[what]++
	f.order = append(f.order, at)
	f.fired = at == f.point
	return f.fired
}

// do runs an operation under the faults.
func (f *faults) do(what string, op func() error) error {
	if !f.hit(what) {
		return op()
	}
	if f.after {
		_ = op()
	}
	return fmt.Errorf("%s: %w", what, errFault)
}

// pool connects through connections that break at the armed statement.
func (f *faults) pool(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 4
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &faultyConn{Conn: conn, faults: f}, nil
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// faultyConn is a connection to PostgreSQL that breaks at a statement: before it is sent, or when the server has done it and its
// answer is on the way.
type faultyConn struct {
	net.Conn
	faults *faults
	broken atomic.Bool
}

var (
	syncMessage = []byte{'S', 0, 0, 0, 4}
	readyLength = 6 // 'Z', four bytes of length, the state of the transaction
)

func (c *faultyConn) Write(b []byte) (int, error) {
	if c.broken.Load() {
		return 0, net.ErrClosed
	}
	if len(b) == 0 || b[0] != 'Q' && !bytes.HasSuffix(b, syncMessage) || !c.faults.hit("sql "+c.faults.statement(b)) {
		return c.Conn.Write(b)
	}
	defer c.broken.Store(true)
	if !c.faults.after {
		_ = c.Conn.Close()
		return 0, errFault
	}
	if _, err := c.Conn.Write(b); err != nil {
		return 0, err
	}
	return len(b), c.swallow()
}

// swallow reads the answer up to ReadyForQuery and breaks the connection.
func (c *faultyConn) swallow() error {
	defer func() { _ = c.Conn.Close() }()
	if err := c.Conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	var all []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Conn.Read(buf)
		all = append(all, buf[:n]...)
		if len(all) >= readyLength && bytes.HasPrefix(all[len(all)-readyLength:], []byte{'Z', 0, 0, 0, 5}) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for the server's answer: %w", err)
		}
	}
}

func (c *faultyConn) Read(b []byte) (int, error) {
	if c.broken.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Read(b)
}

// statement is the text of the statement that a message prepares or runs.
func (f *faults) statement(b []byte) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	fields := strings.SplitN(string(b[5:]), "\x00", 3)
	switch b[0] {
	case 'P': // name, text
		f.names[fields[0]] = squeeze(fields[1])
		return "prepare " + f.names[fields[0]]
	case 'B': // portal, name
		return "run " + f.names[fields[1]]
	}
	return squeeze(fields[0])
}

func squeeze(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return text[:min(len(text), 60)]
}

// faultyStore is the store with faults at its door; the Folder behind it has faults at each file operation.
type faultyStore struct {
	publish.Store
	faults *faults
}

func (s faultyStore) Put(ctx context.Context, path string, contents []byte) error {
	return s.faults.do("store put "+class(path), func() error { return s.Store.Put(ctx, path, contents) })
}

func (s faultyStore) Get(ctx context.Context, path string) (contents []byte, err error) {
	err = s.faults.do("store get "+class(path), func() (err error) { contents, err = s.Store.Get(ctx, path); return err })
	return contents, err
}

func (s faultyStore) Remove(ctx context.Context, path string) error {
	return s.faults.do("store remove "+class(path), func() error { return s.Store.Remove(ctx, path) })
}

// class is a path without what differs from round to round.
func class(path string) string {
	parts := strings.Split(path, "/")
	if parts[0] == audit.CheckpointsDir {
		return parts[0]
	}
	return strings.Join(parts[:min(2, len(parts))], "/")
}

type faultySigner struct {
	*signer
	faults *faults
}

func (s faultySigner) Sign(ctx context.Context, msg []byte) (sig []byte, err error) {
	err = s.faults.do("signer sign", func() (err error) { sig, err = s.signer.Sign(ctx, msg); return err })
	return sig, err
}
