package custody_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// TestTheScrubberFindsWhatCannotBeOpened plants one thing after the other. Each
// is found, is an entry of the record's own trail, and is heard.
func TestTheScrubberFindsWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	var lines safeBuffer
	h := openWith(t, vaulttest.New(t), func(c *custody.Config) { c.Logger = slog.New(slog.NewTextHandler(&lines, nil)) })
	h.unlimited()
	one, two := h.fileFull(1).ID, h.fileFull(2).ID
	other := "13911112222"
	v, err := h.Read(t.Context(), h.as("han"), custody.ReadRequest{ID: two, Purpose: "handle", MetaOnly: true})
	must(t, err)
	_, err = h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: two, Purpose: "handle", Revision: v.Revision, Fields: map[string]*string{"phone": &other}})
	must(t, err)
	scrub := func() *custody.Scrubbed {
		t.Helper()
		h.keys.VoidAll("test")
		s, err := h.Scrub(t.Context(), nil)
		must(t, err)
		return s
	}
	if s := scrub(); len(s.Findings) != 0 || s.Records != 2 || s.Fields < 30 {
		t.Fatalf("before anything was planted: %+v", s)
	}
	restore := h.keep("kept")
	h.sql("create table public.kept_index as select * from sealtrail.blind_index")
	for what, plant := range map[string]struct {
		sql  []string
		says string
	}{
		"a flipped byte of a field": {[]string{"update sealtrail.complaint set findings_sealed = set_byte(findings_sealed, 40, get_byte(findings_sealed, 40) # 1) where id = '" + one + "'"}, "manifest.digest"},
		"swapped envelopes":         {[]string{"update sealtrail.complaint set findings_sealed = plan_sealed, plan_sealed = findings_sealed where id = '" + one + "'"}, "manifest.digest"},
		"an emptied field":          {[]string{"update sealtrail.complaint set plan_sealed = null where id = '" + one + "'"}, "manifest.missing"},
		"another record's key":      {[]string{"update keys.wrapped w set wrapped = o.wrapped from keys.wrapped o where w.complaint = '" + one + "' and o.complaint = '" + two + "'"}, "key"},
		"a key that is gone":        {[]string{"delete from keys.wrapped where complaint = '" + one + "'"}, "key.missing"},
		"a changed attribute":       {[]string{"update sealtrail.complaint set branch = 'b99' where id = '" + one + "'"}, "manifest.mac"},
		"a token moved away":        {[]string{"delete from sealtrail.blind_index where field = 'email' and complaint = '" + two + "'", "update sealtrail.blind_index set complaint = '" + two + "' where field = 'email' and complaint = '" + one + "'"}, "index.token"},
		"a token taken away":        {[]string{"delete from sealtrail.blind_index where field = 'phone' and complaint = '" + one + "'"}, "index.token"},
		"a token planted":           {[]string{"insert into sealtrail.blind_index select institution, field, epoch, token, '" + one + "' from sealtrail.blind_index where field = 'phone' and complaint = '" + two + "'"}, "index.token"},
		"a token of somebody else":  {[]string{"update sealtrail.blind_index b set token = o.token from sealtrail.blind_index o where b.field = 'phone' and o.field = 'phone' and b.complaint = '" + one + "' and o.complaint = '" + two + "'"}, "index.token"},
	} {
		before := h.entries("complaint:"+one, "access.integrity")
		for _, sql := range plant.sql {
			h.sql(sql)
		}
		s := scrub()
		found := ""
		for _, f := range s.Findings {
			if f.Complaint == one {
				found = f.What
			}
		}
		if found != plant.says {
			t.Errorf("%s: found %q, want %q", what, found, plant.says)
		}
		if h.entries("complaint:"+one, "access.integrity") == before {
			t.Errorf("%s: no entry of the record's trail says so", what)
		}
		if !strings.Contains(lines.String(), "level=ERROR") || strings.Contains(lines.String(), one) {
			t.Errorf("%s: the service's own log does not say so, or names the record", what)
		}
		lines.Reset()
		h.sql("insert into keys.wrapped select * from public.kept_key k where not exists (select from keys.wrapped w where w.complaint = k.complaint)")
		restore()
		h.sql("delete from sealtrail.blind_index; insert into sealtrail.blind_index select * from public.kept_index")
	}
	if s := scrub(); len(s.Findings) != 0 {
		t.Errorf("after all was put right: %+v", s.Findings)
	}
}

// TestTheScrubberFindsARecordPutBack: an older state as a whole, which verifies
// by itself.
func TestTheScrubberFindsARecordPutBack(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	c := h.fileFull(1)
	restore := h.keep("older")
	text := "another plan"
	_, err := h.Amend(t.Context(), h.as("han"), custody.AmendRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision, Fields: map[string]*string{"plan": &text}})
	must(t, err)
	h.sequence()
	if s, err := h.Scrub(t.Context(), nil); err != nil || len(s.Findings) != 0 {
		t.Fatalf("got %+v, %v", s, err)
	}
	restore()
	s, err := h.Scrub(t.Context(), nil)
	must(t, err)
	if len(s.Findings) != 1 || s.Findings[0].What != "record.stale" {
		t.Errorf("got %+v", s.Findings)
	}
	if h.entries("complaint:"+c.ID, "record.stale") == 0 {
		t.Error("no entry says so")
	}
}

// TestScrubbingGoesRound: the service's own walk sees every record within its
// time, remembers its place, and looks at one at least.
func TestScrubbingGoesRound(t *testing.T) {
	t.Parallel()
	h := open(t)
	seen := func() (n int) {
		must(t, h.admin.QueryRow(t.Context(), `select count(distinct subject) from audit.entry where institution = $1
			and position('"kind":"record.scrubbed"'::bytea in body) > 0`, h.institution).Scan(&n))
		return n
	}
	for n := range 5 {
		h.file(n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Scrubbing(ctx, time.Hour, 5*time.Millisecond) }() // one record each time
	for began := time.Now(); seen() < 5 && time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
	}
	cancel()
	must(t, <-done)
	if n := seen(); n != 5 {
		t.Errorf("%d of 5 records were seen", n)
	}
}

// TestWhatTheScrubberOpensStaysInside: no value, term or token is in the trail
// or in the report.
func TestWhatTheScrubberOpensStaysInside(t *testing.T) {
	t.Parallel()
	h := openOn(t, pgtest.New(t, "custody", migrate), vaulttest.New(t), taps{})
	h.fileFull(1)
	s, err := h.ScrubSome(t.Context(), 3)
	must(t, err)
	if s.Records != 1 && s.Records != 2 {
		t.Errorf("got %+v", s)
	}
	var bodies []byte
	must(t, h.admin.QueryRow(t.Context(), `select string_agg(body, '') from audit.entry where institution = $1`, h.institution).Scan(&bodies))
	for name, value := range full() {
		if bytes.Contains(bodies, []byte(value)) && len(value) > 6 && !strings.HasPrefix(value, "E-") {
			t.Errorf("the value of %s is in the log", name)
		}
	}
}

// safeBuffer is a buffer that several goroutines may write to.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Reset forgets what was written.
func (s *safeBuffer) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Reset()
}
