package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/exitcode"
	"github.com/sealtrail/sealtrail/internal/server"
)

// TestDoctorWithoutServers: the doctor names what is away without guessing at
// what it could not look at, and looks at everything that serve needs.
func TestDoctorWithoutServers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := new(bytes.Buffer)
	code := run(t.Context(), []string{"doctor", "--institution", "bank-a", "--database-url-file", filepath.Join(dir, "none"),
		"--vault-addr", "https://127.0.0.1:1", "--vault-role-file", filepath.Join(dir, "none"), "--vault-secret-file", filepath.Join(dir, "none"),
		"--issuer", "https://login.example", "--published", filepath.Join(dir, "published", "later")}, out, out)
	if code != exitcode.Failure || !strings.Contains(out.String(), "7 of 8 checks failed") {
		t.Errorf("exit code %d, want 1, and all but the folder wrong:\n%s", code, out)
	}
	if strings.Contains(out.String(), "weakened") {
		t.Errorf("keys that could not be read are called weakened:\n%s", out)
	}
	if !strings.Contains(out.String(), "✓ folder of the published log") {
		t.Errorf("a folder that the service can make is called wrong:\n%s", out)
	}
}

func TestDoctorFindsTheIssuersKeys(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_, _ = w.Write([]byte(`{"keys":[{"kty":"OKP"}]}`))
			return
		}
		http.NotFound(w, r)
	}))
	defer srv.Close()
	for path, wrong := range map[string]bool{"/keys": false, "/elsewhere": true} {
		d := &doctorCommand{server.Config{Issuer: srv.URL, Audience: "sealtrail", JWKSURL: srv.URL + path}}
		if found := d.issuerKeys(t.Context()); (found.err != nil) != wrong {
			t.Errorf("%s: got %v, want an error: %t", path, found.err, wrong)
		}
	}
}

func TestDoctorLooksAtThePublishedFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := &doctorCommand{server.Config{Published: file}}
	if found := d.published(t.Context()); found.err == nil {
		t.Error("a file as folder of the published log: no finding")
	}
}
