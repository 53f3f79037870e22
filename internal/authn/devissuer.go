package authn

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// DevIssuer makes tokens for anybody it is asked for. It is for the demo and
// for tests: it serves on loopback only, and nothing that real customers'
// complaints pass through may believe it.
type DevIssuer struct {
	cfg    DevConfig
	public jose.JSONWebKey
	signer jose.Signer
}

// DevConfig describes a development issuer.
type DevConfig struct {
	Issuer   string // "iss" of its tokens; default "https://dev-issuer.localhost"
	Audience string // "aud" of its tokens; default "sealtrail"
	// Seed makes the key reproducible, so that two processes of a demo share
	// it: 32 bytes. Nil: a random key.
	Seed []byte
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Persona is somebody to make a token for.
type Persona struct {
	Person, Institution, Kind string
	Roles                     []string
	OnBehalf                  string // "act.sub"
	Complaint                 string // portal only
}

// NewDevIssuer creates the issuer and its key.
func NewDevIssuer(cfg DevConfig) (*DevIssuer, error) {
	if cfg.Issuer == "" {
		cfg.Issuer = "https://dev-issuer.localhost"
	}
	if cfg.Audience == "" {
		cfg.Audience = "sealtrail"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Seed == nil {
		cfg.Seed = make([]byte, ed25519.SeedSize)
		rand.Read(cfg.Seed) // never fails (crypto/rand)
	}
	if len(cfg.Seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("creating the development issuer: the seed has %d bytes, not %d", len(cfg.Seed), ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(cfg.Seed)
	cfg.Seed = nil
	public := jose.JSONWebKey{Key: private.Public(), Algorithm: string(jose.EdDSA), Use: "sig"}
	print, err := public.Thumbprint(crypto.SHA256) // RFC 7638
	if err != nil {
		return nil, fmt.Errorf("creating the development issuer: %w", err)
	}
	public.KeyID = fmt.Sprintf("dev-%x", print[:8])
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", public.KeyID))
	if err != nil {
		return nil, fmt.Errorf("creating the development issuer: %w", err)
	}
	return &DevIssuer{cfg: cfg, public: public, signer: signer}, nil
}

// Issuer returns the "iss" of its tokens.
func (d *DevIssuer) Issuer() string { return d.cfg.Issuer }

// Audience returns the "aud" of its tokens.
func (d *DevIssuer) Audience() string { return d.cfg.Audience }

// JWKS returns its public keys as a JWKS document, for Config.JWKSFile.
func (d *DevIssuer) JWKS() []byte {
	raw, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{d.public}}, "", "  ")
	if err != nil {
		panic("marshalling an Ed25519 public key: " + err.Error()) // cannot happen
	}
	return append(raw, '\n')
}

// Mint returns a token for p that is valid from now for ttl.
func (d *DevIssuer) Mint(p Persona, ttl time.Duration) (string, error) {
	now := d.cfg.Now()
	body := map[string]any{
		"iss": d.cfg.Issuer, "aud": d.cfg.Audience, "sub": p.Person,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(ttl).Unix(),
		"institution": p.Institution, "kind": p.Kind, "roles": p.Roles,
	}
	if p.OnBehalf != "" {
		body["act"] = map[string]string{"sub": p.OnBehalf}
	}
	if p.Complaint != "" {
		body["complaint"] = p.Complaint
	}
	token, err := jwt.Signed(d.signer).Claims(body).Serialize()
	if err != nil {
		return "", fmt.Errorf("minting a development token: %w", err)
	}
	return token, nil
}

// Handler serves /jwks.json and the discovery document.
func (d *DevIssuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(d.JWKS())
	})
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": d.cfg.Issuer, "jwks_uri": "http://" + r.Context().Value(http.LocalAddrContextKey).(net.Addr).String() + "/jwks.json",
			"id_token_signing_alg_values_supported": []string{string(jose.EdDSA)},
		})
	})
	return mux
}

// Serve answers on ln until ctx ends. It refuses a listener that is not on
// loopback.
func (d *DevIssuer) Serve(ctx context.Context, ln net.Listener) error {
	if tcp, ok := ln.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return errors.New("serving the development issuer: it serves on loopback only")
	}
	srv := &http.Server{Handler: d.Handler(), ReadHeaderTimeout: 2 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the development issuer: %w", err)
	}
	return nil
}
