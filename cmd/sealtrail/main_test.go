package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	sealedintake "github.com/sealtrail/sealtrail/crypto/intake"
	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/doortest"
	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/httpapi"
	"github.com/sealtrail/sealtrail/internal/supervision"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sealtrail": main})
}

// stage is the API over a fake door.
type stage struct {
	door    *doortest.Door
	handler http.Handler
	url     string
	issuer  *authn.DevIssuer
	dir     string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{door: &doortest.Door{Figures: &supervision.Report{Format: "sealtrail-report/1"}}, dir: t.TempDir()}
	private, err := sealedintake.NewPrivateKey("demo-bank", 1, sealedintake.DefaultKEM(), make([]byte, sealedintake.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	s.door.Intake = &custody.IntakeKey{Version: 1, Bundle: private.Public().Bundle(), SHA256: strings.Repeat("0", 64)}
	if s.issuer, err = authn.NewDevIssuer(authn.DevConfig{}); err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(s.dir, "jwks.json")
	if err := os.WriteFile(keys, s.issuer.JWKS(), 0o600); err != nil {
		t.Fatal(err)
	}
	verifier, err := authn.New(t.Context(), authn.Config{JWKSFile: keys, Issuer: s.issuer.Issuer(), Audience: s.issuer.Audience()})
	if err != nil {
		t.Fatal(err)
	}
	s.handler, err = httpapi.New(httpapi.Config{Door: s.door, Verifier: verifier, Reasons: func(code string) (httpapi.Reason, bool) {
		return httpapi.Reason{ZH: "质检岗不可取用身份证号明文", EN: "Quality reviewers see masked values only", NextZH: "请经办人提供脱敏材料", NextEN: "ask the handler for masked material"}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.handler)
	t.Cleanup(srv.Close)
	s.url = srv.URL
	for person, role := range map[string]string{"handler": "handler", "quality": "quality", "head": "head"} {
		token, err := s.issuer.Mint(authn.Persona{Person: person, Institution: "demo-bank", Kind: authn.KindHuman, Roles: []string{role}}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, person+".token"), []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// The scripts are the command line's specification.
func TestScripts(t *testing.T) {
	t.Parallel()
	entries, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(entries) < 5 {
		t.Fatalf("scripts = %d, %v", len(entries), err)
	}
	testscript.Run(t, testscript.Params{
		Files: entries,
		Setup: func(e *testscript.Env) error {
			s := newStage(t) // one server per script
			e.Vars = append(e.Vars, "SEALTRAIL_SERVER="+s.url, "TOKENS="+s.dir, "LANG=en_GB.UTF-8", "LC_ALL=")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "idof": idOf},
	})
}

// exits runs a command and wants an exact exit code: exits 5 sealtrail reveal ...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("running: %v", err)
		}
		got = exit.ExitCode()
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code = %d (%s), want %s", got, exitcode.Code(got), args[0])
	}
}

// idOf sets $ID, or the variable named, to the id in the last standard output.
func idOf(ts *testscript.TestScript, _ bool, args []string) {
	_, rest, ok := strings.Cut(ts.ReadFile("stdout"), `"id":"`)
	if !ok {
		ts.Fatalf("no id in the last output")
	}
	ts.Setenv(append(args, "ID")[0], rest[:36])
}

// call runs the command in this process.
func (s *stage) call(t *testing.T, args ...string) (code exitcode.Code, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	args = append([]string{"--server", s.url, "--token-file", filepath.Join(s.dir, "handler.token"), "--purpose", "handle"}, args...)
	code = run(t.Context(), args, &streams{in: strings.NewReader(""), out: &o, err: &e})
	return code, o.String(), e.String()
}

func draft(n int) string {
	return fmt.Sprintf(`{"source":"app","source_id":"A-%d","channel":"mobile_app","received_at":"2026-03-02T09:00:00+08:00","fields":{"narrative":"case %d"}}`, n, n)
}

func (s *stage) fileOf(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		b.WriteString(draft(i) + "\n")
	}
	name := filepath.Join(s.dir, "in.jsonl")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// An import that breaks off continues where it was, and files nothing twice.
func TestImportResumes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	name := s.fileOf(t, 50)
	var calls atomic.Int32
	s.door.Seen = func(string, custody.Caller) {
		if calls.Add(1) == 4 {
			s.door.Fail(custody.ErrKeysUnavailable)
		}
	}
	code, _, errOut := s.call(t, "import", "--batch", "10", "--connections", "1", "--tries", "1", name)
	if code != exitcode.Unavailable || s.door.Len() != 30 || !strings.Contains(errOut, "vault_unavailable") || !strings.Contains(errOut, "run the same command again") {
		t.Fatalf("first run: %s, stored %d, %s", code, s.door.Len(), errOut)
	}
	s.door.Fail(nil)
	code, out, errOut := s.call(t, "import", "--batch", "10", "--connections", "3", name)
	if code != exitcode.OK || s.door.Len() != 50 || !strings.Contains(errOut, "resuming after line 30") || !strings.Contains(out, `"filed":50`) {
		t.Errorf("second run: %s, stored %d, %s %s", code, s.door.Len(), out, errOut)
	}
	code, out, _ = s.call(t, "import", name)
	if code != exitcode.OK || s.door.Len() != 50 || !strings.Contains(out, `"existing":50`) || !strings.Contains(out, `"filed":0`) {
		t.Errorf("third run: %s, stored %d, %s", code, s.door.Len(), out)
	}
}

// A short outage is waited out.
func TestImportWaitsForTheServer(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	name := s.fileOf(t, 5)
	var calls atomic.Int32
	s.door.Seen = func(string, custody.Caller) {
		if calls.Add(1) == 1 {
			s.door.Fail(custody.ErrUnrecorded)
			return
		}
		s.door.Fail(nil)
	}
	if code, out, errOut := s.call(t, "import", name); code != exitcode.OK || s.door.Len() != 5 || calls.Load() != 2 {
		t.Errorf("%s, stored %d in %d calls: %s %s", code, s.door.Len(), calls.Load(), out, errOut)
	}
}

func TestImportIsInterrupted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	name := s.fileOf(t, 20)
	ctx, cancel := context.WithCancel(t.Context())
	s.door.Seen = func(string, custody.Caller) { cancel() }
	var out, errOut bytes.Buffer
	code := run(ctx, []string{"--server", s.url, "--token-file", filepath.Join(s.dir, "handler.token"), "--purpose", "handle", "import", "--batch", "5", "--connections", "1", name},
		&streams{out: &out, err: &errOut})
	if code != exitcode.Interrupted || !strings.Contains(errOut.String(), "progress is saved") {
		t.Errorf("%s %s", code, errOut.String())
	}
}

func TestRefusedImportStops(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.door.Fail(doortest.Refusal())
	if code, _, errOut := s.call(t, "import", s.fileOf(t, 3)); code != exitcode.Denied || !strings.Contains(errOut, "R8") {
		t.Errorf("%s %s", code, errOut)
	}
}

func TestServerAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.url = "http://127.0.0.1:1"
	if code, _, errOut := s.call(t, "complaint", "get", "secret-id"); code != exitcode.Unavailable || strings.Contains(errOut, "secret-id") {
		t.Errorf("%s %s", code, errOut)
	}
}

