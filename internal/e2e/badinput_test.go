package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/sandbox"
)

// headers are a well-formed request's as a persona; a value "" leaves one out.
func (in *installation) headers(t testing.TB, who string, more ...string) http.Header {
	t.Helper()
	token, err := in.Token(who)
	must(t, err)
	h := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Sealtrail-Purpose": {"handle"},
		"Idempotency-Key": {"b" + strconv.FormatInt(next(), 10)}}
	for i := 0; i+1 < len(more); i += 2 {
		if h.Set(more[i], more[i+1]); more[i+1] == "" {
			h.Del(more[i])
		}
	}
	return h
}

// TestBadInputIsNamedAndNothingIsHalfWritten sends what clients get wrong. Each
// answer has a stable code and points at the place by the catalogue's words.
func TestBadInputIsNamedAndNothingIsHalfWritten(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	const create, search = "/v1/complaints", "/v1/complaints:search"
	source := fmt.Sprint("bad-", next())
	body := func(fields string) string {
		return fmt.Sprintf(`{"source":"hotline","source_id":%q,"channel":"phone","received_at":"2026-01-05T02:00:00Z","fields":%s}`, source, fields)
	}
	good := body(`{"narrative":"请退还年费"}`)
	intake, chen := func(more ...string) http.Header { return in.headers(t, "intake-li", more...) }, in.headers(t, "handler-chen", "If-Match", `"1"`)
	for _, row := range []struct {
		name    string
		r       raw
		status  int
		code    string
		pointer string // of the first error, with its code
	}{
		{"no JSON", raw{"POST", create, "phone=138", intake()}, 400, "malformed", ""},
		{"cut off", raw{"POST", create, good[:len(good)-2], intake()}, 400, "malformed", ""},
		{"empty", raw{"POST", create, "", intake()}, 400, "malformed", ""},
		{"trailing", raw{"POST", create, good + good, intake()}, 400, "malformed", ""},
		{"unknown key", raw{"POST", create, strings.Replace(good, `"channel"`, `"chanel"`, 1), intake()}, 422, "invalid_field", " unknown_field"},
		{"unknown field", raw{"POST", create, body(`{"narrative":"x","nickname":"y"}`), intake()}, 422, "invalid_field", "/fields unknown_field"},
		{"clear attribute as field", raw{"POST", create, body(`{"narrative":"x","state":"closed"}`), intake()}, 422, "invalid_field", "/fields/state not_sealed_field"},
		{"number for text", raw{"POST", create, body(`{"narrative":"x","phone":13800138000}`), intake()}, 422, "invalid_field", "/fields/phone wrong_type"},
		{"null for text", raw{"POST", create, body(`{"narrative":null}`), intake()}, 422, "invalid_field", "/fields/narrative wrong_type"},
		{"text for bool", raw{"POST", create, strings.Replace(good, `"channel"`, `"group_flag":"yes","channel"`, 1), intake()}, 422, "invalid_field", "/group_flag wrong_type"},
		{"key twice", raw{"POST", create, body(`{"narrative":"x","narrative":"y"}`), intake()}, 422, "invalid_field", "/fields/narrative duplicate_key"},
		{"no narrative", raw{"POST", create, body(`{"phone":"13800138000"}`), intake()}, 422, "invalid_field", "/fields/narrative no_content"},
		{"received tomorrow", raw{"POST", create, strings.Replace(good, "2026-01-05", "2100-01-05", 1), intake()}, 422, "invalid_field", "/received_at in_future"},
		{"unknown channel", raw{"POST", create, strings.Replace(good, `"phone"`, `"telex"`, 1), intake()}, 422, "invalid_field", "/channel unknown_value"},
		{"wrong check digit", raw{"POST", create, body(`{"narrative":"x","id_number":"110105194912310021"}`), intake()}, 422, "invalid_field", "/fields/id_number id_check_digit"},
		{"verification code", raw{"POST", create, body(`{"narrative":"卡片背面CVN码是 837"}`), intake()}, 422, "c3_refused", "/fields/narrative c3_cvn"},
		{"oversized", raw{"POST", create, body(`{"narrative":"` + strings.Repeat("x", 1<<20) + `"}`), intake()}, 413, "body_too_large", ""},
		{"too long a field", raw{"POST", create, body(`{"narrative":"x","complainant_name":"` + strings.Repeat("长", 5000) + `"}`), intake()}, 422, "invalid_field", "/fields/complainant_name too_long"},
		{"form", raw{"POST", create, good, intake("Content-Type", "text/plain")}, 415, "unsupported_media_type", ""},
		{"compressed", raw{"POST", create, good, intake("Content-Encoding", "gzip")}, 415, "unsupported_media_type", ""},
		{"no purpose", raw{"POST", create, good, intake("Sealtrail-Purpose", "")}, 400, "purpose_required", ""},
		{"unknown purpose", raw{"POST", create, good, intake("Sealtrail-Purpose", "curiosity")}, 422, "invalid_field", "/purpose unknown_value"},
		{"no idempotency key", raw{"POST", create, good, intake("Idempotency-Key", "")}, 400, "idempotency_key_required", ""},
		{"no If-Match", raw{"PATCH", complaintPath(c.ID), `{"fields":{"demand":"x"}}`, in.headers(t, "handler-chen")}, 428, "etag_required", ""},
		{"malformed If-Match", raw{"PATCH", complaintPath(c.ID), `{"fields":{"demand":"x"}}`, in.headers(t, "handler-chen", "If-Match", "W/x")}, 400, "malformed", "/If-Match malformed"},
		{"stale If-Match", raw{"PATCH", complaintPath(c.ID), `{"fields":{"demand":"x"}}`, chen}, 412, "stale_etag", ""},
		{"no fields", raw{"PATCH", complaintPath(c.ID), `{"fields":{}}`, chen}, 422, "invalid_field", "/fields required"},
		{"unknown transition", raw{"POST", complaintPath(c.ID, "/transitions"), `{"name":"delete"}`, chen}, 422, "invalid_field", "/name unknown_transition"},
		{"reveal nothing", raw{"POST", complaintPath(c.ID, "/reveals"), `{"fields":[],"reason":"because"}`, chen}, 422, "invalid_field", "/fields required"},
		{"reveal without a reason", raw{"POST", complaintPath(c.ID, "/reveals"), `{"fields":["phone"]}`, chen}, 422, "invalid_field", "/reason required"},
		{"search by what has no index", raw{"POST", search, `{"field":"complainant_name","value":"张三丰"}`, intake()}, 422, "invalid_field", "/field unknown_field"},
		{"search for half a number", raw{"POST", search, `{"field":"phone","value":"138"}`, intake()}, 422, "invalid_field", "/value malformed"},
		{"page size", raw{"GET", create + "?page_size=100000", "", intake()}, 422, "invalid_field", "/page_size out_of_range"},
		{"page token", raw{"GET", create + "?page_token=eyJkIjoi", "", intake()}, 422, "page_token_mismatch", ""},
		{"unknown parameter", raw{"GET", create + "?order=name", "", intake()}, 422, "invalid_field", "/query unknown_field"},
		{"another method", raw{"DELETE", complaintPath(c.ID), "", intake()}, 405, "method_not_allowed", ""},
		{"another path", raw{"GET", "/v2/complaints", "", intake()}, 404, "not_found", ""},
		{"empty batch", raw{"POST", "/v1/complaints:batch", `{"items":[]}`, intake()}, 422, "invalid_field", "/items out_of_range"},
		{"batch too long", raw{"POST", "/v1/complaints:batch", `{"items":[` + strings.Repeat("{},", 500) + `{}]}`, intake()}, 422, "invalid_field", "/items out_of_range"},
		{"malformed period", raw{"GET", "/v1/reports?period=lately", "", intake()}, 422, "invalid_field", "/period malformed"},
	} {
		a := in.sent(t, row.r)
		var p problem
		if err := json.Unmarshal(a.Body, &p); err != nil || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %d %s, want a problem", row.name, a.Status, a.Body)
			continue
		}
		pointer := ""
		if len(p.Errors) > 0 {
			pointer = p.Errors[0].Pointer + " " + p.Errors[0].Code
		}
		if a.Status != row.status || p.Code != row.code || pointer != row.pointer || p.Instance != a.Header.Get("Request-Id") {
			t.Errorf("%s: got %d %s %q, want %d %s %q", row.name, a.Status, p.Code, pointer, row.status, row.code, row.pointer)
		}
	}
	if n := in.count(t, "select count(*) from sealtrail.complaint where source_id = $1", source); n != 0 {
		t.Errorf("refused drafts left %d rows", n)
	}
	if n := in.count(t, "select revision from sealtrail.complaint where id = $1", c.ID); uint64(n) != c.Revision {
		t.Errorf("refused changes moved the revision from %d to %d", c.Revision, n)
	}
}

