package publish_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// mute is a witness that cannot say what it cosigned last, as tlog-witness allows.
type mute struct{ w *publish.WitnessClient }

func (m mute) Name() string        { return m.w.Name() }
func (m mute) VerifierKey() string { return m.w.VerifierKey() }
func (m mute) Cosign(ctx context.Context, checkpoint []byte, old uint64, proof [][]byte) ([]byte, error) {
	return m.w.Cosign(ctx, checkpoint, old, proof)
}

// compare is what a service asks before it takes anything.
func (e *env) compare(vkey string, witnesses ...publish.Witness) (*publish.Comparison, error) {
	e.t.Helper()
	return publish.Compare(context.Background(), publish.CompareConfig{Source: pglog.NewTree(e.pool, shard), Store: e.store, Witnesses: witnesses,
		VerifierKey: vkey, Deadline: 20 * time.Second})
}

// yesterday is a database as it was n entries into the history of e: another one with the first n entries' place, here with
// entries of its own, or with none.
func yesterday(t *testing.T, e *env, n int) *env {
	t.Helper()
	y := newEnv(t)
	y.signer = e.signer
	y.grow(n)
	return y
}

func TestAnOlderDatabaseIsFoundBeforeAnythingIsTaken(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	if c, err := e.compare(e.signer.vkey, w.client(t)); err != nil || c.Size != 0 || c.Published != 0 || c.Witnesses != 1 {
		t.Errorf("before the first entry: %+v, %v", c, err)
	}
	e.grow(5)
	if err := e.publisher(w.client(t)).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.grow(2)
	for _, vkey := range []string{e.signer.vkey, ""} { // with the log's key, and while Vault is away
		if c, err := e.compare(vkey, w.client(t)); err != nil || c.Size != 7 || c.Published != 5 || c.Witnesses != 1 || len(c.Missing) != 0 {
			t.Errorf("the same database, grown: %+v, %v", c, err)
		}
		old := yesterday(t, e, 3)
		old.store, old.root = e.store, e.root
		if _, err := old.compare(vkey); !errors.Is(err, publish.ErrBehind) || !strings.Contains(err.Error(), "published checkpoint") {
			t.Errorf("older than the folder: %v, want ErrBehind that says so", err)
		}
		old.grow(4)
		if _, err := old.compare(vkey); !errors.Is(err, publish.ErrFork) {
			t.Errorf("older, and grown on: %v, want ErrFork", err)
		}
		both := yesterday(t, e, 3) // database and folder were put back together
		if _, err := both.compare(vkey, w.client(t)); !errors.Is(err, publish.ErrBehind) || !strings.Contains(err.Error(), "witness.example/audit") {
			t.Errorf("folder put back too: %v, want ErrBehind that names the witness", err)
		}
		both.grow(4)
		if _, err := both.compare(vkey, w.client(t)); !errors.Is(err, publish.ErrFork) {
			t.Errorf("folder put back too, grown on: %v, want ErrFork", err)
		}
		if err := both.publisher(w.client(t)).Publish(t.Context()); !errors.Is(err, publish.ErrFork) {
			t.Errorf("Publish by itself: %v, want ErrFork", err)
		}
	}
	if n := e.signer.calls.Load(); n != 1 {
		t.Errorf("%d signatures, want 1", n)
	}
	nobody := newEnv(t) // an empty database behind the folder and the key
	nobody.store, nobody.signer = e.store, e.signer
	tree := pglog.NewTree(nobody.pool, pglog.Shard{Institution: inst, Year: 2025, Origin: shard.Origin}) // a log that it never opened
	if _, err := publish.Compare(t.Context(), publish.CompareConfig{Source: tree, Store: e.store, VerifierKey: e.signer.vkey}); !errors.Is(err, publish.ErrBehind) {
		t.Errorf("a log that the database does not know: %v, want ErrBehind", err)
	}
}

// A witness that is away, cannot say or lies stops nothing, and is named as not compared.
func TestAWitnessThatCannotSayIsNotCompared(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	e.grow(5)
	if err := e.publisher(w.client(t)).Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	answer := func(body string, status int) publish.Witness {
		s := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
			out.WriteHeader(status)
			_, _ = io.WriteString(out, body)
		}))
		t.Cleanup(s.Close)
		c, err := publish.NewWitnessClient(t.Context(), publish.WitnessClientConfig{URL: s.URL, VerifierKey: w.VerifierKey(), HTTP: s.Client()})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ahead := e.signer.signed(t, 99, [32]byte{1}) // of the log, and no cosignature: anybody who has a leaked note could send it
	foreign := newSigner(t).signed(t, 99, [32]byte{1})
	for name, witness := range map[string]publish.Witness{
		"mute": mute{w.client(t)}, "broken": answer("state unavailable", 500), "nonsense": answer("hello", 200),
		"no cosignature": answer(string(ahead), 200), "another key": answer(string(foreign), 200),
	} {
		if c, err := e.compare(e.signer.vkey, witness); err != nil || len(c.Missing) != 1 || c.Witnesses != 0 {
			t.Errorf("%s: %+v, %v; want it to be named as not compared", name, c, err)
		}
	}
}

// The database signed another history itself, with the real key: two signed notes, and a file that convicts.
func TestTwoSignedHistoriesAreAMisbehaviourFile(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.grow(5)
	if err := e.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := yesterday(t, e, 5)
	if err := other.publisher().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.store = e.store // the two meet
	if _, err := other.compare(e.signer.vkey); !errors.Is(err, publish.ErrFork) {
		t.Fatalf("Compare: %v, want ErrFork", err)
	}
	raw, err := e.store.Get(t.Context(), "evidence/misbehaviour-5.txt")
	if err != nil {
		t.Fatal(err)
	}
	m, err := audit.ParseMisbehaviour(raw)
	if err != nil {
		t.Fatal(err)
	}
	verify, err := audit.LogVerifier(e.signer.vkey)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := m.Judge(verify); err != nil || !v.Convicts || v.Reason != audit.ReasonTwoRoots {
		t.Errorf("Judge = %+v, %v; want a conviction", v, err)
	}
}
