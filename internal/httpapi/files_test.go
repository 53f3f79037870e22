package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// filed is a stage with one complaint.
func filed(t *testing.T, alter ...func(*Config)) (s *stage, id, token string) {
	t.Helper()
	s = newStage(t, alter...)
	token = s.token(t, "han", "handler")
	a := s.files(t, http.MethodPost, "/v1/complaints?purpose=handle", token, map[string]string{"Content-Type": "application/json", "Idempotency-Key": "k"},
		strings.NewReader(`{"source":"app","source_id":"A-1","channel":"mobile_app","received_at":"2026-03-02T09:00:00+08:00","fields":{"narrative":"x"}}`))
	_, rest, ok := strings.Cut(string(a.body), `"id":"`)
	if !ok {
		t.Fatalf("no complaint: %d %s", a.status, a.body)
	}
	return s, rest[:36], token
}

type filesAnswer struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

// files is one request with a body that is no JSON.
func (s *stage) files(t *testing.T, method, path, token string, header map[string]string, body io.Reader) filesAnswer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := filesAnswer{status: resp.StatusCode, header: resp.Header}
	a.body, a.err = io.ReadAll(resp.Body)
	return a
}

func upload(name string) map[string]string {
	return map[string]string{"Content-Type": "application/pdf", "If-Match": `"1"`, "Content-Disposition": "attachment; filename*=UTF-8''" + url.PathEscape(name)}
}

func attachTo(id string) string {
	return "/v1/complaints/" + id + "/files?purpose=handle&field=attachments"
}

func open(id, file string) string {
	return "/v1/complaints/" + id + "/files/" + file + "?purpose=handle"
}

func (s *stage) attached(t *testing.T, id, token string, content []byte) string {
	t.Helper()
	a := s.files(t, http.MethodPost, attachTo(id), token, upload("合同.pdf"), bytes.NewReader(content))
	if a.status != http.StatusCreated || a.header.Get("ETag") != `"2"` || a.header.Get("Audit-Entry") == "" {
		t.Fatalf("attached with %d %v %s", a.status, a.header, a.body)
	}
	location := a.header.Get("Location")
	return location[strings.LastIndexByte(location, '/')+1:]
}

var because = map[string]string{"Sealtrail-Reason": url.PathEscape("核对合同")}

