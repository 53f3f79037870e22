package keyring

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/crypto/field"
)

// childEnv makes this test binary harden itself: in a child, since it cannot be
// undone and would keep debuggers from the tests.
const childEnv = "SEALTRAIL_TEST_HARDEN"

func TestHarden(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("core dumps are kept off on Linux only")
	}
	if os.Getenv(childEnv) != "" {
		if err := Harden(); err != nil || !Hardened() {
			t.Errorf("Harden: %v, hardened %v", err, Hardened())
		}
		return
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHarden$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("child: %v\n%s", err, out)
	}
}

// TestArenaReusesClearedSlots, and falls back to the heap beyond its size.
func TestArenaReusesClearedSlots(t *testing.T) {
	t.Parallel()
	a := newArena(2)
	x, y, z := a.get(), a.get(), a.get()
	for _, s := range [][]byte{x, y, z} {
		if len(s) != field.KeySize || cap(s) != field.KeySize {
			t.Fatalf("slot of %d bytes, cap %d", len(s), cap(s))
		}
	}
	copy(x, bytes.Repeat([]byte{1}, field.KeySize))
	if bytes.ContainsRune(y, 1) || bytes.ContainsRune(z, 1) {
		t.Error("slots overlap")
	}
	a.put(z) // from the heap: not kept
	if len(a.free) != 0 {
		t.Error("the arena kept a slot that is not its own")
	}
	clear(x)
	a.put(x)
	if got := a.get(); &got[0] != &x[0] {
		t.Error("a returned slot is not used again")
	}
}

// TestKeysLeaveNoBytesInTheArena: what is voided is zero, byte for byte.
func TestKeysLeaveNoBytesInTheArena(t *testing.T) {
	t.Parallel()
	k, err := New(Config{Wrapper: loopback{}, MaxKeys: 4})
	if err != nil {
		t.Fatal(err)
	}
	var slots [][]byte
	for _, r := range []string{"a", "b", "c"} {
		l, _, err := k.Mint(t.Context(), RecordID{Institution: "i", Record: r}, "ref")
		if err != nil {
			t.Fatal(err)
		}
		slots = append(slots, l.entry.slot)
		l.Release()
	}
	for i, s := range slots {
		if bytes.Equal(s, make([]byte, field.KeySize)) {
			t.Errorf("slot %d has no key in it", i)
		}
	}
	k.VoidAll("test")
	for i, s := range slots {
		if !bytes.Equal(s, make([]byte, field.KeySize)) {
			t.Errorf("slot %d still has bytes of a key", i)
		}
	}
}

// TestHeldKeyIsZeroedByTheLastToReturnIt: the bytes of the slot themselves,
// while two hold the key, one does, and none.
func TestHeldKeyIsZeroedByTheLastToReturnIt(t *testing.T) {
	t.Parallel()
	k, err := New(Config{Wrapper: loopback{}, MaxKeys: 4})
	if err != nil {
		t.Fatal(err)
	}
	id := RecordID{Institution: "i", Record: "r"}
	first, wrapped, err := k.Mint(t.Context(), id, "ref")
	if err != nil {
		t.Fatal(err)
	}
	second, err := k.Lend(t.Context(), wrapped, id, "ref")
	if err != nil {
		t.Fatal(err)
	}
	slot := first.entry.slot
	zero := func() bool { return bytes.Equal(slot, make([]byte, field.KeySize)) }
	free := len(k.mem.free)
	k.SetPolicy(1)
	if zero() {
		t.Error("zeroed under its borrowers")
	}
	first.Release()
	if zero() {
		t.Error("zeroed while one still holds it")
	}
	second.Release()
	if !zero() || len(k.mem.free) != free+1 {
		t.Errorf("zeroed %v, %d free slots, want %d", zero(), len(k.mem.free), free+1)
	}
}

// TestKeyWithdrawnBeforeItIsTakenIsNotLent: it came, then the policy changed,
// and only then its borrower woke up.
func TestKeyWithdrawnBeforeItIsTakenIsNotLent(t *testing.T) {
	t.Parallel()
	k, err := New(Config{Wrapper: loopback{}, MaxKeys: 4})
	if err != nil {
		t.Fatal(err)
	}
	dek := bytes.Repeat([]byte{7}, field.KeySize)
	req := LendRequest{ID: RecordID{Institution: "i", Record: "r"}, Wrapped: Wrapped{Blob: string(dek), Commitment: field.Commitment(dek)}, Policy: 1}
	k.SetPolicy(1)
	out := make([]LendResult, 1)
	f := k.depart([]LendRequest{req}, []int{0}, out)[0].flight
	<-f.done
	slot := f.entry.slot
	k.SetPolicy(2)
	l, retry, err := k.arrive(t.Context(), t.Context(), f, "unwrap")
	if l != nil || !retry || err != nil {
		t.Errorf("lease %v, retry %v, %v; want to ask again", l != nil, retry, err)
	}
	if !bytes.Equal(slot, make([]byte, field.KeySize)) {
		t.Error("the key that nobody got was left behind")
	}
}

// TestTravellingCopiesAreOverwritten: what went to the key service and what
// came back from it.
func TestTravellingCopiesAreOverwritten(t *testing.T) {
	t.Parallel()
	var seen [][]byte
	k, err := New(Config{Wrapper: loopback{seen: &seen}, MaxKeys: 4})
	if err != nil {
		t.Fatal(err)
	}
	id := RecordID{Institution: "i", Record: "r"}
	_, wrapped, err := k.Mint(t.Context(), id, "ref")
	if err != nil {
		t.Fatal(err)
	}
	k.VoidAll("test")
	if _, err := k.Lend(t.Context(), wrapped, id, "ref"); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 2 {
		t.Fatalf("%d keys travelled, want 2", len(seen))
	}
	for i, s := range seen {
		if !bytes.Equal(s, make([]byte, field.KeySize)) {
			t.Errorf("copy %d was left behind", i)
		}
	}
}

// TestRunOverwritesExpiredKeys, though nobody asks for them any more.
func TestRunOverwritesExpiredKeys(t *testing.T) {
	t.Parallel()
	clock := time.Unix(0, 0)
	k, err := New(Config{Wrapper: loopback{}, MaxKeys: 4, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := k.Mint(t.Context(), RecordID{Institution: "i", Record: "r"}, "ref")
	if err != nil {
		t.Fatal(err)
	}
	slot := l.entry.slot
	l.Release()
	clock = clock.Add(15 * time.Second)
	ctx, stop := context.WithCancel(t.Context())
	stop() // Run does one round, then ends; its VoidAll reports nothing left
	voided := 0
	k.cfg.OnVoid = func(_ string, n int) { voided = n }
	if err := k.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(slot, make([]byte, field.KeySize)) || voided != 0 {
		t.Errorf("Run left an expired key; %d keys were live at its end", voided)
	}
}