// With --ca the server's own authority is believed, without it is not.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	srv := httptest.NewTLSServer(s.handler)
	t.Cleanup(srv.Close)
	ca := filepath.Join(s.dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s.url = srv.URL
	if code, out, errOut := s.call(t, "--ca", ca, "whoami"); code != exitcode.OK || !strings.Contains(out, `"person":"handler"`) {
		t.Errorf("with --ca: %s %s %s", code, out, errOut)
	}
	if code, _, _ := s.call(t, "whoami"); code != exitcode.Unavailable {
		t.Errorf("without --ca: %s", code)
	}
}

// Every problem code ends in the exit code that docs/exit-codes.md means.
func TestProblemsHaveExitCodes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		want exitcode.Code
	}{
		{custody.ErrNotFound, exitcode.NotFound},
		{custody.ErrIntegrity, exitcode.Integrity},
		{custody.ErrStale, exitcode.Conflict},
		{custody.ErrUnrecorded, exitcode.Unavailable},
		{custody.ErrKeysUnavailable, exitcode.Unavailable},
		{custody.ErrStoreUnavailable, exitcode.Unavailable},
		{doortest.Refusal(), exitcode.Denied},
		{&custody.RefusedError{Decision: custody.DecisionView{Reason: "no_grant", Next: "request_grant"}}, exitcode.NeedsApproval},
		{&custody.RefusedError{Decision: custody.DecisionView{Reason: "budget_spent"}}, exitcode.Denied},
		{&custody.ConflictError{Code: "self_approval"}, exitcode.NeedsApproval},
		{&custody.ConflictError{Code: "state_conflict"}, exitcode.Conflict},
		{&custody.ConflictError{Code: "already_decided"}, exitcode.Conflict},
		{custody.ErrIdempotencyReused, exitcode.Usage},
		{fmt.Errorf("anything"), exitcode.Failure},
	} {
		s := newStage(t)
		s.door.Fail(tc.err)
		code, _, errOut := s.call(t, "-o", "table", "complaint", "get", "00000000-0000-4000-8000-000000000000")
		if code != tc.want || !strings.Contains(errOut, "req_") {
			t.Errorf("%v: %s, want %s: %s", tc.err, code, tc.want, errOut)
		}
	}
}

