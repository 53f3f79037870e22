package e2e

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/sandbox"
)

// header is a well-formed request's header as a persona.
func (c *canary) header(who string, more ...string) http.Header {
	c.t.Helper()
	token, err := c.Token(who)
	must(c.t, err)
	h := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Sealtrail-Purpose": {"handle"},
		"Idempotency-Key": {fmt.Sprint("m", next())}, "If-Match": {`"1"`}}
	for i := 0; i+1 < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// wrong sends what must be refused as the caller's fault.
func (c *canary) wrong(what string, r raw) {
	c.t.Helper()
	if a := c.quiet(c.sent(c.t, r)); a.Status < 400 || a.Status >= 500 {
		c.t.Errorf("%s: got %d %s, want 4xx", what, a.Status, a.Body)
	}
}

// mistype sends markers wherever a careless or hostile caller could.
func (c *canary) mistype(id string) {
	c.t.Helper()
	c.wrongBodies(id)
	c.wrongPlaces(id)
	c.wrongTokens(id)
	c.wrongHeaders(id)
}

func (c *canary) wrongBodies(id string) {
	c.t.Helper()
	const create = "/v1/complaints"
	good := func(fields string) string {
		return fmt.Sprintf(`{"source":"hotline","source_id":"m-%d","channel":"phone","received_at":%q,"fields":%s}`, next(), time.Now().UTC().Format(time.RFC3339), fields)
	}
	w := c.word
	for what, body := range map[string]string{
		"no JSON":           w("no JSON"),
		"cut off":           `{"source":"hotline","fields":{"narrative":"` + w("cut off"),
		"trailing":          good(`{"narrative":"x"}`) + w("trailing text"),
		"not UTF-8":         good(`{"narrative":"` + w("not UTF-8") + "\xff" + `"}`),
		"unknown key":       `{"` + w("unknown key") + `":"` + w("unknown key's value") + `"}`,
		"unknown field":     good(`{"narrative":"x","` + w("unknown field") + `":"` + w("unknown field's value") + `"}`),
		"object":            good(`{"narrative":{"` + w("object as value") + `":1}}`),
		"array":             good(`{"narrative":["` + w("array as value") + `"]}`),
		"number":            good(`{"narrative":"x","phone":` + c.keep("number as value", "199"+digits(8)) + `}`),
		"string":            `{"source":"hotline","group_flag":"` + w("string as bool") + `","fields":{}}`,
		"fields as string":  good(`"` + w("fields as string") + `"`),
		"time":              `{"source":"hotline","source_id":"x","channel":"phone","received_at":"` + w("malformed time") + `","fields":{"narrative":"x"}}`,
		"channel":           `{"source":"hotline","source_id":"x","channel":"` + w("unknown channel") + `","received_at":"2026-01-01T00:00:00Z","fields":{"narrative":"x"}}`,
		"twice":             good(`{"narrative":"` + w("duplicate key") + `","narrative":"` + w("duplicate key, second") + `"}`),
		"malformed id":      good(`{"narrative":"x","id_number":"` + c.keep("malformed id_number", "110105"+digits(11)+"?") + `"}`),
		"malformed card":    good(`{"narrative":"x","bank_card":"` + c.keep("malformed bank_card", "62220"+digits(9)+"y") + `"}`),
		"malformed date":    good(`{"narrative":"x","birth_date":"` + w("malformed birth_date") + `"}`),
		"malformed amount":  good(`{"narrative":"x","amount_paid":"` + w("malformed amount") + `"}`),
		"control character": good(`{"narrative":"` + w("control character") + `\u0007"}`),
		"verification code": good(`{"narrative":"` + w("C3 narrative") + ` 卡片背面CVN码是 837 有效期 09/27"}`),
		"password":          good(`{"narrative":"x","demand":"` + w("C3 demand") + ` 密码是 ` + w("C3 password") + `"}`),
		"C3 key":            good(`{"narrative":"x","cvn":"` + w("C3 key's value") + `"}`),
		"name too long":     good(`{"narrative":"x","complainant_name":"` + strings.Repeat(w("too long name"), 60) + `"}`),
		"oversized":         good(`{"narrative":"` + strings.Repeat(w("oversized body")+" ", 80_000) + `"}`),
	} {
		c.wrong(what, raw{"POST", create, body, c.header("intake-li")})
	}
	c.wrong("form", raw{"POST", create, "phone=" + w("form body"), c.header("intake-li", "Content-Type", "application/x-www-form-urlencoded")})
	c.wrong("reveal of an unknown field", raw{"POST", complaintPath(id, "/reveals"), `{"fields":["` + w("revealed field's name") + `"],"reason":"because"}`, c.header("handler-chen")})
	c.wrong("search by an unknown field", raw{"POST", "/v1/complaints:search", `{"field":"` + w("searched field's name") + `","value":"` + w("value of it") + `"}`, c.header("handler-chen")})
	c.wrong("search for a malformed value", raw{"POST", "/v1/complaints:search", `{"field":"id_number","value":"` + w("malformed term") + `"}`, c.header("handler-chen")})
	c.wrong("amendment", raw{"PATCH", complaintPath(id), `{"fields":{"` + w("amended field's name") + `":"` + w("amended value") + `"}}`, c.header("handler-chen")})
	c.wrong("grant", raw{"POST", "/v1/access-requests", `{"complaint":"` + w("complaint id of a grant") + `","purpose":"` + w("purpose of a grant") + `","groups":["` + w("group of a grant") + `"],"reason":"` + w("reason of a malformed grant") + `","minutes":10}`, c.header("auditor-he")})
	c.wrong("person", raw{"POST", "/v1/people", `{"id":"` + w("person id") + ` with spaces","kind":"` + w("kind of person") + `","department":"` + w("department") + `","staff_id":"` + w("staff id") + `"}`, c.header("sec-lin", "Sealtrail-Purpose", "approve")})
}

