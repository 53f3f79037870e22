package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/intake"
)

// Whatever the walker lets pass, encoding/json takes without losing a key; and
// no pointer holds a word that is not ours.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{draftJSON, `{}`, `{"fields":{"phone":1}}`, `{"a":{"b":[[]]}}`, `{"source":"a","source":"b"}`, `[1,2`, `{"received_at":"x"}`, `null`} {
		f.Add(seed)
	}
	body := newBody[intake.Draft](isField)
	f.Fuzz(func(t *testing.T, raw string) {
		problems, err := body.shape.check([]byte(raw))
		for _, p := range problems {
			for part := range strings.SplitSeq(strings.TrimPrefix(p.Pointer, "/"), "/") {
				if _, known := body.shape.fields[part]; part != "" && !known && !isField(part) {
					t.Fatalf("pointer %q holds a foreign word", p.Pointer)
				}
			}
		}
		if err != nil || len(problems) > 0 {
			return
		}
		var d intake.Draft
		if raw != "null" {
			if err := json.Unmarshal([]byte(raw), &d); err != nil {
				t.Fatalf("passed the walker, but: %v", err)
			}
		}
	})
}

func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	body := newBody[AmendInput](isField)
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `%q:1,`, fmt.Sprint("k", i))
	}
	problems, err := body.shape.check([]byte(`{"fields":{` + strings.TrimSuffix(b.String(), ",") + `}}`))
	if err != nil || len(problems) != maxProblems {
		t.Errorf("problems = %d, %v; want %d", len(problems), err, maxProblems)
	}
}

func ExampleNew() {
	_, err := New(Config{})
	fmt.Println(err)
	// Output: building the API: a door and a verifier are required
}

// BenchmarkMaskedReadHTTP is the same over loopback with 16 clients per core.
func BenchmarkMaskedReadHTTP(b *testing.B) {
	s := newStage(b, func(c *Config) { c.Tracer, c.Logger = nil, nil })
	id := s.file(b)
	token := s.token(b, "p-1", "handler")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.url+"/v1/complaints/"+id+"?purpose=handle", nil)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Error(resp.StatusCode)
				return
			}
		}
	})
}

// BenchmarkMaskedRead is the stack's own cost around the door.
func BenchmarkMaskedRead(b *testing.B) {
	s := newStage(b, func(c *Config) { c.Tracer = nil })
	id := s.file(b)
	h, err := New(Config{Door: s.door, Verifier: mustVerifier(b, s)})
	if err != nil {
		b.Fatal(err)
	}
	token := s.token(b, "p-1", "handler")
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("GET", "/v1/complaints/"+id+"?purpose=handle", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
	}
}
