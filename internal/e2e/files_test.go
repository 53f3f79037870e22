package e2e

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/s3test"
	"github.com/sealtrail/sealtrail/internal/scratch"
)

// attached adds a file by the command line and returns its id.
func (in *installation) attached(t *testing.T, id, file string) string {
	t.Helper()
	out := in.says(t, "handler-chen", 0, `"sha256"`, "file", "add", id, file)
	var a custody.Attached
	must(t, json.Unmarshal([]byte(out), &a))
	return a.File.ID
}

// recording is a WAV file of n bytes with a marker every 4 KiB.
func recording(n int, marker string) []byte {
	b := make([]byte, n)
	for at := 64; at+len(marker) < n; at += 4096 {
		copy(b[at:], marker)
	}
	copy(b, "RIFF\x00\x00\x00\x00WAVEfmt ")
	return b
}

// TestFilesEndToEnd: an attachment and a recording go in by the command line and
// come back, whole and in part, over HTTP and a store that speaks S3; a damaged
// and an exchanged object give nothing and are entries; the store goes away and
// comes back. Then everything that any process wrote is searched for what the
// files hold and what they are called.
func TestFilesEndToEnd(t *testing.T) {
	server := s3test.New(t)
	dir, err := scratch.New("e2e")
	must(t, err)
	secrets := t.TempDir() // outside of the installation
	env := map[string]string{"SEALTRAIL_S3_ENDPOINT": server.Endpoint, "SEALTRAIL_S3_BUCKET": s3test.Bucket, "SEALTRAIL_S3_PREFIX": "files"}
	for name, content := range map[string]string{"SEALTRAIL_S3_ACCESS_KEY_FILE": server.AccessKey, "SEALTRAIL_S3_SECRET_KEY_FILE": server.SecretKey, "SEALTRAIL_S3_CACERT": string(server.CACert)} {
		env[name] = filepath.Join(secrets, name)
		must(t, os.WriteFile(env[name], []byte(content), 0o600))
	}
	otlp, temp := collect(t, filepath.Join(dir.Path, "telemetry")), filepath.Join(dir.Path, "tmp")
	must(t, os.MkdirAll(temp, 0o700))
	given := append(otlp.environ(), "TMPDIR="+temp, "SEALTRAIL_DEBUG=true")
	for name, value := range env {
		given = append(given, name+"="+value)
	}
	in, err := startIn(dir, given...)
	must(t, err)
	t.Cleanup(func() { must(t, in.close()) })
	in.explain(t)

	var m marks
	content := map[string][]byte{}
	names := map[string]string{"letter": m.word("name of a letter") + ".txt", "call": m.word("name of a recording") + ".wav"}
	content["letter"] = []byte(m.text("content of a letter"))
	content["call"] = recording(20<<20, m.word("content of a recording")) // more than one part
	made := in.assigned(t, draft(map[string]string{"narrative": "a complaint with files"}))
	ids := map[string]string{}
	for what, name := range names {
		path := filepath.Join(secrets, name)
		must(t, os.WriteFile(path, content[what], 0o600))
		ids[what] = in.attached(t, made.ID, path)
	}
	reason := m.text("reason of an opening")
	for what, id := range ids {
		to := filepath.Join(secrets, "back-"+what)
		in.says(t, "handler-chen", 0, "", "file", "get", made.ID, id, "--to", to, "--reason", reason)
		if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, content[what]) {
			t.Errorf("%s: %d bytes came back, %v", what, len(got), err)
		}
	}
	part := filepath.Join(secrets, "part")
	in.says(t, "handler-chen", 0, "", "file", "get", made.ID, ids["call"], "--to", part, "--reason", reason, "--range", "16777000-17000000")
	if got, err := os.ReadFile(part); err != nil || !bytes.Equal(got, content["call"][16777000:17000001]) {
		t.Errorf("a range: %d bytes came back, %v", len(got), err)
	}
	in.says(t, "quality-sun", 5, "policy_denied", "--purpose", "quality", "file", "get", made.ID, ids["call"], "--to", filepath.Join(secrets, "none"), "--reason", reason)
	in.says(t, "handler-chen", 0, ids["call"], "file", "list", made.ID)
	in.damagedObjects(t, server, made.ID, ids, filepath.Join(secrets, "damaged"))

	server.Stop()
	in.says(t, "handler-chen", 8, "files_unavailable", "file", "get", made.ID, ids["letter"], "--to", filepath.Join(secrets, "away"), "--reason", reason)
	in.says(t, "handler-chen", 8, "files_unavailable", "file", "add", made.ID, filepath.Join(secrets, names["letter"]))
	server.Start()
	in.says(t, "handler-chen", 0, "", "file", "get", made.ID, ids["letter"], "--to", filepath.Join(secrets, "again"), "--reason", reason)
	for _, none := range []string{"none", "away", "damaged"} {
		if _, err := os.Stat(filepath.Join(secrets, none)); err == nil {
			t.Errorf("%s: something was kept of a file that did not come", none)
		}
	}

	must(t, in.StopService())
	in.sql(t, "checkpoint")
	must(t, in.Stop())
	m.keep("secret key of the store", server.SecretKey)
	for _, root := range []string{dir.Path, filepath.Dir(server.Dir)} {
		found, size := newFinder(t, m.values).below(t, root)
		t.Logf("%d markers looked for in %.1f MB", len(m.values), float64(size)/1e6)
		for _, file := range slices.Sorted(maps.Keys(found)) {
			m.report(t, file, found[file])
		}
	}
	if found, _ := newFinder(t, m.values).below(t, secrets); len(found) < len(names) {
		t.Errorf("the search finds nothing in the very files: %d hits", len(found))
	}
	if spans, err := os.ReadFile(filepath.Join(dir.Path, "telemetry", "traces")); err != nil || !strings.Contains(string(spans), "/files/{file}") {
		t.Errorf("the collector got no span of a file: %v", err)
	}
}

// damagedObjects changes and exchanges objects behind the service's back.
func (in *installation) damagedObjects(t *testing.T, server *s3test.Server, complaint string, ids map[string]string, to string) {
	t.Helper()
	objects := map[string]string{}
	must(t, filepath.WalkDir(server.Dir, func(path string, d fs.DirEntry, err error) error {
		for what, id := range ids {
			if err == nil && !d.IsDir() && strings.Contains(path, id) {
				objects[what] = path
			}
		}
		return err
	}))
	if len(objects) != 2 {
		t.Fatalf("the store holds %v", objects)
	}
	good, err := os.ReadFile(objects["letter"])
	must(t, err)
	call, err := os.ReadFile(objects["call"])
	must(t, err)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-20] ^= 1
	for what, stored := range map[string][]byte{"flipped": flipped, "another file's": call, "cut": good[:len(good)-1]} {
		must(t, os.WriteFile(objects["letter"], stored, 0o600))
		out, code := in.client(t, "handler-chen", "handle", "file", "get", complaint, ids["letter"], "--to", to, "--reason", "looking")
		if code != 4 || !strings.Contains(out, "integrity_violation") {
			t.Errorf("%s: exit code %d %s", what, code, out)
		}
	}
	must(t, os.WriteFile(objects["letter"], good, 0o600))
	out := in.says(t, "handler-chen", 0, "access.integrity", "complaint", "trail", complaint)
	if n := strings.Count(out, "access.integrity"); n != 3 {
		t.Errorf("%d findings are in the trail, want 3", n)
	}
}
