package publish_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

func (e *env) checker() *pglog.Checker { return pglog.NewChecker(e.pool, inst, os.DirFS(e.root)) }

// TestACheckGoesOnFromWhatWasPublished: leaves that were published and found unchanged are not hashed again.
func TestACheckGoesOnFromWhatWasPublished(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	c, p := e.checker(), e.publisher()
	for _, step := range []struct {
		grow    int
		publish bool
		want    pglog.Looked
	}{
		{300, true, pglog.Looked{Whole: true, Leaves: 300}},
		{50, false, pglog.Looked{From: 300, Leaves: 50}}, // not published: looked at again
		{0, true, pglog.Looked{From: 300, Leaves: 50}},
		{0, true, pglog.Looked{From: 350}},
		{700, true, pglog.Looked{From: 350, Leaves: 700}},
	} {
		e.grow(step.grow)
		if step.publish {
			if err := p.Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if looked, findings, err := c.Check(t.Context()); err != nil || findings != nil || looked != step.want {
			t.Errorf("Check = %+v, %v, %v; want %+v", looked, findings, err, step.want)
		}
	}
	if looked, findings, err := c.Whole(t.Context()); err != nil || findings != nil || looked != (pglog.Looked{Whole: true, Leaves: 1050}) {
		t.Errorf("Whole = %+v, %v, %v", looked, findings, err)
	}
}

// TestACheckThatGoesOnFindsWhatIsNew changes what came since the last check, in each table and in the folder.
func TestACheckThatGoesOnFindsWhatIsNew(t *testing.T) {
	t.Parallel()
	const last = 29 // index of the newest leaf; 20 were checked before
	for name, test := range map[string]struct {
		sql  string // %d is the id of the entry at last
		file string
		want string // table and code
	}{
		"body":            {sql: flipBody + "%d", want: "audit.entry changed"},
		"entry gone":      {sql: "delete from audit.entry where id = %d", want: "audit.entry missing"},
		"leaf gone":       {sql: "delete from audit.leaf where entry_id = %d", want: "audit.leaf missing"},
		"leaf's hash":     {sql: "update audit.leaf set hash = sha256('x') where entry_id = %d", want: "audit.leaf changed"},
		"leaf's number":   {sql: "update audit.leaf set trail_n = trail_n + 1 where entry_id = %d", want: "audit.leaf trail"},
		"trail's head":    {sql: "update audit.trail set n = n - 1 where last_id = %d", want: "audit.trail trail"},
		"head gone":       {sql: "delete from audit.trail where last_id = %d", want: "audit.trail missing"},
		"tree":            {sql: "update audit.tree set root = sha256('x') where %d > 0", want: "audit.tree root"},
		"checkpoint":      {sql: "update audit.checkpoint set root = sha256('x') where size = 30 and %d > 0", want: "audit.checkpoint root"},
		"former leaf":     {sql: "update audit.leaf set hash = sha256('x') where entry_id = (select prev_id from audit.leaf where entry_id = %d)", want: "audit.leaf trail"},
		"published":       {sql: "select %d", file: audit.EntriesPath(0, 30), want: "published missing"},
		"hidden":          {sql: "delete from audit.pending where id > %d", want: "audit.pending orphan"},
		"pending twice":   {sql: "insert into audit.pending values ('" + inst + "', %d)", want: "audit.pending twice"},
		"an alias's name": {sql: "insert into audit.alias (institution, year, alias, actor, salt) values ('" + inst + "', 2026, 'a-%d', 'x', 'y')", want: "audit.alias changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			c, p := e.checker(), e.publisher()
			for _, n := range []int{20, 10} {
				if n == 10 {
					if looked, findings, err := c.Check(t.Context()); err != nil || findings != nil || !looked.Whole {
						t.Fatalf("before: %+v, %v, %v", looked, findings, err)
					}
				}
				e.grow(n)
				if err := p.Publish(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := e.log.Append(t.Context(), bodies(1, 0)...); err != nil {
				t.Fatal(err)
			}
			e.admin(fmt.Sprintf(test.sql, e.idAt(last)))
			if test.file != "" {
				if err := os.Remove(e.store.Root() + "/" + test.file); err != nil {
					t.Fatal(err)
				}
			}
			looked, findings, err := c.Check(t.Context())
			found := false
			for _, f := range findings {
				found = found || f.Table+" "+f.Code == test.want
			}
			if err != nil || !found || looked.Whole || looked.From != 20 {
				t.Errorf("Check = %+v, %v\n%swant %s", looked, err, sayAll(findings), test.want)
			}
			if looked, _, _ := c.Check(t.Context()); !looked.Whole {
				t.Error("after a finding the next check is not a whole one")
			}
		})
	}
}

// TestWhatWasCheckedIsForTheNextWholeCheck says what going on does not see.
func TestWhatWasCheckedIsForTheNextWholeCheck(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	c, p := e.checker(), e.publisher()
	e.grow(20)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	old, err := e.store.Get(t.Context(), audit.CheckpointPath)
	if err != nil {
		t.Fatal(err)
	}
	e.grow(10)
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, findings, err := c.Check(t.Context()); err != nil || findings != nil {
		t.Fatal(findings, err)
	}
	if err := e.store.Put(t.Context(), audit.CheckpointPath, old); err != nil { // the folder goes back: there is nothing to go on from
		t.Fatal(err)
	}
	if looked, _, err := c.Check(t.Context()); err != nil || looked.Leaves != 30 {
		t.Errorf("after the folder went back: %+v, %v; want all leaves", looked, err)
	}
	e.admin(fmt.Sprintf(flipBody+"%d", e.idAt(3)))
	if _, findings, err := c.Check(t.Context()); err != nil || findings != nil {
		t.Errorf("an old entry, checked from where it was: %v, %v", findings, err)
	}
	if _, findings, err := c.Whole(t.Context()); err != nil || len(findings) != 1 {
		t.Errorf("an old entry, checked whole: %v, %v", findings, err)
	}
}
