package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/sandbox"
)

// acknowledged is something that a caller was told has happened: from then on
// the log must hold its entry, with this very body.
type acknowledged struct {
	entry               uint64
	body, subject, kind string
	stage               string
}

// load hammers an installation and keeps what it was told.
type load struct {
	*installation
	t        *testing.T
	phone    string
	assigned []string // complaints of handler-chen

	mu       sync.Mutex
	acts     []acknowledged
	created  map[string]uint64 // complaint -> highest acknowledged revision
	by       map[string]int    // acknowledged acts by kind
	outages  map[string]int    // refusals by code, and "no answer"
	slowest  time.Duration     // of the answers that were not an acknowledgement
	failures []string

	// ask makes a call, where it is not the installation's one service that is
	// asked.
	ask func(context.Context, call) (*sandbox.Answer, error)
}

// workers is how many callers hammer at once.
const workers = 8

func newLoad(t *testing.T, in *installation) *load {
	t.Helper()
	in.sql(t, "update people.requirement set value = '1000000' where name = 'reveals_per_hour'")
	l := &load{installation: in, t: t, phone: "13800138000", created: map[string]uint64{}, by: map[string]int{}, outages: map[string]int{}}
	for range 3 {
		c := in.assigned(t, draft(nil))
		l.assigned = append(l.assigned, c.ID)
		l.created[c.ID] = c.Revision
	}
	l.ask = in.do
	return l
}

// run starts the callers; the function returned stops them and waits.
func (l *load) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			var mine []*custody.Created
			for ctx.Err() == nil {
				mine = l.one(ctx, mine)
			}
		})
	}
	return func() { cancel(); group.Wait() }
}

// one is one act of one caller. mine are the complaints that the caller filed
// and nobody else changes.
func (l *load) one(ctx context.Context, mine []*custody.Created) []*custody.Created {
	n := rand.IntN(10)
	switch {
	case n < 4 || len(mine) == 0:
		var c custody.Created
		if l.try(ctx, call{who: "intake-li", method: "POST", path: "/v1/complaints", body: draft(nil)}, &c) {
			l.note(acknowledged{c.Audit.Entry, c.Audit.BodySHA256, "complaint:" + c.ID, "complaint.recorded", "event"}, c.ID, c.Revision)
			mine = append(mine, &c)
		}
	case n < 5:
		l.batch(ctx)
	case n < 7:
		l.disclose(ctx, mine[rand.IntN(len(mine))].ID)
	case n < 9:
		l.reveal(ctx)
	default:
		// Its revision is known only if the former change was acknowledged: one
		// try each.
		last := len(mine) - 1
		c := mine[last]
		var v custody.View
		if l.try(ctx, call{who: "intake-li", method: "POST", path: complaintPath(c.ID, "/transitions"), ifMatch: c.Revision, body: map[string]any{"name": "respond"}}, &v) {
			l.note(acknowledged{v.Audit.Entry, v.Audit.BodySHA256, "complaint:" + c.ID, "complaint.first_response", "event"}, c.ID, v.Revision)
		}
		mine = mine[:last]
	}
	return mine
}

func (l *load) batch(ctx context.Context) {
	var answer struct {
		Items []struct{ Created *custody.Created }
	}
	items := []any{draft(nil), draft(nil), draft(nil)}
	if !l.try(ctx, call{who: "app-core", method: "POST", path: "/v1/complaints:batch", body: map[string]any{"items": items}}, &answer) {
		return
	}
	for _, item := range answer.Items {
		if c := item.Created; c != nil {
			l.note(acknowledged{c.Audit.Entry, c.Audit.BodySHA256, "complaint:" + c.ID, "complaint.recorded", "event"}, c.ID, c.Revision)
		}
	}
}

func (l *load) disclose(ctx context.Context, id string) {
	var v custody.View
	if l.try(ctx, call{who: "intake-li", method: "GET", path: complaintPath(id)}, &v) {
		l.note(acknowledged{v.Audit.Entry, v.Audit.BodySHA256, "complaint:" + id, "access.read", "intent"}, "", 0)
	}
}

func (l *load) reveal(ctx context.Context) {
	id := l.assigned[rand.IntN(len(l.assigned))]
	var v custody.View
	if !l.try(ctx, call{who: "handler-chen", method: "POST", path: complaintPath(id, "/reveals"), body: map[string]any{"fields": []string{"phone"}, "reason": "call the customer back"}}, &v) {
		return
	}
	if len(v.Fields) != 1 || v.Fields[0].Value != l.phone {
		l.fail("reveal: got another value than the stored one")
	}
	l.note(acknowledged{v.Audit.Entry, v.Audit.BodySHA256, "complaint:" + id, "access.reveal", "intent"}, "", 0)
}

// try makes a call. It is acknowledged only when the whole answer arrived;
// anything else than a success or a 503 with a known code is a failure.
func (l *load) try(ctx context.Context, c call, into any) bool {
	began := time.Now()
	a, err := l.ask(ctx, c)
	if err == nil && a.Status < 300 {
		if err := json.Unmarshal(a.Body, into); err != nil {
			l.fail("an answer that is no JSON")
			return false
		}
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	l.refusal(c, a, err, time.Since(began))
	// Nothing listens: do not spin.
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Millisecond):
	}
	return false
}

func (l *load) refusal(c call, a *sandbox.Answer, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	switch {
	case err != nil:
		l.outages["no answer"]++
	case a.Status == http.StatusServiceUnavailable && strings.HasSuffix(codeOf(a), "_unavailable"), codeOf(a) == "deadline_exceeded":
		l.outages[codeOf(a)]++
	default:
		l.failures = append(l.failures, fmt.Sprintf("%s %s: %d %s", c.method, c.path, a.Status, a.Body))
	}
}

func (l *load) fail(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, what)
}

func (l *load) note(a acknowledged, complaint string, revision uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acts = append(l.acts, a)
	l.by[a.kind]++
	if complaint != "" {
		l.created[complaint] = max(l.created[complaint], revision)
	}
}

// more waits until n further acts of every kind were acknowledged.
func (l *load) more(n int) {
	l.t.Helper()
	l.mu.Lock()
	goal := map[string]int{"complaint.recorded": 3 * n, "access.read": n, "access.reveal": n, "complaint.first_response": n / 2}
	for kind := range goal {
		goal[kind] += l.by[kind]
	}
	l.mu.Unlock()
	eventually(l.t, "the callers to be served "+strconv.Itoa(n)+" times more", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for kind, want := range goal {
			if l.by[kind] < want {
				return false
			}
		}
		return true
	})
}
