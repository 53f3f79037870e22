package store_test

import (
	"bytes"
	"sync"
	"testing"
)

func TestEveryReplicaGetsTheSameSecret(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	var all [8][]byte
	var group sync.WaitGroup
	for i := range all {
		group.Go(func() {
			var err error
			if all[i], err = s.Shared(t.Context(), inst, "pages"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, got := range all {
		if len(got) != 32 || !bytes.Equal(got, all[0]) {
			t.Fatal("two replicas have other secrets")
		}
	}
	other, err := s.Shared(t.Context(), "another-bank", "pages")
	if err != nil || bytes.Equal(other, all[0]) {
		t.Errorf("another institution has the same secret, or none: %v", err)
	}
}