func TestAFileGoesInAndComesOutInParts(t *testing.T) {
	t.Parallel()
	s, id, token := filed(t)
	content := append([]byte("%PDF-1.7\n"), bytes.Repeat([]byte("0123456789"), 300_000)...) // above every limit of JSON
	file := s.attached(t, id, token, content)
	whole := s.files(t, http.MethodGet, open(id, file), token, because, nil)
	if whole.status != http.StatusOK || !bytes.Equal(whole.body, content) {
		t.Fatalf("all of it: %d, %d bytes", whole.status, len(whole.body))
	}
	want := map[string]string{"Content-Type": "application/pdf", "Content-Disposition": "attachment; filename*=utf-8''%E5%90%88%E5%90%8C.pdf", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox", "Accept-Ranges": "bytes", "Etag": `"` + file + `"`}
	got := map[string]string{}
	for k := range want {
		got[k] = whole.header.Get(k)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	for _, row := range []struct {
		header   map[string]string
		status   int
		from, to int
	}{
		{map[string]string{"Range": "bytes=0-0"}, 206, 0, 1}, {map[string]string{"Range": "bytes=100-"}, 206, 100, len(content)},
		{map[string]string{"Range": "bytes=-10"}, 206, len(content) - 10, len(content)}, {map[string]string{"Range": "bytes=5-99999999"}, 206, 5, len(content)},
		{map[string]string{"Range": "bytes=0-"}, 200, 0, len(content)}, {map[string]string{"Range": "bytes=1-2,5-6"}, 200, 0, len(content)},
		{map[string]string{"Range": "lines=1-2"}, 200, 0, len(content)}, {map[string]string{"Range": "bytes=x-2"}, 200, 0, len(content)}, {map[string]string{"Range": "bytes=9-2"}, 200, 0, len(content)},
		{map[string]string{"Range": "bytes=3-4", "If-Range": `"` + file + `"`}, 206, 3, 5}, {map[string]string{"Range": "bytes=3-4", "If-Range": `"other"`}, 200, 0, len(content)},
	} {
		row.header["Sealtrail-Reason"] = because["Sealtrail-Reason"]
		a := s.files(t, http.MethodGet, open(id, file), token, row.header, nil)
		if a.status != row.status || !bytes.Equal(a.body, content[row.from:row.to]) {
			t.Errorf("%v: %d, %d bytes", row.header, a.status, len(a.body))
		}
		if rng := fmt.Sprintf("bytes %d-%d/%d", row.from, row.to-1, len(content)); row.status == 206 && a.header.Get("Content-Range") != rng {
			t.Errorf("%v: Content-Range %q, want %q", row.header, a.header.Get("Content-Range"), rng)
		}
	}
	none := s.files(t, http.MethodGet, open(id, file), token, map[string]string{"Range": "bytes=99999999-", "Sealtrail-Reason": "x"}, nil)
	if none.status != http.StatusRequestedRangeNotSatisfiable || none.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", len(content)) || !strings.Contains(string(none.body), "range_not_satisfiable") {
		t.Errorf("behind the end: %d %v %s", none.status, none.header, none.body)
	}
	list := s.files(t, http.MethodGet, "/v1/complaints/"+id+"/files?purpose=handle", token, nil, nil)
	if list.status != http.StatusOK || !strings.Contains(string(list.body), file) || strings.Contains(string(list.body), "合同") {
		t.Errorf("listed: %d %s", list.status, list.body)
	}
}

func TestWrongUploadsAreRefusedByTheirPlace(t *testing.T) {
	t.Parallel()
	s, id, token := filed(t)
	for _, row := range []struct {
		what, path string
		header     map[string]string
		body       string
		status     int
		want       string
	}{
		{"no If-Match", attachTo(id), map[string]string{"If-Match": ""}, "%PDF", 428, "etag_required"},
		{"old revision", attachTo(id), map[string]string{"If-Match": `"7"`}, "%PDF", 412, "stale_etag"},
		{"no purpose", "/v1/complaints/" + id + "/files?field=attachments", nil, "%PDF", 400, "purpose_required"},
		{"no field", "/v1/complaints/" + id + "/files?purpose=handle", nil, "%PDF", 422, "/field"},
		{"a field of text", "/v1/complaints/" + id + "/files?purpose=handle&field=narrative", nil, "%PDF", 422, "/field"},
		{"unknown parameter", attachTo(id) + "&name=secret", nil, "%PDF", 422, "/query"},
		{"compressed", attachTo(id), map[string]string{"Content-Encoding": "gzip"}, "%PDF", 415, "unsupported_media_type"},
		{"broken name", attachTo(id), map[string]string{"Content-Disposition": "attachment; filename"}, "%PDF", 400, "/Content-Disposition"},
		{"another content", attachTo(id), nil, "MZ\x90", 422, "media_type_mismatch"},
	} {
		header := upload("secret-name.pdf")
		for k, v := range row.header {
			header[k] = v
		}
		a := s.files(t, http.MethodPost, row.path, token, header, strings.NewReader(row.body))
		if a.status != row.status || !strings.Contains(string(a.body), row.want) || strings.Contains(string(a.body), "secret") {
			t.Errorf("%s: %d %s, want %d %s", row.what, a.status, a.body, row.status, row.want)
		}
	}
	if strings.Contains(s.log.String()+s.spans.String(), "secret") {
		t.Error("a file's name stands in a log line or a span")
	}
}

func TestErrorsOfFilesHaveCodes(t *testing.T) {
	t.Parallel()
	s, id, token := filed(t)
	file := s.attached(t, id, token, []byte("%PDF"))
	for _, row := range []struct {
		err    error
		status int
		code   string
	}{
		{custody.ErrFilesUnavailable, 503, "files_unavailable"}, {custody.ErrFilesFull, 507, "files_full"}, {custody.ErrTransfersBusy, 503, "files_busy"},
		{custody.ErrIdle, 408, "transfer_stalled"}, {custody.ErrIntegrity, 500, "integrity_violation"}, {custody.ErrNotFound, 404, "not_found"},
	} {
		s.door.Fail(fmt.Errorf("somewhere: %w", row.err))
		for _, a := range []filesAnswer{s.files(t, http.MethodPost, attachTo(id), token, upload("x.pdf"), strings.NewReader("%PDF")), s.files(t, http.MethodGet, open(id, file), token, because, nil)} {
			if a.status != row.status || !strings.Contains(string(a.body), row.code) || !strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
				t.Errorf("%v: %d %s", row.err, a.status, a.body)
			}
		}
	}
	s.door.Fail(nil)
	if a := s.files(t, http.MethodGet, open(id, file), token, map[string]string{"Sealtrail-Reason": "%zz"}, nil); a.status != 400 {
		t.Errorf("a reason that cannot be read: %d %s", a.status, a.body)
	}
	if a := s.files(t, http.MethodGet, open(id, file), s.token(t, "quinn", "quality"), because, nil); a.status != 403 {
		t.Errorf("refused: %d %s", a.status, a.body)
	}
}

