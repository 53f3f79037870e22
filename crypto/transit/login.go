package transit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/crypto/keyring"
)

// LoginConfig says who logs in. Zero fields mean the documented defaults.
type LoginConfig struct {
	// Client that gets the token. Required.
	Client *api.Client
	// RoleID and SecretID of the AppRole. RoleID is required.
	RoleID string
	// SecretID is asked for at every login, so that a new one (a file that an
	// operator replaced) is used without a restart. Required.
	SecretID func() (string, error)
	// Mount is the path of the AppRole method; "" means "approle".
	Mount string
	// Deadline of one login or renewal; 0 means 2 s.
	Deadline time.Duration
	// Retry is the pause after a failed login; 0 means 500 ms, so that the
	// service heals within a second of Vault's return.
	Retry time.Duration
	// OnState, if set, hears of changes: nil when a login worked, else why not.
	// It MUST NOT block.
	OnState func(error)
}

// Login keeps a client logged in by AppRole: it renews the token, and logs in
// again when renewal fails, the token was refused or Vault came back.
type Login struct {
	cfg     LoginConfig
	refused chan struct{}

	mu    sync.Mutex
	ttl   time.Duration
	since time.Time
	err   error
}

// StaticSecret is a SecretID that does not change.
func StaticSecret(id string) func() (string, error) {
	return func() (string, error) { return id, nil }
}

// errNoLogin is the state before the first login.
var errNoLogin = errors.New("not logged in yet")

// NewLogin returns a Login. It makes no call.
func NewLogin(cfg LoginConfig) (*Login, error) {
	if cfg.Client == nil || cfg.RoleID == "" || cfg.SecretID == nil {
		return nil, errors.New("login needs a client, a role id and a secret id")
	}
	if cfg.Mount == "" {
		cfg.Mount = "approle"
	}
	if cfg.Deadline <= 0 {
		cfg.Deadline = 2 * time.Second
	}
	if cfg.Retry <= 0 {
		cfg.Retry = 500 * time.Millisecond
	}
	cfg.Client.SetMaxRetries(0)
	return &Login{cfg: cfg, refused: make(chan struct{}, 1), err: errNoLogin}, nil
}

// Now logs in once. The error wraps keyring.ErrUnavailable.
func (l *Login) Now(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Deadline)
	defer cancel()
	secret, err := l.cfg.SecretID()
	if err != nil {
		return l.state(fmt.Errorf("reading secret id: %w", err), nil)
	}
	body := map[string]string{"role_id": l.cfg.RoleID, "secret_id": secret}
	a, err := do(ctx, l.cfg.Client, call{op: "login", method: http.MethodPut, path: "auth/" + l.cfg.Mount + "/login", body: body})
	if keyring.CauseOf(err) == keyring.CauseRejected {
		// Vault answers 400 to a wrong role or secret id.
		err = &keyring.UnavailableError{Cause: keyring.CauseDenied, Op: "login", Status: http.StatusBadRequest}
	}
	if err == nil && (a.Auth == nil || a.Auth.ClientToken == "") {
		err = &keyring.UnavailableError{Cause: keyring.CauseRejected, Op: "login"}
	}
	if err != nil {
		return l.state(err, nil)
	}
	l.cfg.Client.SetToken(a.Auth.ClientToken)
	return l.state(nil, a.Auth)
}

// renew prolongs the token.
func (l *Login) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Deadline)
	defer cancel()
	a, err := do(ctx, l.cfg.Client, call{op: "login", method: http.MethodPut, path: "auth/token/renew-self"})
	if err != nil || a.Auth == nil {
		return l.state(err, nil)
	}
	return l.state(nil, a.Auth)
}

// state notes the result of a login or renewal.
func (l *Login) state(err error, auth *authAnswer) error {
	l.mu.Lock()
	changed := (err == nil) != (l.err == nil)
	l.err = err
	if auth != nil {
		l.ttl, l.since = time.Duration(auth.LeaseDuration)*time.Second, time.Now()
	}
	l.mu.Unlock()
	if changed && l.cfg.OnState != nil {
		l.cfg.OnState(err)
	}
	return err
}

// Err is the state: nil while logged in. It makes no call.
func (l *Login) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Refused says that Vault refused the token; Run logs in again at once. It
// never blocks.
func (l *Login) Refused() {
	select {
	case l.refused <- struct{}{}:
	default:
	}
}

// Run keeps the login alive until ctx ends, then returns nil. It renews after
// half the token's life. Whatever fails is tried again, for ever.
func (l *Login) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if l.Err() == nil {
			l.keep(ctx)
			continue
		}
		if l.Now(ctx) != nil {
			sleep(ctx, l.cfg.Retry)
		}
	}
	return nil
}

// keep waits until the token is due and renews it, or forgets the login when
// the token was refused. Either result is the new state.
func (l *Login) keep(ctx context.Context) {
	l.mu.Lock()
	ttl, since := l.ttl, l.since
	l.mu.Unlock()
	pause := time.Hour // for tokens without an end
	if ttl > 0 {
		pause = max(time.Until(since.Add(ttl/2)), l.cfg.Retry)
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
		_ = l.renew(ctx)
	case <-l.refused:
		// At most one login per Retry: where a policy refuses for good, a new
		// token does not help and must not become a flood of logins.
		sleep(ctx, l.cfg.Retry-time.Since(since))
		_ = l.state(&keyring.UnavailableError{Cause: keyring.CauseDenied, Op: "login", Status: http.StatusForbidden}, nil)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
