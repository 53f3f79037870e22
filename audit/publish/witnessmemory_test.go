package publish_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// A witness whose last checkpoint is gone, or was put back to an older one, while it still holds what it cosigned later, could be
// talked into a second history. It cosigns nothing and keeps what it was offered.
func TestWitnessThatForgotCosignsNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, file string, older []byte){
		"file is gone": func(t *testing.T, file string, _ []byte) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
		"older checkpoint in its place": func(t *testing.T, file string, older []byte) {
			if err := os.WriteFile(file, older, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newSigner(t)
				w := newWitness(t, t.TempDir(), s.vkey)
				tree := newTestTree(t, [][32]byte{{1}, {2}, {3}, {4}, {5}})
				other := newTestTree(t, [][32]byte{{9}, {8}, {7}, {6}, {5}})
				if _, err := w.client(t).Cosign(t.Context(), s.signed(t, 2, tree.root(2)), 0, nil); err != nil {
					t.Fatal(err)
				}
				file := onlyFile(t, filepath.Join(w.dir, "state", "*", "checkpoint"))
				older, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.client(t).Cosign(t.Context(), s.signed(t, 4, tree.root(4)), 2, tree.proof(2, 4)); err != nil {
					t.Fatal(err)
				}
				spoil(t, file, older)
				if restarted {
					w = newWitness(t, w.dir, s.vkey)
				}
				second := s.signed(t, 5, other.root(5))
				for _, old := range []uint64{0, 2, 4} {
					var stale *publish.StaleError
					if lines, err := w.client(t).Cosign(t.Context(), second, old, nil); err == nil || errors.As(err, &stale) {
						t.Errorf("from old size %d: %q, %v; want a refusal that names no size", old, lines, err)
					}
				}
				wantEvidence(t, w.dir, second)
				wantEvidence(t, w.dir, s.signed(t, 4, tree.root(4)))
				resp, err := w.http.Client().Get(w.http.URL + "/checkpoint?origin=" + url.QueryEscape(shard.Origin))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if raw, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusInternalServerError || bytes.Contains(raw, older) {
					t.Errorf("GET /checkpoint: %d, want 500: it must not show an older state as the last", resp.StatusCode)
				}
			})
		}
	}
}

func onlyFile(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	return files[0]
}

// A crash between the two files of the first cosignature is not forgetting.
func TestWitnessGoesOnAfterACrashAtItsFirstCheckpoint(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	w := newWitness(t, t.TempDir(), s.vkey)
	first := s.signed(t, 1, audit.LeafHash(nil))
	if _, err := w.client(t).Cosign(t.Context(), first, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(onlyFile(t, filepath.Join(w.dir, "state", "*", "checkpoints", "1"))); err != nil {
		t.Fatal(err) // the second of the two files was not written
	}
	w = newWitness(t, w.dir, s.vkey)
	if _, err := w.client(t).Cosign(t.Context(), first, 1, nil); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, filepath.Join(w.dir, "state", "*", "checkpoints", "1"))
}
