package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// SyslogConfig is a Syslog's.
type SyslogConfig struct {
	Address string      // host:port
	TLS     *tls.Config // RFC 5425; nil: plain TCP, on a loopback address only
	// Settle is how long a connection must stay unbroken behind a batch before it
	// counts as handed over; 0: 1 s. Syslog has no acknowledgement: what the
	// receiver's kernel had taken when it died is lost, and only this wait makes
	// that unlikely.
	Settle time.Duration
}

// Syslog sends events as RFC 5424 messages, framed by length (RFC 6587, 3.4.1).
// Not safe for concurrent use.
type Syslog struct {
	cfg  SyslogConfig
	conn net.Conn
	host string
}

// NewSyslog returns a Syslog. It does not connect.
func NewSyslog(cfg SyslogConfig) (*Syslog, error) {
	host, _, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: a syslog address is host:port", ErrConfig)
	}
	if cfg.TLS == nil && !loopback(host) {
		return nil, fmt.Errorf("%w: syslog without TLS goes to a loopback address only", ErrConfig)
	}
	if cfg.Settle == 0 {
		cfg.Settle = time.Second
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "-"
	}
	return &Syslog{cfg: cfg, host: name}, nil
}

// Facility 13 is "log audit" (RFC 5424, table 1); severity 6 is informational, 4
// a warning.
const (
	facility      = 13
	severityInfo  = 6
	severityAlert = 4
)

// Send writes a batch and waits whether the connection survives it.
func (s *Syslog) Send(ctx context.Context, b Batch) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	var out []byte
	for _, e := range b.Events {
		line := s.message(e)
		out = append(strconv.AppendInt(out, int64(len(line)), 10), ' ')
		out = append(out, line...)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(30 * time.Second)
	}
	err := s.conn.SetWriteDeadline(deadline)
	if err == nil {
		_, err = s.conn.Write(out)
	}
	if err == nil {
		err = s.settled()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing to syslog: %w", withoutAddress(err)), s.Close())
	}
	return nil
}

// message is one event, without structured data: the entry's place is in it.
func (s *Syslog) message(event []byte) []byte {
	severity := severityInfo
	if isFinding(event) {
		severity = severityAlert
	}
	return fmt.Appendf(nil, "<%d>1 %s %s sealtraild - audit - %s", 8*facility+severity,
		time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), s.host, event)
}

// settled reads until the wait is over: a receiver says nothing, so whatever
// comes before is the end of the connection.
func (s *Syslog) settled() error {
	if err := s.conn.SetReadDeadline(time.Now().Add(s.cfg.Settle)); err != nil {
		return err
	}
	var one [1]byte
	_, err := s.conn.Read(one[:])
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return nil
	}
	if err == nil {
		return errors.New("the receiver speaks")
	}
	return err
}

func (s *Syslog) connect(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.cfg.Address)
	if err != nil {
		return fmt.Errorf("connecting to syslog: %w", withoutAddress(err))
	}
	if s.cfg.TLS != nil {
		secure := tls.Client(conn, s.cfg.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return fmt.Errorf("connecting to syslog: %w", withoutAddress(err))
		}
		conn = secure
	}
	s.conn = conn
	return nil
}

// withoutAddress drops the addresses from an error of package net.
func withoutAddress(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Close ends the connection.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
