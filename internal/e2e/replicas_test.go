package e2e

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/childproc"
	"github.com/sealtrail/sealtrail/internal/sandbox"
)

// process is one of several processes of the service.
type process struct {
	name string
	ops  string
	call func(ctx context.Context, persona, method, path string, body any, headers ...string) (*sandbox.Answer, error)
	stop func(t *testing.T) // SIGSTOP
	cont func(t *testing.T) // SIGCONT
}

// replicated starts n processes in all on one installation.
func replicated(t *testing.T, n int) (*installation, []process) {
	t.Helper()
	in := own(t)
	signal := func(pid func() int, sig syscall.Signal) func(*testing.T) {
		return func(t *testing.T) { t.Helper(); must(t, syscall.Kill(pid(), sig)) }
	}
	list := []process{{"first", in.Ops, in.Call, signal(in.ServicePid, syscall.SIGSTOP), signal(in.ServicePid, syscall.SIGCONT)}}
	for _, name := range []string{"second", "third"}[:n-1] {
		r, err := in.StartReplica(t.Context(), name)
		must(t, err)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s said last:\n%s", name, childproc.Tail(r.Log(), 10))
			}
		})
		list = append(list, process{name, r.Ops, r.Call, signal(r.Pid, syscall.SIGSTOP), signal(r.Pid, syscall.SIGCONT)})
	}
	return in, list
}

// leader waits until exactly one of the processes says that it publishes.
func leader(t *testing.T, list []process) (at process) {
	t.Helper()
	eventually(t, "one process to lead", func() bool {
		found := 0
		for _, p := range list {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			leads, err := sandbox.Leads(ctx, p.ops)
			cancel()
			if err == nil && leads {
				at = p
				found++
			}
		}
		return found == 1
	})
	return at
}

func without(list []process, p process) (others []process) {
	for _, o := range list {
		if o.name != p.name {
			others = append(others, o)
		}
	}
	return others
}

// spread lets the load ask one process or another. A caller whose process is
// stopped gives up after a second, as behind a balancer.
func (l *load) spread(list []process) {
	l.ask = func(ctx context.Context, c call) (*sandbox.Answer, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return list[rand.IntN(len(list))].call(ctx, c.who, c.method, c.path, c.body, c.headers()...)
	}
}

// TestReplicasWithAStoppedLeader runs three processes of the service under load
// through all of them: pages go on at another one; it stops the one that sequences and publishes (SIGSTOP),
// lets another lead, and continues the old one, again and again. Nothing that
// was acknowledged is missing, and there is one history.
func TestReplicasWithAStoppedLeader(t *testing.T) {
	t.Parallel()
	in, list := replicated(t, 3)
	l := newLoad(t, in)
	pagesGoOn(t, list)
	l.spread(list)
	pinned := l.saveCheckpoint()
	end := l.run()
	for round := range 3 * killRounds(t) {
		l.more(3)
		old := leader(t, list)
		old.stop(t)
		began := time.Now()
		heir := leader(t, without(list, old))
		size := in.checkpointSize()
		l.more(3)
		eventually(t, "the log to grow under another leader", func() bool { return in.checkpointSize() > size })
		old.cont(t)
		t.Logf("round %d: %s stopped, %s published within %s", round, old.name, heir.name, time.Since(began).Round(time.Millisecond))
	}
	l.more(3)
	end()
	for _, f := range l.failures {
		t.Errorf("under load: %s", f)
	}
	l.check(pinned)
	t.Logf("acknowledged %v; refused %v", l.by, l.outages)
}

// pagesGoOn checks that a page token that one process gave works at another.
func pagesGoOn(t *testing.T, list []process) {
	t.Helper()
	type page struct {
		Items []struct{ ID string } `json:"items"`
		Next  string                `json:"next_page_token"`
	}
	seen := map[string]bool{}
	token := ""
	for turn := range 3 {
		c := call{who: "handler-chen", method: "GET", path: "/v1/complaints?page_size=1&page_token=" + token}
		a, err := list[turn%2].call(t.Context(), c.who, c.method, c.path, nil, c.headers()...)
		must(t, err)
		var p page
		if a.Status != http.StatusOK || json.Unmarshal(a.Body, &p) != nil || len(p.Items) != 1 {
			t.Fatalf("page %d at %s: %d %s", turn, list[turn%2].name, a.Status, a.Body)
		}
		seen[p.Items[0].ID] = true
		token = p.Next
	}
	if len(seen) != 3 {
		t.Errorf("three pages of one complaint each show %d complaints", len(seen))
	}
}
