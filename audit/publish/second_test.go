package publish_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// secondSigner is a second key with switches to be away, to fail, to hang and to lie.
type secondSigner struct {
	*publish.SecondKey
	away, fail, hang, lie atomic.Bool
	calls                 atomic.Int64
}

func newSecond(t *testing.T) *secondSigner {
	t.Helper()
	key, err := publish.NewSecondKey(filepath.Join(t.TempDir(), "second.key"), shard.Origin)
	if err != nil {
		t.Fatal(err)
	}
	return &secondSigner{SecondKey: key}
}

func (s *secondSigner) open(context.Context) (publish.SecondSigner, error) {
	if s.away.Load() {
		return nil, errors.New("no such file")
	}
	return s, nil
}

func (s *secondSigner) Sign(ctx context.Context, text []byte) ([]byte, error) {
	s.calls.Add(1)
	if s.hang.Load() {
		<-ctx.Done()
	}
	if s.fail.Load() {
		return nil, errors.New("away")
	}
	sig, err := s.SecondKey.Sign(ctx, text)
	if s.lie.Load() {
		sig[100] ^= 1
	}
	return sig, err
}

// verifySecond verifies what is published, with the second key asked for.
func (e *env) verifySecond(s *secondSigner, witnesses ...string) *verify.Report {
	e.t.Helper()
	rep, err := verify.Verify(e.t.Context(), e.store.FS(), verify.Options{VerifierKey: e.signer.vkey, SecondKeys: []string{s.VerifierKey()}, Witnesses: witnesses, TreeOnly: true})
	if err != nil {
		e.t.Fatal(err)
	}
	return rep
}

func (e *env) publishNow(p *publish.Publisher) {
	e.t.Helper()
	if err := p.Publish(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) lines() int {
	e.t.Helper()
	raw, err := e.store.Get(e.t.Context(), audit.CheckpointPath)
	if err != nil {
		e.t.Fatal(err)
	}
	return bytes.Count(raw, []byte("\n\u2014 "))
}

// A checkpoint bears both lines, whoever does not know the second one verifies it as before, and PostgreSQL and the witnesses have
// the note without it. It stays when the witnesses are asked again.
func TestSecondSignature(t *testing.T) {
	t.Parallel()
	e, s, at := newEnv(t), newSecond(t), &clock{}
	w := newWitness(t, t.TempDir(), e.signer.vkey)
	asked := &recording{WitnessClient: w.client(t)}
	p := e.publisherWith(publish.Config{Second: s.open, Witnesses: []publish.Witness{asked}, Watch: publish.Watch{Stale: 30 * time.Minute, Now: at.now}})
	for range 2 {
		e.grow(300)
		e.publishNow(p)
	}
	rep := e.verifySecond(s, w.VerifierKey())
	if !rep.OK() || rep.Step(verify.StepWitnesses).Status != verify.OK || e.lines() != 3 {
		t.Fatalf("%d lines, %+v", e.lines(), rep.Steps[:2])
	}
	if notes := rep.Step(verify.StepSignature).Notes; len(notes) != 1 || !strings.Contains(notes[0].EN, "second signature (ML-DSA-44) verifies") {
		t.Errorf("step 1 says %v", notes)
	}
	if c := e.checkpoint(); c.Size != 600 { // opened by a reader that knows Ed25519 alone
		t.Errorf("size %d", c.Size)
	}
	at.move(11 * time.Minute)
	e.publishNow(p)
	if rep := e.verifySecond(s, w.VerifierKey()); !rep.OK() || e.lines() != 3 || asked.calls != 3 {
		t.Errorf("asked again: %d lines, %d calls, %+v", e.lines(), asked.calls, rep.Steps[:2])
	}
	if n := s.calls.Load(); n != 2 {
		t.Errorf("%d second signatures of two checkpoints", n)
	}
	if asked.longest > 1024 {
		t.Errorf("a witness was asked with a note of %d bytes: the second line is in it", asked.longest)
	}
	stored, err := pglog.NewTree(e.pool, shard).Checkpoints(t.Context(), 0)
	if err != nil || len(stored) == 0 || len(stored[0].Note) > 1024 {
		t.Errorf("PostgreSQL holds more than the Ed25519 note: %v", err)
	}
}

// recording is a witness that notes how long the notes are that it gets.
type recording struct {
	*publish.WitnessClient
	calls, longest int
}

func (r *recording) Cosign(ctx context.Context, checkpoint []byte, old uint64, proof [][]byte) ([]byte, error) {
	r.calls, r.longest = r.calls+1, max(r.longest, len(checkpoint))
	return r.WitnessClient.Cosign(ctx, checkpoint, old, proof)
}

// Whatever is wrong with the second key, checkpoints go on without its line, with an alarm, and get it when the key is back.
func TestSecondSignatureIsNoOffSwitch(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(s *secondSigner) *atomic.Bool{
		"no key":    func(s *secondSigner) *atomic.Bool { return &s.away },
		"fails":     func(s *secondSigner) *atomic.Bool { return &s.fail },
		"hangs":     func(s *secondSigner) *atomic.Bool { return &s.hang },
		"signs bad": func(s *secondSigner) *atomic.Bool { return &s.lie },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, s := newEnv(t), newSecond(t)
			broken := breaks(s)
			broken.Store(true)
			p := e.publisherWith(publish.Config{Second: s.open, SignDeadline: 200 * time.Millisecond})
			e.grow(3)
			e.publishNow(p)
			if c := e.checkpoint(); c.Size != 3 || e.lines() != 1 || e.alarms.count(publish.AlarmSecond) != 1 {
				t.Fatalf("size %d, %d lines, alarms %v", c.Size, e.lines(), e.alarms.kinds())
			}
			rep := e.verifySecond(s)
			if _, f := rep.FirstFinding(); f == nil || f.Code != "second_signature" {
				t.Errorf("the missing line is not found: %+v", rep.Steps[0])
			}
			broken.Store(false)
			waitFor(t, "the line on the idle log", func() bool { e.publishNow(p); return e.lines() == 2 })
			if rep := e.verifySecond(s); !rep.OK() {
				t.Errorf("after its return: %+v", rep.Steps[0])
			}
		})
	}
}

