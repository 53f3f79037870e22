package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgserver"
)

// pair is an installation on two PostgreSQL nodes, with the service on an
// address that leads to whichever takes writes.
type pair struct {
	*installation
	second *pgserver.Server
}

func paired(t *testing.T, synchronous bool) *pair {
	t.Helper()
	in := own(t)
	second, err := in.PG.Standby(t.Context(), pgserver.StandbyConfig{Dir: filepath.Join(in.Dir(), "standby"), Name: "second"})
	must(t, err)
	first := in.PG
	t.Cleanup(func() { must(t, first.Stop()); must(t, second.Stop()) })
	if synchronous {
		must(t, first.SetSynchronous(t.Context(), "second"))
	}
	file := in.databaseFile()
	raw, err := os.ReadFile(file)
	must(t, err)
	u, err := url.Parse(strings.TrimSpace(string(raw)))
	must(t, err)
	password, _ := u.User.Password()
	must(t, in.StopService())
	must(t, os.WriteFile(file, []byte(pgserver.FailoverDSN(u.User.Username(), password, in.DatabaseName, first, second)), 0o600))
	must(t, in.StartService(t.Context()))
	return &pair{in, second}
}

func (in *installation) databaseFile() string {
	return filepath.Join(in.Dir(), "credentials", "database-url")
}

// failOver kills the primary and makes the standby the primary.
func (p *pair) failOver(t *testing.T) {
	t.Helper()
	must(t, p.PG.Kill())
	must(t, p.second.Promote(t.Context()))
	p.PG = p.second
}

// TestFailoverToASynchronousStandbyLosesNothing lets the standby hang under
// load, so that nothing can be acknowledged, lets it go on, and then kills the
// primary and promotes the standby: every acknowledged entry and write is
// there, the published log goes on from where it was, and so does the service,
// which is not restarted.
func TestFailoverToASynchronousStandbyLosesNothing(t *testing.T) {
	t.Parallel()
	p := paired(t, true)
	l := newLoad(t, p.installation)
	pid := p.ServicePid()
	l.survive(func() {
		must(t, p.second.Pause())
		refused, acknowledged := l.counts()
		eventually(t, "refusals while the standby hangs", func() bool { n, _ := l.counts(); return n > refused+2*workers })
		// What was under way when the standby hung may have been acknowledged.
		if _, n := l.counts(); n > acknowledged+workers {
			t.Errorf("%d acts were acknowledged while the standby hung, at most %d were under way", n-acknowledged, workers)
		}
		must(t, p.second.Resume())
		l.more(3)
		p.failOver(t)
	})
	if got := p.ServicePid(); got != pid {
		t.Errorf("the service was process %d and is %d: it did not go on by itself", pid, got)
	}
	t.Logf("acknowledged %v; refused %v, slowest %s", l.by, l.outages, l.slowest)
}

// counts are refusals and acknowledged acts so far.
func (l *load) counts() (refused, acknowledged int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.outages {
		refused += n
	}
	return refused, len(l.acts)
}

// storedCheck runs the operator's comparison.
func (in *installation) storedCheck(t *testing.T) (string, int) {
	t.Helper()
	return in.run(t, "sealtraild", "trail", "check", "--institution", "demo-bank", "--database-url-file", in.databaseFile(), "--published", in.Published())
}

// TestFailoverToAnAsynchronousStandbyShowsWhatIsLost: what was acknowledged
// and published after the standby fell behind is lost in the database. The
// service signs nothing that contradicts what it published, and the operator's
// check names what the database lacks. Rebuilt from what was published, the log
// is whole again and goes on; the record that it names is reported lost.
func TestFailoverToAnAsynchronousStandbyShowsWhatIsLost(t *testing.T) {
	t.Parallel()
	p := paired(t, false)
	kept := p.create(t, draft(nil))
	p.published(t, kept.Audit.Entry)
	must(t, p.second.Detach(t.Context()))
	gone := p.create(t, draft(nil))
	p.published(t, gone.Audit.Entry)
	size := p.checkpointSize()
	p.failOver(t)
	if n := p.count(t, "select count(*) from sealtrail.complaint where id = $1", gone.ID); n != 0 {
		t.Fatal("the asynchronous standby has what came after it was detached")
	}
	out, code := p.storedCheck(t)
	if code != 4 {
		t.Errorf("sealtraild trail check: exit code %d, want 4\n%s", code, out)
	}
	if got := p.checkpointSize(); got != size {
		t.Errorf("published size %d after the failover, was %d: it signed another history", got, size)
	}
	p.rebuiltWithout(t, kept.ID, gone.ID)
}

// rebuiltWithout rebuilds the log from what was published and expects one
// record whole and the other lost.
func (p *pair) rebuiltWithout(t *testing.T, kept, gone string) {
	t.Helper()
	admin := filepath.Join(t.TempDir(), "admin-url")
	must(t, os.WriteFile(admin, []byte(p.AdminDSN()), 0o600))
	out, code := p.run(t, "sealtraild", "trail", "rebuild", "--institution", "demo-bank", "--admin-url-file", admin, "--published", p.Published(),
		"--key", p.KeyFile(), "--confirm", "sealtrail.example/demo-bank/"+filepath.Base(p.LogDir()))
	if code != 4 || !strings.Contains(out, gone) || strings.Contains(out, kept) {
		t.Errorf("sealtraild trail rebuild: exit code %d, want 4 and the lost record alone\n%s", code, out)
	}
	after := p.created(t)
	p.published(t, after)
	if a := p.answered(t, call{who: "intake-li", method: "GET", path: complaintPath(kept)}); a.Status != http.StatusOK {
		t.Errorf("the record that the standby had: %d %s", a.Status, a.Body)
	}
	p.refused(t, http.StatusGone, "lost", call{who: "auditor-he", method: "GET", path: complaintPath(gone), purpose: "audit"})
	out, code = p.storedCheck(t)
	if code != 4 || strings.Count(out, "✗") != 1 || !strings.Contains(out, "lost") || !strings.Contains(out, gone) {
		t.Errorf("sealtraild trail check after the rebuild: exit code %d, want the lost record alone\n%s", code, out)
	}
	if out, code := p.run(t, "trailcheck", "verify", "--key", p.KeyFile(), p.LogDir()); code != 0 {
		t.Errorf("trailcheck verify: exit code %d\n%s", code, out)
	}
}

// created waits until the service takes writes again and files a complaint.
func (in *installation) created(t *testing.T) (entry uint64) {
	t.Helper()
	eventually(t, "the service to write again", func() bool {
		a := in.answered(t, call{who: "intake-li", method: "POST", path: "/v1/complaints", body: draft(nil)})
		var c custody.Created
		done := a.Status < 300 && json.Unmarshal(a.Body, &c) == nil
		entry = c.Audit.Entry
		return done
	})
	return entry
}
