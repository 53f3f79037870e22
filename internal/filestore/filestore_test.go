package filestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sealtrail/sealtrail/internal/filestore"
	"github.com/sealtrail/sealtrail/internal/s3test"
)

// place is a store and the folder where its blobs end up.
type place struct {
	store filestore.Store
	dir   string
}

func folder(t *testing.T) place {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "files")
	f := filestore.NewFolder(dir)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return place{f, dir}
}

func overS3(t *testing.T) (place, *s3test.Server) {
	t.Helper()
	server := s3test.New(t)
	s, err := filestore.NewS3(filestore.S3Config{Endpoint: server.Endpoint, Bucket: s3test.Bucket, Prefix: "demo",
		AccessKey: server.AccessKey, SecretKey: server.SecretKey, CACert: server.CACert})
	if err != nil {
		t.Fatal(err)
	}
	return place{s, filepath.Join(server.Dir, s3test.Bucket)}, server
}

// both runs a test over the folder and over a real S3 server.
func both(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	t.Run("folder", func(t *testing.T) { t.Parallel(); test(t, folder(t)) })
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		p, _ := overS3(t)
		test(t, p)
	})
}

// content is n bytes that differ at every place.
func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
	return b
}

func put(t *testing.T, s filestore.Store, name string, b []byte) {
	t.Helper()
	n, err := s.Put(t.Context(), name, iotest.HalfReader(bytes.NewReader(b)))
	if err != nil || n != int64(len(b)) {
		t.Fatalf("Put of %d bytes: %d, %v", len(b), n, err)
	}
}

func get(t *testing.T, s filestore.Store, name string, offset, length int64) ([]byte, error) {
	t.Helper()
	r, err := s.Get(t.Context(), name, offset, length)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func listed(t *testing.T, s filestore.Store) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	if err := s.List(t.Context(), func(i filestore.Info) error { found[i.Name] = i.Size; return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}

// Lengths below and above one request and one part.
func TestBlobsComeBackWholeAndInParts(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		want := map[string]int64{}
		for i, n := range []int{0, 1, 1 << 20, 1<<20 + 1, 16<<20 + 5, 33 << 20} {
			name, b := fmt.Sprintf("demo-bank/c-%d/f", i), content(n)
			put(t, p.store, name, b)
			want[name] = int64(n)
			if got, err := get(t, p.store, name, 0, int64(n)); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%d bytes: %d came back, %v", n, len(got), err)
			}
			info, err := p.store.Stat(t.Context(), name)
			if err != nil || info.Size != int64(n) || time.Since(info.Modified).Abs() > time.Minute {
				t.Errorf("%d bytes: Stat says %+v, %v", n, info, err)
			}
			from, length := n/3, n/5
			if got, err := get(t, p.store, name, int64(from), int64(length)); err != nil || !bytes.Equal(got, b[from:from+length]) {
				t.Errorf("%d bytes [%d:+%d]: %d came back, %v", n, from, length, len(got), err)
			}
			if got, err := get(t, p.store, name, int64(n)+7, 10); err != nil || len(got) != 0 {
				t.Errorf("%d bytes: %d bytes behind the end, %v", n, len(got), err)
			}
		}
		if got := listed(t, p.store); !maps.Equal(got, want) {
			t.Errorf("listed %v, want %v", got, want)
		}
	})
}

func TestANameIsUsedOnceAndDeletedForGood(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		put(t, p.store, "a/b", content(10))
		if _, err := p.store.Put(t.Context(), "a/b", bytes.NewReader(content(20))); !errors.Is(err, filestore.ErrExists) {
			t.Errorf("second Put: %v", err)
		}
		if got, err := get(t, p.store, "a/b", 0, 100); err != nil || !bytes.Equal(got, content(10)) {
			t.Errorf("after it: %d bytes, %v", len(got), err)
		}
		for range 2 {
			if err := p.store.Delete(t.Context(), "a/b"); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}
		if _, err := p.store.Stat(t.Context(), "a/b"); !errors.Is(err, filestore.ErrNotFound) {
			t.Errorf("Stat: %v", err)
		}
		if _, err := get(t, p.store, "a/b", 0, 1); !errors.Is(err, filestore.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
		if err := p.store.Check(t.Context()); err != nil {
			t.Errorf("Check: %v", err)
		}
	})
}

