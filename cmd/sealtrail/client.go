package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
)

// maxAnswer bounds an answer in bytes: a report or a page of 200 complaints is
// far below it.
const maxAnswer = 64 << 20

// client speaks to the server. It is safe for concurrent use.
type client struct {
	session *session
	once    sync.Once
	http    *http.Client
	token   string
	noToken error // what is wrong with the token
	err     error
}

// awayError is a server that cannot be reached.
type awayError struct{ cause error }

func (e *awayError) Error() string { return "reaching the server: " + e.cause.Error() }
func (e *awayError) Unwrap() error { return e.cause }

// request is one call.
type request struct {
	method, path string
	query        url.Values
	body         any
	header       map[string]string
	purpose      bool // send the purpose
	public       bool // needs no token, and none is sent
}

// answer is a success.
type answer struct {
	body   []byte
	header http.Header
}

// into parses the answer's body.
func (a *answer) into(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	return nil
}

func (c *client) setUp() {
	cli := c.session.cli
	if c.noToken = c.readToken(); c.noToken == nil {
		if info, err := os.Stat(cli.TokenFile); err == nil && info.Mode().Perm()&0o077 != 0 {
			c.session.suggest(c.session.word("他人可读取令牌文件,请执行 chmod 600", "others can read the token file: chmod 600"))
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	if cli.CA != "" {
		pem, err := os.ReadFile(cli.CA)
		if err != nil {
			c.err = &usageError{"reading the CA file: " + err.Error(), ""}
			return
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			c.err = &usageError{"reading the CA file: no certificate in it", ""}
			return
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	}
	// A redirect would carry the token elsewhere.
	c.http = &http.Client{Transport: transport, Timeout: cli.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (c *client) readToken() error {
	file := c.session.cli.TokenFile
	if file == "" {
		return &usageError{c.session.word("没有令牌", "no token"), c.session.word("用 --token-file 或 SEALTRAIL_TOKEN_FILE 指定令牌文件", "name a token file with --token-file or SEALTRAIL_TOKEN_FILE")}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return &usageError{c.session.word("读取令牌文件: ", "reading the token file: ") + err.Error(), ""}
	}
	c.token = strings.TrimSpace(string(raw))
	return nil
}

// ready sets the client up once; only a public request needs no token.
func (c *client) ready(public bool) error {
	if c.once.Do(c.setUp); c.err != nil {
		return c.err
	}
	if public {
		return nil
	}
	return c.noToken
}

// do sends one request. Its errors are *problem, *awayError or *usageError.
func (c *client) do(ctx context.Context, r request) (*answer, error) {
	if err := c.ready(r.public); err != nil {
		return nil, err
	}
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL: it may name a record
		}
		return nil, &awayError{err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &awayError{err}
	}
	if resp.StatusCode/100 != 2 {
		return nil, parseProblem(resp, body)
	}
	return &answer{body: body, header: resp.Header}, nil
}

func (c *client) build(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		raw, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("writing the request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	address := strings.TrimRight(c.session.cli.Server, "/") + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		return nil, &usageError{c.session.word("服务器地址不是 URL", "the server's address is not a URL"), c.session.word("--server 例如 https://127.0.0.1:8443", "--server is, for instance, https://127.0.0.1:8443")}
	}
	if !r.public {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("Accept-Language", c.session.word("zh-CN", "en"))
	req.Header.Set("User-Agent", "sealtrail/"+version())
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.purpose && c.session.cli.Purpose != "" {
		req.Header.Set("Sealtrail-Purpose", c.session.cli.Purpose)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	return req, nil
}

// randomKey makes an idempotency key.
func randomKey() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