// TestTokensAreVerified: whoever cannot prove who she is gets 401 and nothing
// else; the answer says only that.
func TestTokensAreVerified(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	person := authn.Persona{Person: "intake-li", Institution: "demo-bank", Kind: authn.KindHuman, Roles: []string{"intake"}}
	mint := func(cfg authn.DevConfig, ttl time.Duration) string {
		issuer, err := authn.NewDevIssuer(cfg)
		must(t, err)
		token, err := issuer.Mint(person, ttl)
		must(t, err)
		return token
	}
	seed := issuerSeed
	good := mint(authn.DevConfig{Seed: seed()}, time.Hour)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	raised := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(claims), `"intake"`, `"auditor"`, 1))) + "." + parts[2]
	read := func(token string) *sandbox.Answer {
		return in.answered(t, call{who: "a token", token: token, method: "GET", path: complaintPath(c.ID)})
	}
	if a := read(good); a.Status != http.StatusOK {
		t.Fatalf("a good token: got %d %s: the test's own tokens are wrong", a.Status, a.Body)
	}
	for name, token := range map[string]string{
		"forged":           mint(authn.DevConfig{}, time.Hour),
		"expired":          mint(authn.DevConfig{Seed: seed()}, -time.Hour),
		"not yet valid":    mint(authn.DevConfig{Seed: seed(), Now: func() time.Time { return time.Now().Add(time.Hour) }}, time.Hour),
		"another audience": mint(authn.DevConfig{Seed: seed(), Audience: "payroll"}, time.Hour),
		"another issuer":   mint(authn.DevConfig{Seed: seed(), Issuer: "https://elsewhere.localhost"}, time.Hour),
		"unsigned":         none,
		"changed":          raised,
		"no token at all":  "x",
	} {
		a := read(token)
		if a.Status != http.StatusUnauthorized || codeOf(a) != "unauthenticated" || a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: got %d %s, want 401", name, a.Status, a.Body)
		}
	}
	if a := in.sent(t, raw{"GET", complaintPath(c.ID), "", http.Header{"Sealtrail-Purpose": {"handle"}}}); a.Status != http.StatusUnauthorized {
		t.Errorf("no header: got %d, want 401", a.Status)
	}
	person.Institution = "other-bank"
	if a := read(mint(authn.DevConfig{Seed: seed()}, time.Hour)); a.Status != http.StatusNotFound && a.Status != http.StatusUnauthorized {
		t.Errorf("another institution's token: got %d %s, want 404 or 401", a.Status, a.Body)
	}
}

