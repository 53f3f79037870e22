package transit_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
)

// authServer is a fake AppRole: it counts logins and renewals, and can refuse.
type authServer struct {
	logins, renewals atomic.Int32
	noLogin, noRenew atomic.Bool
	leaseSeconds     string
}

func (s *authServer) serve(w http.ResponseWriter, r *http.Request) {
	auth := `{"auth":{"client_token":"tok","lease_duration":` + s.leaseSeconds + `,"renewable":true}}`
	switch {
	case strings.HasSuffix(r.URL.Path, "/auth/approle/login"):
		if s.noLogin.Load() {
			answers(400, `{"errors":["invalid role or secret ID"]}`)(w, r)
			return
		}
		s.logins.Add(1)
		answers(200, auth)(w, r)
	case strings.HasSuffix(r.URL.Path, "/auth/token/renew-self"):
		if s.noRenew.Load() {
			answers(403, `{"errors":["permission denied"]}`)(w, r)
			return
		}
		s.renewals.Add(1)
		answers(200, auth)(w, r)
	default:
		answers(403, `{"errors":["permission denied"]}`)(w, r)
	}
}

func newLogin(t *testing.T, s *authServer, onState func(error)) (*transit.Login, transit.Config) {
	t.Helper()
	client := fake(t, s.serve)
	l, err := transit.NewLogin(transit.LoginConfig{Client: client, RoleID: "r", SecretID: transit.StaticSecret("s"),
		Retry: 5 * time.Millisecond, OnState: onState})
	if err != nil {
		t.Fatal(err)
	}
	return l, transit.Config{Client: client, Institution: "bank", Login: l}
}

func run(t *testing.T, l *transit.Login) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
}

func TestLoginRenewsAndLogsInAgain(t *testing.T) {
	t.Parallel()
	s := &authServer{leaseSeconds: "1"}
	l, cfg := newLogin(t, s, nil)
	if l.Err() == nil {
		t.Error("logged in before the first login")
	}
	if err := l.Now(t.Context()); err != nil || l.Err() != nil || cfg.Client.Token() != "tok" {
		t.Fatalf("Now = %v, token %q", err, cfg.Client.Token())
	}
	run(t, l)
	eventually(t, "a renewal", func() bool { return s.renewals.Load() > 0 })
	if n := s.logins.Load(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	s.noRenew.Store(true)
	eventually(t, "a second login", func() bool { return s.logins.Load() > 1 })
}

func TestRefusedLoginIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := &authServer{leaseSeconds: "3600"}
	s.noLogin.Store(true)
	var mu sync.Mutex
	var states []error
	l, _ := newLogin(t, s, func(err error) { mu.Lock(); states = append(states, err); mu.Unlock() })
	if err := l.Now(t.Context()); keyring.CauseOf(err) != keyring.CauseDenied || strings.Contains(err.Error(), "secret") {
		t.Errorf("wrong secret id: %v, want denied", err)
	}
	run(t, l)
	s.noLogin.Store(false)
	eventually(t, "a login", func() bool { return l.Err() == nil })
	mu.Lock()
	defer mu.Unlock()
	if len(states) != 1 || states[0] != nil {
		t.Errorf("states heard: %v, want one nil", states)
	}
}

// TestDeniedCallsDoNotFloodLogins: where a policy refuses for good, a new token
// does not help.
func TestDeniedCallsDoNotFloodLogins(t *testing.T) {
	t.Parallel()
	s := &authServer{leaseSeconds: "3600"}
	l, cfg := newLogin(t, s, nil)
	tr := newTransit(t, cfg)
	run(t, l)
	eventually(t, "a login", func() bool { return l.Err() == nil })
	start := time.Now()
	for range 200 {
		if err := tr.Probe(t.Context()); !errors.Is(err, keyring.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if n, most := int64(s.logins.Load()), int64(time.Since(start)/(5*time.Millisecond))+3; n < 2 || n > most {
		t.Errorf("%d logins after 200 refusals, want between 2 and %d", n, most)
	}
}

func TestMissingSecretIsAnError(t *testing.T) {
	t.Parallel()
	missing := errors.New("no file")
	l, err := transit.NewLogin(transit.LoginConfig{Client: fake(t, answers(200, `{}`)), RoleID: "r",
		SecretID: func() (string, error) { return "", missing }})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Now(t.Context()); !errors.Is(err, missing) {
		t.Errorf("Now = %v, want the cause", err)
	}
	l, err = transit.NewLogin(transit.LoginConfig{Client: fake(t, answers(200, `{}`)), RoleID: "r", SecretID: transit.StaticSecret("s")})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Now(t.Context()); keyring.CauseOf(err) != keyring.CauseRejected {
		t.Errorf("answer without a token: %v, want rejected", err)
	}
}
