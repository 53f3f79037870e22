package e2e

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/stream"
)

// siem is a receiver that is away now and then and keeps what it took.
type siem struct {
	mu    sync.Mutex
	took  map[uint64]string // index -> leaf hash
	away  int
	wrong error
}

const siemSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

func (s *siem) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away++; s.away%3 == 1 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	v, _ := standardwebhooks.NewWebhook(siemSecret)
	if err == nil {
		err = v.Verify(body, r.Header)
	}
	var m struct {
		Data struct{ Events []stream.Event }
	}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		s.wrong = err
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, e := range m.Data.Events {
		if was, ok := s.took[e.Metadata.Sequence]; ok && was != e.Metadata.UID {
			s.wrong = fmt.Errorf("entry %d came twice and differs", e.Metadata.Sequence)
		}
		s.took[e.Metadata.Sequence] = e.Metadata.UID
	}
}

func (s *siem) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.took)
}

// TestEverySignedEntryReachesTheReceiver: a receiver that is away now and then,
// and a service that is killed meanwhile, lose nothing.
func TestEverySignedEntryReachesTheReceiver(t *testing.T) {
	receiver := &siem{took: map[uint64]string{}}
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	secret, list, file := filepath.Join(dir, "secret"), filepath.Join(dir, "streams.json"), filepath.Join(dir, "events.jsonl")
	must(t, os.WriteFile(secret, []byte(siemSecret+"\n"), 0o600))
	must(t, os.WriteFile(list, fmt.Appendf(nil, `[{"name":"siem","kind":"webhook","url":%q,"secret_files":[%q]},{"name":"archive","kind":"file","path":%q}]`,
		server.URL, secret, file), 0o600))
	in := own(t, "SEALTRAIL_STREAMS="+list)
	for i := range 30 {
		in.assigned(t, draft(nil))
		if i == 15 {
			must(t, in.KillService())
			must(t, in.StartService(t.Context()))
		}
	}
	folder, err := publish.NewFolder(in.LogDir())
	must(t, err)
	size := uint64(in.count(t, "select max(idx) + 1 from audit.leaf"))
	for began := time.Now(); uint64(receiver.count()) < size && time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
	}
	reader, err := publish.NewReader(t.Context(), folder)
	must(t, err)
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	if receiver.wrong != nil {
		t.Error(receiver.wrong)
	}
	for index := range size {
		leaf, _, err := reader.Entry(t.Context(), index)
		must(t, err)
		hash := audit.LeafHash(leaf)
		if receiver.took[index] != hex.EncodeToString(hash[:]) {
			t.Errorf("entry %d did not arrive as it was signed", index)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("the file stream wrote nothing: %v", err)
	}
}