func (c *canary) wrongPlaces(id string) {
	c.t.Helper()
	w := c.word
	for _, path := range []string{
		"/v1/complaints/" + w("path: complaint"), "/v1/complaints/" + id + "/" + w("path: verb"), "/v1/" + w("path: collection"), "/" + w("path: root"),
		"/v1/complaints/" + url.PathEscape(c.text("path: escaped")), "/v1/audit/entries/" + w("path: entry"), "/v1/complaints//" + w("path: unclean"),
		"/v1/complaints/" + c.keep("path: id number", residentID()), "/v1/complaints/" + id + "/reveals/" + w("path: below reveals"),
		"/v1/complaints?purpose=" + w("query: purpose"), "/v1/complaints?state=" + w("query: state"), "/v1/complaints?department=%20" + w("query: department"),
		"/v1/complaints?due_before=" + w("query: due_before"), "/v1/complaints?page_size=" + w("query: page_size"), "/v1/complaints?page_token=" + w("query: page_token"),
		"/v1/complaints?" + w("query: name") + "=" + w("query: value"), "/v1/complaints/" + id + "?view=" + w("query: view"),
		"/v1/reports?period=" + w("query: period"), "/v1/complaints/" + id + "?purpose=handle&purpose=" + w("query: second purpose"),
	} {
		h := c.header("intake-li")
		if strings.Contains(path, "purpose=") {
			h.Del("Sealtrail-Purpose")
		}
		c.wrong("path or query", raw{"GET", path, "", h})
	}
	for _, path := range []string{"/v1/access-requests/" + w("path: grant") + "/reviews", "/v1/break-glass/" + w("path: break-glass") + "/close",
		"/v1/break-glass/" + w("path: break-glass review") + "/review", "/v1/complaints:" + w("path: custom verb")} {
		c.wrong("path", raw{"POST", path, `{"verdict":"approve","justified":true}`, c.header("dpo-xu", "Sealtrail-Purpose", "approve")})
	}
	// A person's id that nobody has: mistyped by somebody who may ask.
	for _, path := range []string{"", "/status", "/duties", "/trainings", "/undertakings"} {
		method, body := "POST", map[string]string{"/status": `{"status":"leave"}`, "/undertakings": `{"version":"2026-1"}`,
			"/duties":    `{"role":"handler","level":"general","department":"cards","from":"2026-01-01T00:00:00Z","until":"2030-01-01T00:00:00Z"}`,
			"/trainings": `{"course":"confidentiality","score":90,"passed_at":"2026-01-01T00:00:00Z","valid_until":"2030-01-01T00:00:00Z"}`}[path]
		if path == "" {
			method = "GET"
		}
		c.wrong("unknown person"+path, raw{method, "/v1/people/" + w("path: person"+path) + path, body, c.header("sec-lin", "Sealtrail-Purpose", "approve")})
	}
	// A filter is an ordinary question: it is answered, and leaves no trace.
	c.quiet(c.sent(c.t, raw{"GET", "/v1/complaints?assignee=" + w("query: assignee"), "", c.header("intake-li")}))
}