func TestNoNameLeavesTheStore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		for _, name := range []string{"", ".", "..", "../x", "/etc/passwd", "a//b", "a/../b", ".partial/x", "A", "a/b/c/d/e", "a\x00b", "a b", strings.Repeat("a", 65)} {
			_, putErr := p.store.Put(t.Context(), name, strings.NewReader("x"))
			_, getErr := p.store.Get(t.Context(), name, 0, 1)
			_, statErr := p.store.Stat(t.Context(), name)
			for _, err := range []error{putErr, getErr, statErr, p.store.Delete(t.Context(), name)} {
				if !errors.Is(err, filestore.ErrName) {
					t.Errorf("%q: %v", name, err)
				}
			}
		}
	})
}

// A content that breaks off anywhere leaves nothing visible, whatever its error:
// also one that a library takes for an end.
func TestABrokenUploadLeavesNothingVisible(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		for i, cause := range []error{errors.New("hung up"), io.ErrUnexpectedEOF, context.Canceled} {
			for j, n := range []int{0, 100, 1<<20 + 100, 17 << 20} {
				name := fmt.Sprintf("x/f-%d-%d", i, j)
				_, err := p.store.Put(t.Context(), name, io.MultiReader(bytes.NewReader(content(n)), iotest.ErrReader(cause)))
				if !errors.Is(err, cause) {
					t.Errorf("after %d bytes: %v, want %v", n, err, cause)
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := p.store.Put(ctx, "x/cancelled", io.MultiReader(bytes.NewReader(content(2<<20)), during(cancel), bytes.NewReader(content(20<<20))))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if got := listed(t, p.store); len(got) != 0 {
			t.Errorf("left behind: %v", got)
		}
	})
}

// during runs f when the reader is reached and gives nothing.
func during(f func()) io.Reader { return io.LimitReader(once{f}, 0+1) }

type once struct{ f func() }

func (o once) Read([]byte) (int, error) { o.f(); return 0, io.EOF }

// What a killed process left behind is found by its age.
func TestUnfinishedUploadsAreTidiedAway(t *testing.T) {
	t.Parallel()
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		p := folder(t)
		put(t, p.store, "a/b", content(3))
		left := filepath.Join(p.dir, ".partial", "left")
		if err := os.WriteFile(left, content(9), 0o600); err != nil {
			t.Fatal(err)
		}
		checkTidy(t, p.store)
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		p, server := overS3(t)
		put(t, p.store, "a/b", content(3))
		// The server dies while parts are under way: nobody can abort them.
		_, err := p.store.Put(t.Context(), "a/c", io.MultiReader(bytes.NewReader(content(17<<20)), during(server.Stop), bytes.NewReader(content(17<<20))))
		if !errors.Is(err, filestore.ErrUnavailable) {
			t.Errorf("Put over a killed server: %v", err)
		}
		server.Start()
		checkTidy(t, p.store)
	})
}

func checkTidy(t *testing.T, s filestore.Store) {
	t.Helper()
	for _, row := range []struct {
		before time.Time
		want   int
	}{{time.Now().Add(-24 * time.Hour), 0}, {time.Now().Add(time.Hour), 1}, {time.Now().Add(time.Hour), 0}} {
		if n, err := s.Tidy(t.Context(), row.before); err != nil || n != row.want {
			t.Errorf("Tidy before %s: %d, %v, want %d", row.before, n, err, row.want)
		}
	}
	if got := listed(t, s); len(got) != 1 || got["a/b"] != 3 {
		t.Errorf("finished blobs: %v", got)
	}
}

func TestFilesOfTheFolderAreOursAlone(t *testing.T) {
	t.Parallel()
	p := folder(t)
	put(t, p.store, "a/b/c", content(3))
	modes := map[string]fs.FileMode{}
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		modes[strings.TrimPrefix(path, p.dir)] = info.Mode().Perm()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range modes {
		if mode&0o077 != 0 {
			t.Errorf("%s has mode %v", name, mode)
		}
	}
	if len(modes) != 5 {
		t.Errorf("found %v", slices.Collect(maps.Keys(modes)))
	}
}