// TestHiddenAndUnknownRecordsAreTheSameAnswer: an id that nobody has, one that
// is none, one of another department and one that the caller is implicated in
// differ in the request id alone.
func TestHiddenAndUnknownRecordsAreTheSameAnswer(t *testing.T) {
	t.Parallel()
	in := common(t)
	staff := "E-" + digits(9)
	p := in.hire(t, hire{duties: []string{"handler"}, staffID: staff})
	stranger := in.hire(t, hire{duties: []string{"handler"}, department: "loans"})
	c := in.assigned(t, draft(nil))
	about := in.create(t, draft(map[string]string{"respondent_staff_id": staff}))
	ok[custody.View](t, in, p.as(call{method: "GET", path: complaintPath(c.ID)}))
	const unknown = "00000000-0000-4000-8000-000000000000"
	answer := func(q call) string {
		a := in.answered(t, q)
		if a.Status != http.StatusNotFound {
			t.Errorf("%s %s as %s: got %d %s, want 404", q.method, q.path, q.who, a.Status, a.Body)
		}
		id := a.Header.Get("Request-Id")
		a.Header.Del("Request-Id")
		a.Header.Del("Date")
		return fmt.Sprint(a.Header, strings.ReplaceAll(string(a.Body), id, ""))
	}
	for _, kind := range []func(id string) call{
		func(id string) call { return call{method: "GET", path: complaintPath(id)} },
		func(id string) call { return call{method: "GET", path: complaintPath(id, "?view=meta")} },
		func(id string) call { return call{method: "GET", path: complaintPath(id, "/trail")} },
		func(id string) call { return reveal(id, "handle", "phone") },
		func(id string) call {
			return call{method: "PATCH", path: complaintPath(id), ifMatch: 1, body: map[string]any{"fields": map[string]string{"demand": "x"}}}
		},
		func(id string) call {
			return call{method: "POST", path: complaintPath(id, "/transitions"), ifMatch: 1, body: map[string]any{"name": "take"}}
		},
	} {
		want := answer(p.as(kind(unknown)))
		for name, q := range map[string]call{"implicated": p.as(kind(about.ID)), "another department": stranger.as(kind(c.ID)), "no UUID": p.as(kind("17")),
			"upper case": p.as(kind(strings.ToUpper(unknown)))} {
			if got := answer(q); got != want {
				t.Errorf("%s: %s %s: got %s, want %s", name, q.method, q.path, got, want)
			}
		}
	}
	// The log knows the difference.
	if n := in.count(t, `select count(*) from audit.entry where subject = $1 and convert_from(body, 'UTF8') like '%"access.denied"%'`, "complaint:"+about.ID); n < 6 {
		t.Errorf("the implicated officer's attempts left %d entries, want 6", n)
	}
}