func (c *canary) wrongTokens(id string) {
	c.t.Helper()
	w := c.word
	stranger, err := authn.NewDevIssuer(authn.DevConfig{})
	must(c.t, err)
	forged, err := stranger.Mint(authn.Persona{Person: w("forged token: person"), Institution: w("forged token: institution"), Kind: w("forged token: kind"), Roles: []string{w("forged token: role")}}, time.Hour)
	must(c.t, err)
	for _, token := range []string{w("token"), "a." + base64.RawURLEncoding.EncodeToString([]byte(w("token's claims"))) + ".c", forged} {
		c.wrong("token", raw{"GET", complaintPath(id), "", http.Header{"Authorization": {"Bearer " + token}, "Sealtrail-Purpose": {"handle"}}})
	}
	c.wrong("basic", raw{"GET", complaintPath(id), "", http.Header{"Authorization": {w("other scheme") + " x"}}})
}

func (c *canary) wrongHeaders(id string) {
	c.t.Helper()
	w := c.word
	for _, name := range []string{"Sealtrail-Purpose", "If-Match", "Content-Type", "Content-Encoding"} {
		c.wrong("header "+name, raw{"PATCH", complaintPath(id), `{"fields":{"demand":"x"}}`, c.header("handler-chen", name, w("header: "+name))})
	}
	c.wrong("purpose with spaces", raw{"GET", complaintPath(id), "", c.header("handler-chen", "Sealtrail-Purpose", c.text("header: purpose text"))})
	c.wrong("cookie alone", raw{"GET", complaintPath(id), "", http.Header{"Cookie": {"session=" + w("header: Cookie")}}})
	// Headers that mean nothing to us are answered as if they were not there.
	loud := map[string]string{}
	for _, name := range []string{"X-Request-Id", "Request-Id", "User-Agent", "Referer", "Accept-Language", "Accept", "X-Forwarded-For", "Forwarded", "Origin", "Cookie", "Via", "X-Correlation-Id", "Content-Language"} {
		loud[name] = w("header: " + name)
	}
	loud["Traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	loud["Tracestate"] = "vendor=" + w("header: tracestate")
	loud["Baggage"] = "customer=" + w("header: baggage")
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(loud)) {
		pairs = append(pairs, name, loud[name])
	}
	h := c.header("intake-li", append(pairs, "Idempotency-Key", w("header: Idempotency-Key"))...)
	answers := []*sandbox.Answer{c.sent(c.t, raw{"GET", complaintPath(id, "?view=meta"), "", h})}
	body := fmt.Sprintf(`{"source":"hotline","source_id":"h-%d","channel":"phone","received_at":"2026-01-01T00:00:00Z","fields":{"narrative":%q}}`, next(), c.text("stored with loud headers"))
	answers = append(answers, c.sent(c.t, raw{"POST", "/v1/complaints", body, h}))
	for _, a := range answers {
		if c.quiet(a); a.Status >= 300 {
			c.t.Errorf("headers that mean nothing: got %d %s", a.Status, a.Body)
		}
	}
}