// A name that somebody replaced by a link does not lead out of the folder.
func TestALinkDoesNotLeadOutOfTheFolder(t *testing.T) {
	t.Parallel()
	p := folder(t)
	put(t, p.store, "a/b", content(3)) // the folder is made when it is first used
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(p.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, p.store, "link", 0, 6); err == nil {
		t.Errorf("read %d bytes through a link", len(got))
	}
}

func TestAnS3StoreThatIsAwaySaysSo(t *testing.T) {
	t.Parallel()
	p, server := overS3(t)
	put(t, p.store, "a/b", content(3))
	server.Stop()
	_, putErr := p.store.Put(t.Context(), "a/c", strings.NewReader("x"))
	_, getErr := p.store.Get(t.Context(), "a/b", 0, 1)
	_, statErr := p.store.Stat(t.Context(), "a/b")
	listErr := p.store.List(t.Context(), func(filestore.Info) error { return nil })
	for what, err := range map[string]error{"Put": putErr, "Get": getErr, "Stat": statErr, "List": listErr, "Check": p.store.Check(t.Context()), "Delete": p.store.Delete(t.Context(), "a/b")} {
		if !errors.Is(err, filestore.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
		silent(t, what, err, server)
	}
	server.Start()
	if got, err := get(t, p.store, "a/b", 0, 3); err != nil || len(got) != 3 {
		t.Errorf("back again: %d bytes, %v", len(got), err)
	}
}

// silent checks that an error holds nothing of what signs requests.
func silent(t *testing.T, what string, err error, server *s3test.Server) {
	t.Helper()
	for _, secret := range []string{server.AccessKey, server.SecretKey, "Signature"} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error holds a credential", what)
		}
	}
}

func TestAnS3StoreThatRefusesUsSaysSo(t *testing.T) {
	t.Parallel()
	_, server := overS3(t)
	good := filestore.S3Config{Endpoint: server.Endpoint, Bucket: s3test.Bucket, AccessKey: server.AccessKey, SecretKey: server.SecretKey, CACert: server.CACert}
	for name, spoil := range map[string]func(*filestore.S3Config){
		"wrong secret": func(c *filestore.S3Config) { c.SecretKey = "wrong" + server.SecretKey },
		"wrong key":    func(c *filestore.S3Config) { c.AccessKey = "wrong" + server.AccessKey },
		"no bucket":    func(c *filestore.S3Config) { c.Bucket = "nowhere" },
		"unknown CA":   func(c *filestore.S3Config) { c.CACert = nil },
	} {
		cfg := good
		spoil(&cfg)
		s, err := filestore.NewS3(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Put(t.Context(), "a/b", strings.NewReader("x"))
		if !errors.Is(err, filestore.ErrUnavailable) {
			t.Errorf("%s: Put: %v", name, err)
		}
		silent(t, name, err, server)
		if err := s.Check(t.Context()); !errors.Is(err, filestore.ErrUnavailable) {
			t.Errorf("%s: Check: %v", name, err)
		}
	}
}

func TestS3SettingsThatCannotBe(t *testing.T) {
	t.Parallel()
	good := filestore.S3Config{Endpoint: "https://s3.example", Bucket: "b", AccessKey: "a", SecretKey: "s"}
	if _, err := filestore.NewS3(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*filestore.S3Config){
		"no scheme":            func(c *filestore.S3Config) { c.Endpoint = "s3.example" },
		"clear text":           func(c *filestore.S3Config) { c.Endpoint = "http://s3.example" },
		"a path":               func(c *filestore.S3Config) { c.Endpoint = "https://s3.example/bucket" },
		"secrets in the URL":   func(c *filestore.S3Config) { c.Endpoint = "https://user:pass@s3.example" },
		"no bucket":            func(c *filestore.S3Config) { c.Bucket = "" },
		"no key":               func(c *filestore.S3Config) { c.SecretKey = "" },
		"a prefix to go up":    func(c *filestore.S3Config) { c.Prefix = "../x" },
		"no certificate in it": func(c *filestore.S3Config) { c.CACert = []byte("x") },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := filestore.NewS3(cfg); err == nil || strings.Contains(err.Error(), "pass") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