// json, csv and html are the server's bytes; the table is made from the checked
// canonical form.
func TestReportIsVerbatim(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	want, err := s.door.Figures.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if code, out, errOut := s.call(t, "report", "--period", "2026-01", "--format", "json"); code != exitcode.OK || out != string(want) {
		t.Errorf("json: %s %q %s", code, out, errOut)
	}
	if code, out, errOut := s.call(t, "-o", "table", "report", "--period", "2026-01"); code != exitcode.OK || out == "" || strings.HasPrefix(out, "{") {
		t.Errorf("table: %s %q %s", code, out, errOut)
	}
	if code, out, _ := s.call(t, "report", "--period", "2026-01", "--format", "html"); code != exitcode.OK || !strings.Contains(out, "<html") {
		t.Errorf("html: %s %q", code, out)
	}
	if code, _, _ := s.call(t, "report", "--period", "January"); code != exitcode.Usage {
		t.Errorf("unknown period: %s", code)
	}
}

func TestOpenTokenFileIsPointedOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if err := os.Chmod(filepath.Join(s.dir, "handler.token"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := s.call(t, "whoami"); code != exitcode.OK || !strings.Contains(errOut, "chmod 600") {
		t.Errorf("%s %s", code, errOut)
	}
}

func TestLanguageOfTheShell(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]bool{"zh_CN.UTF-8": true, "zh": true, "en_GB.UTF-8": false, "C": false, "": false} {
		if got := speaksChinese(func(name string) string { return map[string]string{"LANG": env}[name] }); got != want {
			t.Errorf("LANG=%s: Chinese = %v", env, got)
		}
	}
}

func TestProgressLine(t *testing.T) {
	t.Parallel()
	p := &progress{s: &session{}, lines: 1000, fresh: 90, old: 10, back: 2}
	p.line.Store(250)
	want := "━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  25%  100 filed  10/s  30s left  2 rejected"
	if got := p.text(10 * time.Second); got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
}

// Chinese headings stand above their columns, and a long narrative moves
// nothing else to the right.
func TestColumnsAlign(t *testing.T) {
	t.Parallel()
	got := aligned("编号\tID\t状态\nTS-1\tx\trecorded\nnext page --page-token abc\n\fa\tb\t\n")
	want := "编号  ID  状态\nTS-1  x   recorded\nnext page --page-token abc\na  b\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