// A content that is found to be bad in the middle ends the connection: the
// caller cannot take what came for the whole.
func TestAnAnswerThatBreaksOffDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	s, id, token := filed(t)
	file := s.attached(t, id, token, append([]byte("%PDF"), make([]byte, 200_000)...))
	s.door.BreakFiles(fmt.Errorf("%w: file.chunk", custody.ErrIntegrity))
	a := s.files(t, http.MethodGet, open(id, file), token, because, nil)
	if a.status != http.StatusOK || a.err == nil || len(a.body) >= 200_004 {
		t.Errorf("%d, %d bytes, %v", a.status, len(a.body), a.err)
	}
	if !strings.Contains(s.log.String(), "integrity_violation") {
		t.Error("the log does not say what happened")
	}
}

// A file may take longer than every deadline of the API, but not stand still.
func TestATransferIsBoundedByStandingStill(t *testing.T) {
	t.Parallel()
	const idle = 300 * time.Millisecond
	s, id, token := filed(t, func(c *Config) { c.Idle, c.Deadline = idle, 50*time.Millisecond })
	slow := func(parts int, pause time.Duration) io.Reader {
		r, w := io.Pipe()
		go func() {
			_, _ = w.Write([]byte("%PDF"))
			for range parts {
				time.Sleep(pause)
				if _, err := w.Write(make([]byte, transferStep)); err != nil {
					return
				}
			}
			_ = w.Close()
		}()
		return r
	}
	if a := s.files(t, http.MethodPost, attachTo(id), token, upload("x.pdf"), slow(6, idle/4)); a.status != http.StatusCreated {
		t.Errorf("slow but moving: %d %s", a.status, a.body)
	}
	raw := stalled(t, s, id, token)
	if !strings.HasPrefix(raw, "HTTP/1.1 408") || !strings.Contains(raw, "transfer_stalled") {
		t.Errorf("standing still: %q", raw)
	}
	// Nor does a refusal wait for the file that it refuses.
	if raw := stalled(t, s, id, "nobody"); !strings.HasPrefix(raw, "HTTP/1.1 401") {
		t.Errorf("refused at once: %q", raw)
	}
}

// stalled sends the beginning of an upload and then nothing.
func stalled(t *testing.T, s *stage, id, token string) string {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(context.Background(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/pdf\r\nIf-Match: \"2\"\r\nContent-Length: 100000\r\n\r\n%%PDF", attachTo(id), token)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return resp.Proto + " " + resp.Status + " " + string(raw)
}

func TestByteRangesAreReadAsRFC9110Says(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]*custody.ByteRange{
		"": nil, "bytes=": nil, "bytes=-": nil, "bytes=-0": nil, "bytes=5": nil, "bytes=+1-2": nil, "bytes= 1-2": nil, "bytes=1-2-3": nil, "bytes=99999999999999999999-": nil,
		"bytes=1-2": {From: 1, Last: 2}, "bytes=7-": {From: 7, Last: -1}, "bytes=-3": {Suffix: 3}, "bytes=0-0": {},
	} {
		if diff := cmp.Diff(want, byteRange(header, "", `"e"`)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", header, diff)
		}
	}
}

func FuzzByteRange(f *testing.F) {
	f.Add("bytes=0-5")
	f.Add("bytes=-5")
	f.Add("bytes=,")
	f.Fuzz(func(t *testing.T, header string) {
		if r := byteRange(header, "", ""); r != nil && (r.From < 0 || r.Suffix < 0 || r.Last < -1 || r.Last >= 0 && r.Last < r.From) {
			t.Errorf("%q gives %+v", header, r)
		}
	})
}
