package pglog_test

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit/pglog"
)

// Nobody who has the service's role ends the open log: neither with a year to come nor with a name of their own.
func TestNoFalseLogTakesOver(t *testing.T) {
	t.Parallel()
	year := time.Now().UTC().Add(24 * time.Hour).Year()
	e := envOn(t, newDB(t), shardOf(year-1))
	for name, s := range map[string]pglog.Shard{
		"a year to come":  shardOf(year + 1),
		"far away":        {Institution: inst, Year: 9999, Origin: "sealtrail.example/demo-bank/9999"},
		"another origin":  {Institution: inst, Year: year, Origin: "evil"},
		"another domain":  {Institution: inst, Year: year, Origin: strings.Replace(shardOf(year).Origin, "sealtrail", "evil", 1)},
		"another's year":  {Institution: inst, Year: year, Origin: shardOf(year + 1).Origin},
		"a first log far": {Institution: "other", Year: 9999, Origin: "sealtrail.example/other/9999"},
	} {
		if created, err := pglog.EnsureLog(t.Context(), e.pool, s); err == nil || created {
			t.Errorf("%s: EnsureLog = %v, %v; want a refusal", name, created, err)
		}
	}
	id := e.append("complaint:1", 1)[0].EntryID()
	e.sequenceAll()
	if got := e.indexOf(id); got != 0 {
		t.Errorf("index %d, want 0", got)
	}
	if created, err := pglog.EnsureLog(t.Context(), e.pool, shardOf(year)); err != nil || !created {
		t.Errorf("this year's log: %v, %v", created, err)
	}
}

// What is no entry at all, or another's, is refused when it is appended.
func TestAppendRefusesWhatNoLeafCanBeMadeOf(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	good, err := withInstitution(7)
	if err != nil {
		t.Fatal(err)
	}
	subject := subject(7)
	for name, raw := range map[string][]byte{
		"not JSON":            []byte("xx"),
		"a list":              []byte("[]"),
		"not UTF-8":           []byte("{\"v\":\"\xff\"}"),
		"no subject":          []byte(`{"institution":"demo-bank","v":1}`),
		"another subject":     []byte(strings.Replace(string(good), subject, "complaint:other", 1)),
		"another institution": []byte(strings.Replace(string(good), `"institution":"demo-bank"`, `"institution":"other"`, 1)),
		"names in a string":   []byte(`{"v":"\"institution\":\"demo-bank\",\"subject\":\"` + subject + `\""}`),
	} {
		for _, n := range []int{1, 2} { // alone, and behind a good one
			bodies, subjects := [][]byte{good, raw}[2-n:], []string{subject, subject}[2-n:]
			if _, err := e.pool.Exec(t.Context(), "select audit.append($1, $2, $3)", inst, bodies, subjects); err == nil {
				t.Errorf("%s, %d in a call: appended", name, n)
			}
		}
	}
	if n := e.pendingCount(); n != 0 {
		t.Errorf("%d entries pending, want none", n)
	}
	if _, err := e.pool.Exec(t.Context(), "select audit.append($1, $2, $3)", inst, [][]byte{good}, []string{subject}); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

// Thousands of entries that no leaf can be made of do not hold up those behind them.
func TestRejectedEntriesDoNotStopTheLog(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.reject(3000)
	id := e.append("complaint:1", 1)[0].EntryID()
	if _, err := e.seq.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := e.indexOf(id); got != 0 || e.seq.Rejected() != 3000 {
		t.Errorf("index %d, rejected %d; want 0 and 3000", got, e.seq.Rejected())
	}
	if age, err := e.seq.Waiting(t.Context()); err != nil || age != 0 {
		t.Errorf("Waiting = %v, %v; want nothing", age, err)
	}
	later := e.append("complaint:1", 2)[1].EntryID()
	if age, err := e.seq.Waiting(t.Context()); err != nil || age <= 0 || age > time.Minute {
		t.Errorf("Waiting = %v, %v; want the age of the oldest", age, err)
	}
	e.sequenceAll()
	if got := e.indexOf(later); got != 2 {
		t.Errorf("index %d, want 2", got)
	}
	fresh, err := pglog.NewSequencer(t.Context(), pglog.SequencerConfig{Pool: e.pool, Institution: inst, MaxBatch: 100})
	if err != nil {
		t.Fatal(err)
	}
	id = e.append("complaint:1", 1)[0].EntryID()
	if n, err := fresh.Step(t.Context()); err != nil || n != 1 || e.indexOf(id) != 3 {
		t.Errorf("after a restart: %d sequenced, %v; want 1", n, err)
	}
}

// reject appends n entries whose bodies are not canonical.
func (e *env) reject(n int) (ids []int64) {
	e.t.Helper()
	raw, err := withInstitution(7)
	if err != nil {
		e.t.Fatal(err)
	}
	bodies, subjects := make([][]byte, n), make([]string, n)
	for i := range bodies {
		bodies[i], subjects[i] = append([]byte("{ "), raw[1:]...), subject(7)
	}
	if err := e.pool.QueryRow(e.t.Context(), "select audit.append($1, $2, $3)", inst, bodies, subjects).Scan(&ids); err != nil {
		e.t.Fatal(err)
	}
	return ids
}

// Nobody reserves roots that the publisher would stumble over later.
func TestOnlyReachedSizesAreReserved(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.append("complaint:1", 3)
	e.sequenceAll()
	tree, head, false32 := pglog.NewTree(e.pool, shard), e.head(), sha256.Sum256([]byte("false"))
	for _, size := range []uint64{head.Size, head.Size + 1, head.Size + 500} {
		if _, err := tree.Reserve(t.Context(), size, false32); err == nil {
			t.Errorf("another root reserved at size %d of %d", size, head.Size)
		}
	}
	if _, err := tree.Reserve(t.Context(), head.Size+1, head.Root); err == nil {
		t.Error("a size ahead reserved")
	}
	if _, err := e.pool.Exec(t.Context(), "select audit.reserve_checkpoint($1, -1, 0, $2)", inst, false32[:]); err == nil {
		t.Error("reserved in a log that does not exist")
	}
	if _, err := tree.Reserve(t.Context(), head.Size, head.Root); err != nil {
		t.Errorf("the head: %v", err)
	}
	e.append("complaint:1", 1)
	e.sequenceAll()
	if _, err := tree.Reserve(t.Context(), head.Size, head.Root); err != nil {
		t.Errorf("an earlier head again: %v", err)
	}
}
