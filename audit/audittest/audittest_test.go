package audittest_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

func TestSameBodiesSameBytes(t *testing.T) {
	t.Parallel()
	make := func() *audittest.Log {
		l := audittest.New(audittest.Config{Witness: true})
		l.Append(audittest.Bodies(300)...)
		return l
	}
	if diff := cmp.Diff(make().Folder(), make().Folder()); diff != "" {
		t.Errorf("two logs of the same bodies differ:\n%s", diff)
	}
}

func TestLeavesAreOfTheSizeThatIsPromised(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	l.Append(audittest.Bodies(400)...)
	sum := 0
	for i := range l.Size() {
		sum += len(l.Leaf(i))
	}
	if mean := sum / int(l.Size()); mean < 600 || mean > 800 {
		t.Errorf("leaves of %d bytes on average", mean)
	}
}

func TestFolderIsACopy(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	l.Append(audittest.Bodies(3)...)
	f := l.Folder()
	f[audit.CheckpointPath].Data[0] ^= 1
	flipped := audittest.Flip(l.Folder(), audit.CheckpointPath, 3)
	if string(l.Folder()[audit.CheckpointPath].Data) != string(l.Checkpoint()) {
		t.Error("a change of the copy reached the log")
	}
	if flipped[audit.CheckpointPath].Data[0] != l.Checkpoint()[0]^8 {
		t.Error("Flip did not flip bit 3")
	}
}

func TestWriteDir(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	l.PutBlob([]byte("policy bundle"))
	l.Append(audittest.Bodies(300)...)
	dir := t.TempDir()
	if err := audittest.WriteDir(l.Folder(), dir); err != nil {
		t.Fatal(err)
	}
	rep, err := verify.Verify(context.Background(), os.DirFS(dir), verify.Options{VerifierKey: l.VerifierKey()})
	if err != nil || !rep.OK() {
		t.Errorf("%v, %+v", err, rep)
	}
}

func TestRewriteDropsAndChanges(t *testing.T) {
	t.Parallel()
	l := audittest.New(audittest.Config{})
	l.Append(audittest.Bodies(10)...)
	r := l.Rewrite(func(i uint64, b *audit.Body) bool {
		if i == 3 {
			b.Purpose = "audit"
		}
		return i != 5
	})
	leaf, err := audit.ParseLeaf(r.Leaf(3))
	if err != nil || leaf.Body.Purpose != "audit" || r.Size() != 9 {
		t.Errorf("%v, %q, size %d", err, leaf.Body.Purpose, r.Size())
	}
	if string(r.Leaf(2)) != string(l.Leaf(2)) {
		t.Error("an entry that was not changed has other bytes")
	}
}

func ExampleNew() {
	log := audittest.New(audittest.Config{Witness: true})
	log.PutBlob([]byte("policy bundle"))
	log.Append(audittest.Bodies(300)...)
	folder := audittest.Flip(log.Folder(), audit.EntriesPath(0, 0), 8*1000)
	report, err := verify.Verify(context.Background(), folder, verify.Options{VerifierKey: log.VerifierKey()})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, f := report.FirstFinding()
	fmt.Println(f.Text.EN)
	// Output: entry 1 was changed after it was signed
}
