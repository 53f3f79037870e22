package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// A file takes as long as it takes: what is bounded is how long it may stand
// still. Each step of so many bytes has the configured time; so nobody holds a
// place for ever by sending one byte now and then.
const transferStep = 16 << 10

// answerWithin is how long the answer may take once a file has come in.
const answerWithin = 30 * time.Second

// incoming reads a request's body with a deadline per step.
type incoming struct {
	x    *exchange
	conn *http.ResponseController
	idle time.Duration
	left int // bytes until the deadline is set anew
}

func (x *exchange) incoming() *incoming {
	return &incoming{x: x, conn: http.NewResponseController(x), idle: x.s.cfg.Idle}
}

func (in *incoming) Read(p []byte) (int, error) {
	if in.left <= 0 {
		in.left = transferStep
		if err := in.conn.SetReadDeadline(time.Now().Add(in.idle)); err != nil {
			return 0, errNoDeadline
		}
	}
	n, err := in.x.r.Body.Read(p)
	in.left -= n
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = custody.ErrIdle
	}
	return n, err
}

// done gives the answer its own time, which the server has counted from the
// request's beginning.
func (in *incoming) done() {
	_ = in.conn.SetWriteDeadline(time.Now().Add(answerWithin)) // else the server's own holds
}

// errNoDeadline: without deadlines on the connection no file is transferred. It
// does not happen with net/http's servers.
var errNoDeadline = errors.New("the connection takes no deadlines")

// outgoing writes an answer with a deadline per step.
func (x *exchange) outgoing(body io.Reader) error {
	conn := http.NewResponseController(x)
	buf := make([]byte, transferStep)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if err := conn.SetWriteDeadline(time.Now().Add(x.s.cfg.Idle)); err != nil {
				return errNoDeadline
			}
			if _, err := x.Write(buf[:n]); err != nil {
				return errHungUp
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var errHungUp = errors.New("the caller hung up")

// byteRange reads a Range header: one range of bytes. What is no such thing is
// ignored, as RFC 9110 14.2 wants, and all of the file is the answer; so is
// every range if the caller holds another file's ETag.
func byteRange(header, ifRange, etag string) *custody.ByteRange {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || strings.Contains(spec, ",") || ifRange != "" && ifRange != etag {
		return nil
	}
	if first == "" {
		if n, ok := whole(last); ok && n > 0 {
			return &custody.ByteRange{Suffix: n}
		}
		return nil
	}
	r := &custody.ByteRange{Last: -1}
	if r.From, ok = whole(first); !ok {
		return nil
	}
	if last != "" {
		if r.Last, ok = whole(last); !ok || r.Last < r.From {
			return nil
		}
	}
	return r
}

// whole reads a number of digits alone.
func whole(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// contentRange is the header of a part (206) or of none (416).
func contentRange(offset, length, size int64) string {
	if length == 0 {
		return "bytes */" + strconv.FormatInt(size, 10)
	}
	return "bytes " + strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+length-1, 10) + "/" + strconv.FormatInt(size, 10)
}
