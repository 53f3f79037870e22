package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const canary = "CANARY5e1f9b"

// A marker that is sent in any place whatever must come back from none.
func TestNothingSentIsEverSaidAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := s.file(t)
	one := "/v1/complaints/" + id
	match := map[string]string{"If-Match": `"1"`}
	calls := map[string]call{
		"id":                        {method: "GET", path: "/v1/complaints/" + canary},
		"id, UUID-like":             {method: "GET", path: "/v1/complaints/" + canary + "-0000-4000-8000-000000000000"},
		"path":                      {method: "GET", path: "/" + canary},
		"unclean path":              {method: "GET", path: "/v1//" + canary + "/../x"},
		"trailing slash":            {method: "GET", path: "/v1/complaints/" + canary + "/"},
		"encoded path":              {method: "GET", path: "/v1/complaints/%2e%2e%2f" + canary},
		"method":                    {method: canary, path: one},
		"query value":               {method: "GET", path: one + "?view=" + canary},
		"query key":                 {method: "GET", path: one + "?" + canary + "=1"},
		"broken escape":             {method: "GET", path: one + "?view=%zz" + canary},
		"purpose":                   {method: "GET", path: one + "?purpose=" + canary, noPurpose: true},
		"purpose header":            {method: "GET", path: one, header: map[string]string{"Sealtrail-Purpose": canary}},
		"request id":                {method: "GET", path: one, header: map[string]string{"Request-Id": canary, "X-Request-Id": canary}},
		"trace":                     {method: "GET", path: one, header: map[string]string{"Traceparent": "00-" + canary, "Tracestate": "a=" + canary, "Baggage": "a=" + canary}},
		"agent, cookie, origin":     {method: "GET", path: one, header: map[string]string{"User-Agent": canary, "Cookie": "a=" + canary, "Origin": "https://" + canary, "Referer": canary}},
		"accept":                    {method: "GET", path: one, header: map[string]string{"Accept": "text/" + canary, "Accept-Language": canary}},
		"token":                     {method: "GET", path: one, token: canary},
		"scheme":                    {method: "GET", path: one, noToken: true, header: map[string]string{"Authorization": canary + " x"}},
		"body, not JSON":            {method: "POST", path: "/v1/complaints", body: canary},
		"body, string":              {method: "POST", path: "/v1/complaints", body: `"` + canary + `"`},
		"body key":                  {method: "POST", path: "/v1/complaints", body: `{"` + canary + `":1}`},
		"field key":                 {method: "POST", path: "/v1/complaints", body: `{"fields":{"` + canary + `":"1"}}`},
		"value of a wrong type":     {method: "POST", path: "/v1/complaints", body: `{"source":["` + canary + `"],"received_at":"` + canary + `"}`},
		"number":                    {method: "POST", path: "/v1/access-requests", body: `{"minutes":"` + canary + `"}`},
		"C3":                        {method: "POST", path: "/v1/complaints", body: strings.Replace(draftJSON, `"n"`, `"CVN `+canary+`"`, 1), header: map[string]string{"Idempotency-Key": canary}},
		"idempotency key":           {method: "POST", path: "/v1/complaints", body: `{}`, header: map[string]string{"Idempotency-Key": canary + " " + canary}},
		"content type":              {method: "POST", path: "/v1/complaints", body: "x", header: map[string]string{"Content-Type": "text/" + canary}},
		"batch":                     {method: "POST", path: "/v1/complaints:batch", body: `{"items":[{"` + canary + `":1},"` + canary + `",{"source":"` + canary + `"}]}`},
		"too large":                 {method: "POST", path: "/v1/complaints", body: `{"source":"` + strings.Repeat(canary, maxBody/8) + `"}`},
		"page token":                {method: "GET", path: "/v1/complaints?page_token=" + canary},
		"filter":                    {method: "GET", path: "/v1/complaints?state=" + canary},
		"time":                      {method: "GET", path: "/v1/complaints?due_before=" + canary},
		"period":                    {method: "GET", path: "/v1/reports?period=" + canary},
		"entry":                     {method: "GET", path: "/v1/audit/entries/" + canary},
		"search term":               {method: "POST", path: "/v1/complaints:search", body: `{"field":"phone","value":"` + canary + `"}`},
		"search field":              {method: "POST", path: "/v1/complaints:search", body: `{"field":"` + canary + `","value":"1"}`},
		"reveal field":              {method: "POST", path: one + "/reveals", body: `{"fields":["` + canary + `"]}`},
		"reveal reason, then error": {method: "POST", path: "/v1/complaints/" + unknownID + "/reveals", body: `{"fields":["phone"],"reason":"` + canary + `","ticket":"` + canary + `"}`},
		"etag":                      {method: "PATCH", path: one, body: `{"fields":{"phone":"1"}}`, header: map[string]string{"If-Match": `"` + canary + `"`}},
		"stale amend":               {method: "PATCH", path: one, body: `{"fields":{"narrative":"` + canary + `"}}`, header: map[string]string{"If-Match": `"9"`}},
		"amend key":                 {method: "PATCH", path: one, body: `{"fields":{"` + canary + `":"1"}}`, header: match},
		"transition":                {method: "POST", path: one + "/transitions", body: `{"name":"` + canary + `"}`, header: match},
		"transition input":          {method: "POST", path: one + "/transitions", body: `{"name":"approve","inputs":{"` + canary + `":"` + canary + `"}}`, header: match},
		"person":                    {method: "GET", path: "/v1/people/" + canary},
		"duty":                      {method: "POST", path: "/v1/people/" + canary + "/duties", body: `{"role":"` + canary + `","level":7}`},
		"grant":                     {method: "POST", path: "/v1/access-requests/" + canary + "/reviews", body: `{"verdict":"` + canary + `"}`},
	}
	for name, c := range calls {
		a := s.do(t, c)
		if said := fmt.Sprint(a.header, string(a.body)); strings.Contains(said, canary) {
			t.Errorf("%s: the marker came back: %d %s", name, a.status, said)
		}
		if a.status == http.StatusInternalServerError {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	s.nothingEmitted(t)
}

// nothingEmitted fails if log, spans or metrics hold the marker, or are empty.
func (s *stage) nothingEmitted(t *testing.T) {
	t.Helper()
	w := httptest.NewRecorder()
	s.tel.Metrics.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	metrics, _ := io.ReadAll(w.Body)
	if err := s.tel.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"log": s.log.String(), "spans": s.spans.String(), "metrics": string(metrics)} {
		if strings.Contains(text, canary) {
			t.Errorf("the marker is in the %s", where)
		}
		if !strings.Contains(text, "/v1/complaints/{id}") {
			t.Errorf("the %s name no route: the test sees nothing", where)
		}
	}
}

// What net/http answers by itself, before us, repeats nothing either.
func TestBrokenHTTPIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{
		"GET /" + canary + " HTTP/9.9\r\n\r\n",
		"GET /v1/status HTTP/1.1\r\nHost: a b " + canary + "\r\n\r\n",
		"GET /v1/status HTTP/1.1\r\nHost: x\r\n" + canary + "\x01: y\r\n\r\n",
		"POST /v1/complaints HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + canary + "\r\n\r\n",
		"POST /v1/complaints HTTP/1.1\r\nHost: x\r\nContent-Length: " + canary + "\r\n\r\n",
		canary + "\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Write([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(conn)
		conn.Close()
		if bytes.Contains(got, []byte(canary)) {
			t.Errorf("%q is answered with %q", raw, got)
		}
		if len(got) == 0 {
			t.Errorf("%q has no answer", raw)
		}
	}
}
