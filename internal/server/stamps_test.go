package server_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit/timestamp/tsatest"
)

// A checkpoint is stamped by openssl's authority, the token is published and an entry names it; an idle log is not stamped again.
func TestCheckpointIsTimeStamped(t *testing.T) {
	t.Parallel()
	s, a := newSite(t), tsatest.New(t, tsatest.Config{})
	s.cfg.TSAURL, s.cfg.TSACA, s.cfg.TSAEvery = a.URL, a.CAFile, 200*time.Millisecond
	s.run()
	s.await("time.stamped", func() bool { return s.count("time.stamped") >= 1 })
	found, err := filepath.Glob(filepath.Join(s.cfg.Published, "*", "*", "stamp", "*.tsr"))
	if err != nil || len(found) == 0 {
		t.Errorf("stamps %v, %v", found, err)
	}
}

// An authority that is away, or another one than configured, stops nothing and is never an entry.
func TestAuthorityThatIsAwayStopsNothing(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 100)
	a, stranger := tsatest.New(t, tsatest.Config{}), tsatest.New(t, tsatest.Config{})
	n := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		if n++; n%2 == 0 {
			http.Error(out, "away", http.StatusBadGateway)
			return
		}
		http.Redirect(out, r, stranger.URL, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(proxy.Close)
	s := newSite(t)
	s.cfg.TSAURL, s.cfg.TSACA, s.cfg.TSAEvery = proxy.URL, a.CAFile, 100*time.Millisecond
	s.run()
	for range 4 {
		select {
		case <-asked:
		case <-time.After(20 * time.Second):
			t.Fatal("the authority was not asked")
		}
	}
	s.await("ready", func() bool { return get("http://"+s.cfg.OpsListen+"/readyz") == http.StatusOK })
	if n := s.count("time.stamped"); n != 0 {
		t.Errorf("%d stamps of an authority that is not ours", n)
	}
}
