package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/childproc"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/sandbox"
	"github.com/sealtrail/sealtrail/internal/scratch"
)

// patience bounds every wait of these tests; nothing comes near it when things
// work.
const patience = 30 * time.Second

// installation is a running sandbox with the verbs that the tests repeat.
type installation struct {
	*sandbox.Sandbox
	dir *scratch.Dir
}

// start brings an installation up; env is added to the service's environment.
func start(env ...string) (*installation, error) {
	dir, err := scratch.New("e2e")
	if err != nil {
		return nil, err
	}
	return startIn(dir, env...)
}

func startIn(dir *scratch.Dir, env ...string) (*installation, error) {
	if err := lookAtSources(); err != nil {
		return nil, err
	}
	box, err := sandbox.Start(context.Background(), sandbox.Config{Dir: dir.Path, Bin: bin, ServeEnv: env, IssuerSeed: issuerSeed()})
	if err != nil {
		_ = dir.Remove() // the start's own error is the one to tell
		return nil, err
	}
	return &installation{box, dir}, nil
}

// issuerSeed is the key of the installation's issuer, so that tests can make
// tokens that are signed well and wrong otherwise.
func issuerSeed() []byte { return []byte("sealtrail end-to-end tests only!") }

func (in *installation) close() error {
	err := in.Stop()
	if removed := in.dir.Remove(); err == nil {
		err = removed
	}
	return err
}

// own is an installation for one test alone.
func own(t *testing.T, env ...string) *installation {
	t.Helper()
	in, err := start(env...)
	must(t, err)
	t.Cleanup(func() { must(t, in.close()) })
	in.explain(t)
	return in
}

// explain shows the end of the service's log if the test fails.
func (in *installation) explain(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the service said last:\n%s", childproc.Tail(in.ServiceLog(), 15))
		}
	})
}

// several is one installation for several tests, started by the first of them.
type several struct {
	once sync.Once
	in   *installation
	err  error
}

func (s *several) get(t *testing.T) *installation {
	t.Helper()
	s.once.Do(func() { s.in, s.err = start() })
	must(t, s.err)
	s.in.explain(t)
	return s.in
}

// The tests that leave an installation as they found it share one, and run in
// parallel; those that take servers away share another, one after the other.
var shared, roughShared several

func common(t *testing.T) *installation { t.Helper(); return shared.get(t) }
func rough(t *testing.T) *installation  { t.Helper(); return roughShared.get(t) }

