package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/timestamp"
	"github.com/sealtrail/sealtrail/audit/timestamp/tsatest"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// stampedLog is a log whose first 200 entries openssl stamped and whose next entry says so. spoil, if not nil, changes what is stored.
func stampedLog(t *testing.T, a *tsatest.Authority, spoil func(text, token []byte, facts audit.Facts) []byte) (*audittest.Log, string) {
	t.Helper()
	l := audittest.New(audittest.Config{Start: time.Now().Add(-10 * time.Second)})
	l.PutBlob([]byte("policy bundle"))
	l.Append(audittest.Bodies(200)...)
	n, err := audit.SplitNote(l.Checkpoint())
	if err != nil {
		t.Fatal(err)
	}
	c, err := audit.ParseCheckpoint(n.Text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := timestamp.NewRequest(c.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := a.Reply(r.DER)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := timestamp.Roots(a.CA)
	if err != nil {
		t.Fatal(err)
	}
	token, err := r.Check(answer, roots)
	at := time.Now()
	if err == nil {
		at = token.Time
	}
	sum := sha256.Sum256(answer)
	facts := audit.Facts{"origin": l.Origin(), "size": int64(200), "root": hex.EncodeToString(c.Root[:]), "time": at.UTC().Format(audit.TimeLayout), "token_sha256": hex.EncodeToString(sum[:]), "tsa": "tests"}
	if spoil != nil {
		answer = spoil(c.Marshal(), answer, facts)
	}
	body := audittest.Bodies(1)[0]
	body.Kind, body.Stage, body.Subject, body.Facts = "time.stamped", audit.StageEvent, "charter:time", facts
	body = audit.Body{At: body.At, Stage: body.Stage, Kind: body.Kind, Subject: body.Subject, Facts: facts, Institution: body.Institution, Actor: body.Actor, Nonce: body.Nonce}
	l.Append(body)
	dir := write(t, l)
	if answer != nil {
		name := filepath.Join(dir, filepath.FromSlash(audit.StampPath(200)))
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, answer, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return l, dir
}

func TestTimeStampsAreVerified(t *testing.T) {
	t.Parallel()
	a := tsatest.New(t, tsatest.Config{})
	l, dir := stampedLog(t, a, nil)
	code, out, errs := call(t, "verify", "--key", l.VerifierKey(), "--tsa-ca", a.CAFile, dir)
	if code != exitcode.OK {
		t.Fatalf("code %d\n%s%s", code, out, errs)
	}
	want(t, out, "✓ time stamps of an outside authority", "the first 200 entries were there by", "says CN=TSA of the tests")
	_, out, _ = call(t, "verify", "--key", l.VerifierKey(), "--lang", "zh", "--tsa-ca", a.CAFile, dir)
	want(t, out, "✓ 外部时间戳机构的时间戳", "前 200 条记录在")
	code, out, _ = call(t, "verify", "--key", l.VerifierKey(), dir)
	if code != exitcode.OK {
		t.Errorf("without --tsa-ca: code %d", code)
	}
	want(t, out, "– time stamps", "not checked: 1 time stamps, and no --tsa-ca")
	if code, _, _ := call(t, "verify", "--key", l.VerifierKey(), "--tsa-ca", file(t, []byte("no certificate")), dir); code != exitcode.Usage {
		t.Errorf("no certificate: code %d", code)
	}
}

func TestForgedTimeStampsAreFindings(t *testing.T) {
	t.Parallel()
	a, stranger := tsatest.New(t, tsatest.Config{}), tsatest.New(t, tsatest.Config{})
	forge := func(text []byte, at time.Time) []byte {
		t.Helper()
		token, err := a.Forge(text, at)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	named := func(token []byte, facts audit.Facts) []byte { // an operator who is consistent in his lie
		sum := sha256.Sum256(token)
		facts["token_sha256"] = hex.EncodeToString(sum[:])
		return token
	}
	for code, test := range map[string]struct {
		ca    *tsatest.Authority
		spoil func(text, token []byte, facts audit.Facts) []byte
	}{
		"stamp_untrusted": {stranger, nil},
		"stamp_missing":   {a, func(_, _ []byte, _ audit.Facts) []byte { return nil }},
		"stamp_altered":   {a, func(_, _ []byte, _ audit.Facts) []byte { return forge([]byte("another checkpoint"), time.Now()) }},
		"stamp_digest": {a, func(_, _ []byte, f audit.Facts) []byte {
			return named(forge([]byte("another checkpoint"), time.Now()), f)
		}},
		"stamp_malformed": {a, func(_, _ []byte, f audit.Facts) []byte { return named([]byte("no token"), f) }},
		"stamp_time": {a, func(_, token []byte, f audit.Facts) []byte {
			f["time"] = "2020-01-01T00:00:00.000000Z"
			return token
		}},
		"clock_behind": {a, func(text, _ []byte, f audit.Facts) []byte {
			at := time.Now().Add(time.Hour).Truncate(time.Second)
			f["time"] = at.UTC().Format(audit.TimeLayout)
			return named(forge(text, at), f)
		}},
		"clock_ahead": {a, func(text, _ []byte, f audit.Facts) []byte {
			at := time.Now().Add(-time.Hour).Truncate(time.Second)
			f["time"] = at.UTC().Format(audit.TimeLayout)
			return named(forge(text, at), f)
		}},
	} {
		t.Run(code, func(t *testing.T) {
			l, dir := stampedLog(t, a, test.spoil)
			exit, out, errs := call(t, "verify", "--key", l.VerifierKey(), "--tsa-ca", test.ca.CAFile, "-o", "json", dir)
			if exit != exitcode.Integrity {
				t.Fatalf("code %d\n%s%s", exit, out, errs)
			}
			want(t, out, `"code": "`+code+`"`)
		})
	}
}