// TestTransitionsFollowTheLifecycle: what the state does not allow is 409 with
// what it does allow, and who proposed a plan does not approve it.
func TestTransitionsFollowTheLifecycle(t *testing.T) {
	t.Parallel()
	in := common(t)
	p := in.hire(t, hire{duties: []string{"handler", "head"}})
	c := in.assigned(t, draft(nil))
	in.move(t, c, "head-wang", "assign", map[string]string{"assignee": p.id})
	step := func(name, purpose string, inputs map[string]string) call {
		return p.as(call{method: "POST", path: complaintPath(c.ID, "/transitions"), purpose: purpose, ifMatch: c.Revision, body: map[string]any{"name": name, "inputs": inputs}})
	}
	none := map[string]string{}
	got := in.refused(t, 409, "state_conflict", step("close", "handle", map[string]string{"close_reason": "review_final"}))
	if got.State != "classified" {
		t.Errorf("state_conflict: got state %q, want classified", got.State)
	}
	for _, name := range []string{"take", "review", "complete_review"} {
		c.Revision = ok[custody.View](t, in, step(name, "handle", none)).Revision
	}
	in.refused(t, 422, "invalid_field", step("propose", "handle", none)) // without a plan
	c.Revision = ok[custody.View](t, in, step("propose", "handle", map[string]string{"plan": "退还年费"})).Revision
	// As the assigned officer the policy refuses her, as the former one the
	// lifecycle does.
	in.refused(t, 403, "policy_denied", step("approve", "approve", none))
	in.move(t, c, "head-wang", "assign", map[string]string{"assignee": "handler-chen"})
	in.refused(t, 403, "self_approval", step("approve", "approve", none))
	in.move(t, c, "head-wang", "approve", nil)
	in.refused(t, 422, "invalid_field", step("decide", "handle", map[string]string{"outcome": "whatever", "decision_text": "x"}))
}

