package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/doortest"
)

// confirmedDisclosure asks for a package and confirms it; name steers the fake.
func confirmedDisclosure(t *testing.T, s *stage, name string) string {
	t.Helper()
	body := `{"scope":"record","complaint":"` + s.file(t) + `","groups":["contact"],"recipient":"age1x","recipient_name":"` + name +
		`","basis":"court_order","purpose":"legal","expires_at":"2026-04-01T00:00:00Z"}`
	a := s.do(t, call{method: http.MethodPost, path: "/v1/disclosures", body: body, token: s.token(t, "han", "handler")})
	if a.status != http.StatusCreated {
		t.Fatalf("asking: %d %s", a.status, a.body)
	}
	var x custody.Disclosure
	if err := json.Unmarshal(a.body, &x); err != nil {
		t.Fatal(err)
	}
	if a := s.do(t, call{method: http.MethodPost, path: "/v1/disclosures/" + x.ID + "/confirm", token: s.token(t, "dora", "dpo")}); a.status != http.StatusOK {
		t.Fatalf("confirming: %d %s", a.status, a.body)
	}
	return x.ID
}

// fetch asks for a package over a real connection, where trailers and breaks are.
func fetch(t *testing.T, s *stage, id string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/disclosures/"+id+"/package", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token(t, "dora", "dpo"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

func TestPackageStreamsWithItsDigestBehindIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	id := confirmedDisclosure(t, s, "Court")
	resp, body, err := fetch(t, s, id)
	sum := sha256.Sum256(body)
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Equal(body, doortest.PackageBytes()) || resp.Header.Get("Content-Type") != "application/age" {
		t.Fatalf("%d, %d bytes, %v", resp.StatusCode, len(body), err)
	}
	if resp.Trailer.Get("Package-Sha256") != hex.EncodeToString(sum[:]) || resp.Trailer.Get("Audit-Entry") == "" || resp.Trailer.Get("Package-Records") != "3" {
		t.Errorf("trailers %v", resp.Trailer)
	}
	if resp, body, _ := fetch(t, s, id); resp.StatusCode != http.StatusConflict || !strings.Contains(string(body), "state_conflict") {
		t.Errorf("a second time: %d %s", resp.StatusCode, body)
	}
}

func TestAPackageThatBreaksOffDoesNotLookWhole(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	resp, body, err := fetch(t, s, confirmedDisclosure(t, s, "breaks"))
	if !errors.Is(err, io.ErrUnexpectedEOF) || resp.Trailer.Get("Package-Sha256") != "" || len(body) == 0 {
		t.Errorf("%d bytes ended with %v and %v", len(body), err, resp.Trailer)
	}
	resp, body, err = fetch(t, s, confirmedDisclosure(t, s, "breaks at once"))
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "vault_unavailable") {
		t.Errorf("before its first byte: %d %s %v", resp.StatusCode, body, err)
	}
}

func TestWrongDisclosuresAreProblems(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	token := s.token(t, "han", "handler")
	for body, want := range map[string]string{
		`{"scope":"record"}`: "/groups required",
		`{"scope":"record","groups":["contact"],"recipient":"ssh-ed25519 CANARY","basis":"b","purpose":"legal","expires_at":"2026-04-01T00:00:00Z"}`: "/recipient recipient_ssh_key",
	} {
		a := s.do(t, call{method: http.MethodPost, path: "/v1/disclosures", body: body, token: token})
		pointer, code, _ := strings.Cut(want, " ")
		if a.status != http.StatusUnprocessableEntity || !bytes.Contains(a.body, []byte(pointer)) || !bytes.Contains(a.body, []byte(code)) || bytes.Contains(a.body, []byte("CANARY")) {
			t.Errorf("%s: %d %s", want, a.status, a.body)
		}
	}
	for _, path := range []string{"/v1/disclosures/nothing", "/v1/disclosures/x%20y"} {
		if a := s.do(t, call{method: http.MethodGet, path: path, token: token}); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

func TestSealedDraftsAreAnsweredOneByOne(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	token := s.token(t, "ivy", "intake")
	good := base64.StdEncoding.EncodeToString([]byte("sti1 an envelope"))
	a := s.do(t, call{method: http.MethodPost, path: "/v1/intake/envelopes", body: `{"items":["` + good + `","?","AAAA",7,"` + good + `"]}`, token: token})
	var got BatchResult
	if err := json.Unmarshal(a.body, &got); err != nil || a.status != http.StatusOK || len(got.Items) != 5 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for i, ok := range []bool{true, false, false, false, true} {
		item := got.Items[i]
		if (item.Created != nil) != ok || !ok && item.Problem.Errors[0].Code != "envelope_malformed" {
			t.Errorf("item %d: %+v", i, item)
		}
	}
	if !got.Items[4].Created.Existing {
		t.Error("the same envelope twice is two complaints")
	}
	if a := s.do(t, call{method: http.MethodPost, path: "/v1/intake/envelopes", noPurpose: true, body: `{"items":["` + good + `"]}`, token: token}); a.status != http.StatusBadRequest {
		t.Errorf("without purpose: %d", a.status)
	}
}

func TestTheIntakeKeyIsPublic(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	if a := s.do(t, call{method: http.MethodGet, path: "/v1/intake/key", noToken: true, noPurpose: true}); a.status != http.StatusNotFound {
		t.Errorf("without a key: %d", a.status)
	}
	s.door.Intake = &custody.IntakeKey{Version: 2, Bundle: []byte(`{"a":1}`), SHA256: "00ff"}
	a := s.do(t, call{method: http.MethodGet, path: "/v1/intake/key", noToken: true, noPurpose: true})
	if a.status != http.StatusOK || string(a.body) != `{"a":1}` || a.header.Get("Intake-Key-Sha256") != "00ff" {
		t.Errorf("%d %q %v", a.status, a.body, a.header)
	}
}