func stopShared() {
	for _, s := range []*several{&shared, &roughShared} {
		if s.in == nil {
			continue
		}
		if err := s.in.close(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: stopping:", err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unique numbers what must be unique within an installation.
var unique atomic.Int64

func next() int64 { return unique.Add(1) }

// problem is what the tests read of an answer that is not a success.
type problem struct {
	Code     string `json:"code"`
	Status   int    `json:"status"`
	Instance string `json:"instance"`
	State    string `json:"state"`
	Errors   []struct{ Pointer, Code string }
	Decision *custody.DecisionView
	Audit    *struct {
		Entry string `json:"entry"`
	}
}

// codeOf is the stable code of an answer, "" for a success.
func codeOf(a *sandbox.Answer) string {
	var p problem
	if a.Status < 400 || json.Unmarshal(a.Body, &p) != nil {
		return ""
	}
	return p.Code
}

// call is one request: who, what, and the headers that matter. Purpose is
// handle and the idempotency key fresh unless given.
type call struct {
	who, method, path string
	body              any
	purpose           string
	ifMatch           uint64
	key               string
	token             string // instead of who's own
}

// headers are those of a call, in pairs of name and value.
func (c call) headers() []string {
	if c.purpose == "" {
		c.purpose = "handle"
	}
	if c.key == "" {
		c.key = "k" + strconv.FormatInt(next(), 10)
	}
	headers := []string{"Sealtrail-Purpose", c.purpose, "Idempotency-Key", c.key}
	if c.ifMatch > 0 {
		headers = append(headers, "If-Match", strconv.Quote(strconv.FormatUint(c.ifMatch, 10)))
	}
	return headers
}

func (in *installation) do(ctx context.Context, c call) (*sandbox.Answer, error) {
	headers := c.headers()
	if c.token == "" {
		return in.Call(ctx, c.who, c.method, c.path, c.body, headers...)
	}
	body := ""
	if c.body != nil {
		encoded, err := json.Marshal(c.body)
		if err != nil {
			return nil, err
		}
		body = string(encoded)
	}
	h := http.Header{"Authorization": {"Bearer " + c.token}, "Content-Type": {"application/json"}}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return in.send(ctx, raw{c.method, c.path, body, h})
}

// answered sends a request that must get an answer.
func (in *installation) answered(t testing.TB, c call) *sandbox.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a, err := in.do(ctx, c)
	if err != nil {
		t.Fatalf("%s %s as %s: %v", c.method, c.path, c.who, err)
	}
	return a
}

// ok sends a request that must succeed and decodes its answer.
func ok[T any](t testing.TB, in *installation, c call) *T {
	t.Helper()
	a := in.answered(t, c)
	if a.Status >= 300 {
		t.Fatalf("%s %s as %s: got %d %s, want a success", c.method, c.path, c.who, a.Status, a.Body)
	}
	into := new(T)
	if err := json.Unmarshal(a.Body, into); err != nil {
		t.Fatalf("%s %s as %s: %v", c.method, c.path, c.who, err)
	}
	return into
}

// refused sends a request that must fail with this status and code.
func (in *installation) refused(t testing.TB, status int, code string, c call) problem {
	t.Helper()
	a := in.answered(t, c)
	var p problem
	if a.Status != status || json.Unmarshal(a.Body, &p) != nil || p.Code != code {
		t.Errorf("%s %s as %s: got %d %s, want %d %s", c.method, c.path, c.who, a.Status, a.Body, status, code)
	}
	return p
}

// raw is a request that a well-behaved client would not send.
type raw struct {
	method, path, body string
	header             http.Header
}

func (in *installation) send(ctx context.Context, r raw) (*sandbox.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, in.API+r.path, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return &sandbox.Answer{Status: res.StatusCode, Header: res.Header, Body: body}, err
}

// sent is a raw request that must get an answer.
func (in *installation) sent(t testing.TB, r raw) *sandbox.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a, err := in.send(ctx, r)
	must(t, err)
	return a
}

// draft is a plain complaint of the cards department.
func draft(fields map[string]string) map[string]any {
	n := next()
	all := map[string]string{"complainant_name": "张三丰", "phone": "13800138000", "narrative": "信用卡被多收了年费,请退还。"}
	for name, value := range fields {
		all[name] = value
	}
	return map[string]any{"source": "hotline", "source_id": "e2e-" + strconv.FormatInt(n, 10), "channel": "phone",
		"received_at": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "received_evidence": "call_record",
		"department": "cards", "branch": "b001", "party_type": "self", "fields": all}
}

// create files a complaint.
func (in *installation) create(t testing.TB, d map[string]any) *custody.Created {
	t.Helper()
	return ok[custody.Created](t, in, call{who: "intake-li", method: "POST", path: "/v1/complaints", body: d})
}

func complaintPath(id string, more ...string) string {
	return "/v1/complaints/" + id + strings.Join(more, "")
}

// move performs a transition and keeps the revision in c.
func (in *installation) move(t testing.TB, c *custody.Created, who, name string, inputs map[string]string) {
	t.Helper()
	purpose := "handle"
	if inputs == nil {
		inputs = map[string]string{}
	}
	if name == "approve" || name == "extend" {
		purpose = "approve"
	}
	v := ok[custody.View](t, in, call{who: who, method: "POST", path: complaintPath(c.ID, "/transitions"), purpose: purpose, ifMatch: c.Revision,
		body: map[string]any{"name": name, "inputs": inputs}})
	c.Revision = v.Revision
}

var accepted = map[string]string{"identity_valid": "true", "content_clear": "true", "demand_concrete": "true", "in_scope": "true"}
var classified = map[string]string{"type": "service", "level": "general", "business": "credit_card", "reason_class": "pricing"}

// assigned files a complaint and makes handler-chen its handler.
func (in *installation) assigned(t testing.TB, d map[string]any) *custody.Created {
	t.Helper()
	c := in.create(t, d)
	in.move(t, c, "intake-li", "accept", accepted)
	in.move(t, c, "intake-li", "classify", classified)
	in.move(t, c, "head-wang", "assign", map[string]string{"assignee": "handler-chen"})
	return c
}

// run runs one of the three commands and returns its output and exit code.
func (in *installation) run(t testing.TB, name string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, in.Program(name), args...)
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8", "LC_ALL=C.UTF-8")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("running %s: %v", name, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// sql runs statements as the superuser.
func (in *installation) sql(t testing.TB, statement string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := in.Admin(ctx)
	must(t, err)
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// count asks for one number as the superuser.
func (in *installation) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := in.Admin(ctx)
	must(t, err)
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// eventually asks until want says yes.
func eventually(t testing.TB, what string, want func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !want() {
		if time.Since(began) > patience {
			t.Fatalf("waiting for %s: not within %s", what, patience)
		}
		<-tick.C
	}
	return time.Since(began)
}

// checkpointSize is the size of the signed checkpoint on disk, 0 if none.
func (in *installation) checkpointSize() (size uint64) {
	raw, err := os.ReadFile(filepath.Join(in.LogDir(), "checkpoint"))
	if lines := strings.Split(string(raw), "\n"); err == nil && len(lines) > 2 {
		size, _ = strconv.ParseUint(lines[1], 10, 64) // unreadable counts as none
	}
	return size
}

// published waits until an entry is below a signed checkpoint.
func (in *installation) published(t testing.TB, entry uint64) {
	t.Helper()
	eventually(t, "publication", func() bool {
		a := in.answered(t, call{who: "auditor-he", method: "GET", path: fmt.Sprintf("/v1/audit/entries/%d", entry)})
		var v custody.EntryView
		return a.Status == 200 && json.Unmarshal(a.Body, &v) == nil && v.Index != nil && in.checkpointSize() > *v.Index
	})
}