// TestRepeatedCallsMakeOneComplaint: by key, by source, one after the other and
// all at once.
func TestRepeatedCallsMakeOneComplaint(t *testing.T) {
	t.Parallel()
	in := common(t)
	d := draft(nil)
	file := call{who: "intake-li", method: "POST", path: "/v1/complaints", body: d, key: fmt.Sprint("once-", next())}
	first := ok[custody.Created](t, in, file)
	if again := ok[custody.Created](t, in, file); again.ID != first.ID || !again.Existing {
		t.Errorf("the same key: got %s existing %t, want %s", again.ID, again.Existing, first.ID)
	}
	changed := file
	changed.body = draft(nil)
	in.refused(t, 422, "idempotency_key_reused", changed)
	otherKey := file
	otherKey.key = fmt.Sprint("twice-", next())
	if again := ok[custody.Created](t, in, otherKey); again.ID != first.ID || !again.Existing {
		t.Errorf("the same source: got %s existing %t, want %s", again.ID, again.Existing, first.ID)
	}
	once := call{who: "intake-li", method: "POST", path: "/v1/complaints", body: draft(nil), key: fmt.Sprint("race-", next())}
	sameComplaint(t, in, "one key at once", func() call { return once })
	body := draft(nil)
	sameComplaint(t, in, "one source at once", func() call {
		return call{who: "intake-li", method: "POST", path: "/v1/complaints", body: body, key: fmt.Sprint("race-", next())}
	})
	// One key, two requests at once: one is filed, the other hears that the key is taken.
	key := fmt.Sprint("race-", next())
	statuses := at(2, func() int {
		return in.answered(t, call{who: "intake-li", method: "POST", path: "/v1/complaints", body: draft(nil), key: key}).Status
	})
	if statuses[http.StatusCreated] != 1 || statuses[http.StatusUnprocessableEntity] != 1 {
		t.Errorf("one key for two requests at once: got %v, want one 201 and one 422", statuses)
	}
	in.checkWhole(t)
}

func sameComplaint(t *testing.T, in *installation, what string, file func() call) {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	ids := map[string]int{}
	for range 8 {
		group.Go(func() {
			a := in.answered(t, file())
			var c custody.Created
			if a.Status >= 300 || json.Unmarshal(a.Body, &c) != nil {
				t.Errorf("%s: got %d %s", what, a.Status, a.Body)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[c.ID]++
		})
	}
	group.Wait()
	if len(ids) != 1 {
		t.Errorf("%s: got %d complaints, want 1", what, len(ids))
	}
}

// TestOneOfficerWins: of several who change the same revision at once, one
// does; the others hear that it is stale.
func TestOneOfficerWins(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	for what, act := range map[string]func() call{
		"transition": func() call {
			return call{who: "handler-chen", method: "POST", path: complaintPath(c.ID, "/transitions"), ifMatch: c.Revision, body: map[string]any{"name": "respond"}}
		},
		"amend": func() call {
			return call{who: "handler-chen", method: "PATCH", path: complaintPath(c.ID), ifMatch: c.Revision, body: map[string]any{"fields": map[string]string{"demand": fmt.Sprint("退还 ", next())}}}
		},
	} {
		statuses := at(6, func() int { return in.answered(t, act()).Status })
		if statuses[http.StatusOK] != 1 || statuses[http.StatusPreconditionFailed] != 5 {
			t.Errorf("%s: got %v, want one 200 and five 412", what, statuses)
		}
		c.Revision++
	}
	ok[custody.View](t, in, call{who: "handler-chen", method: "GET", path: complaintPath(c.ID)})
}

// TestApplicationAloneSeesNoContent: an application files and sees metadata; no
// classified field is ever opened for it.
func TestApplicationAloneSeesNoContent(t *testing.T) {
	t.Parallel()
	in := common(t)
	c := in.assigned(t, draft(nil))
	v := ok[custody.View](t, in, call{who: "app-core", method: "GET", path: complaintPath(c.ID)})
	for _, f := range v.Fields {
		if f.State != custody.StateDenied || f.Value != "" {
			t.Errorf("%s: got %s %q, want denied", f.Name, f.State, f.Value)
		}
	}
	if a := in.answered(t, reveal(c.ID, "handle", "phone").by("app-core")); a.Status != http.StatusForbidden {
		t.Errorf("reveal: got %d, want 403", a.Status)
	}
}
