package filestore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
)

// gate lets all uploads reach their end before the first is published.
type gate struct{ arrived *sync.WaitGroup }

func (g gate) Read([]byte) (int, error) {
	g.arrived.Done()
	g.arrived.Wait()
	return 0, io.EOF
}

// Of uploads under one name that run at the same time, one is kept and the
// others hear of it: a blob is never replaced.
func TestOneOfSeveralUploadsUnderOneNameIsKept(t *testing.T) {
	t.Parallel()
	const n = 8
	f := NewFolder(t.TempDir())
	t.Cleanup(func() { _ = f.Close() })
	var arrived, done sync.WaitGroup
	arrived.Add(n)
	errs := make([]error, n)
	for i := range n {
		done.Go(func() {
			_, errs[i] = f.Put(t.Context(), "a/b", io.MultiReader(bytes.NewReader([]byte{byte(i)}), gate{&arrived}))
		})
	}
	done.Wait()
	kept := -1
	for i, err := range errs {
		switch {
		case err == nil && kept < 0:
			kept = i
		case err == nil:
			t.Errorf("uploads %d and %d were both kept under one name", kept, i)
		case !errors.Is(err, ErrExists):
			t.Errorf("upload %d: %v", i, err)
		}
	}
	r, err := f.Get(t.Context(), "a/b", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || len(got) != 1 || int(got[0]) != kept {
		t.Errorf("kept is %v, the upload that was told so is %d; %v", got, kept, err)
	}
}

// A blob whose name could not be made durable is not there: Put said no.
func TestABlobThatIsNotDurableIsNotVisible(t *testing.T) {
	t.Parallel()
	f := NewFolder(t.TempDir())
	t.Cleanup(func() { _ = f.Close() })
	f.flush = func(*os.Root, string) error { return errors.New("input/output error") }
	if _, err := f.Put(t.Context(), "a/b", bytes.NewReader([]byte("x"))); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Put: %v", err)
	}
	if _, err := f.Stat(t.Context(), "a/b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is visible: %v", err)
	}
}