// A line that does not verify is replaced before anything is published again, and never kept beside a good one.
func TestDamagedSecondLineIsReplaced(t *testing.T) {
	t.Parallel()
	e, s := newEnv(t), newSecond(t)
	e.grow(3)
	e.publishNow(e.publisherWith(publish.Config{Second: s.open}))
	raw, err := e.store.Get(t.Context(), audit.CheckpointPath)
	if err != nil {
		t.Fatal(err)
	}
	witness := newWitness(t, t.TempDir(), e.signer.vkey) // one that gets the line all the same cosigns: it fits its limits
	if _, err := witness.client(t).Cosign(t.Context(), raw, 0, nil); err != nil || len(raw) > 4000 {
		t.Errorf("a note of %d bytes: %v", len(raw), err)
	}
	at := bytes.LastIndexByte(raw, ' ') + 2000
	if raw[at]++; !strings.ContainsRune("bcdefghijklmnopqrstuvwxyzBCDEFGHIJKLMNOPQRSTUVWXYZ123456789", rune(raw[at])) {
		raw[at] = 'a'
	}
	if err := e.store.Put(t.Context(), audit.CheckpointPath, raw); err != nil {
		t.Fatal(err)
	}
	if _, f := e.verifySecond(s).FirstFinding(); f == nil || f.Code != "second_signature" {
		t.Fatalf("the damaged line is not found: %+v", f)
	}
	e.publishNow(e.publisherWith(publish.Config{Second: s.open})) // as a process that just started
	if rep := e.verifySecond(s); !rep.OK() || e.lines() != 2 {
		t.Errorf("%d lines, %+v", e.lines(), rep.Steps[0])
	}
}

func TestSecondKeyFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "second.key")
	if _, err := publish.LoadSecondKey(file, shard.Origin); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	made, err := publish.NewSecondKey(file, shard.Origin)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	again, err := publish.NewSecondKey(file, shard.Origin)
	if err != nil || again.VerifierKey() != made.VerifierKey() {
		t.Errorf("another key the second time, %v", err)
	}
	next, err := publish.LoadSecondKey(file, "sealtrail.example/demo-bank/2027") // as the log's key: next year another name
	if err != nil {
		t.Fatal(err)
	}
	v, err := audit.NewSecondVerifier(next.VerifierKey())
	if err != nil || v.Name() != "sealtrail.example/demo-bank/2027" {
		t.Fatalf("%v, %v", v, err)
	}
	text := audit.Checkpoint{Origin: v.Name(), Root: audit.EmptyRoot()}.Marshal()
	if sig, err := next.Sign(t.Context(), text); err != nil || !v.Verify(text, sig) {
		t.Errorf("next year's line: %v", err)
	}
	if _, err := publish.LoadSecondKey(file, "sealtrail.example/other-bank/2026"); err == nil {
		t.Error("took the key of another institution")
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "PRIVATE+KEY+" + shard.Origin + "+00000000+", "PRIVATE+KEY+" + shard.Origin + "+00000000+BgAA", strings.Replace(string(raw), "+B", "+A", 1)} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := publish.LoadSecondKey(file, shard.Origin); err == nil || bad != "" && strings.Contains(err.Error(), "BgAA") {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}
