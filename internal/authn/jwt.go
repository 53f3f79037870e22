package authn

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// maxToken bounds a bearer token, in bytes; real ones have 500 to 2,000.
	maxToken = 8 << 10
	// cacheFor is how long a verified token is believed without a new signature
	// check: a key that the issuer withdraws stops working within it.
	cacheFor = 60 * time.Second
)

// Config describes the one issuer that is believed.
type Config struct {
	JWKSURL  string // where the issuer's keys are; or
	JWKSFile string // a file with them, read again when a key id is unknown
	Issuer   string // required "iss"
	Audience string // required member of "aud"
	// Leeway forgives clocks that differ, for exp and nbf. Default 30 s.
	Leeway time.Duration
	// MinRefresh is the least time between two reads of the keys. Default 10 s.
	MinRefresh time.Duration
	// MaxAge makes keys be read again even if all ids are known. Default 10 min.
	MaxAge time.Duration
	// Client reads JWKSURL. Default: no proxy surprises, 1.5 s.
	Client *http.Client
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// JWT verifies bearer JWTs: EdDSA, ES256 or RS256 by a key of the issuer's
// JWKS; never "none", never a symmetric algorithm. Construct it with New.
type JWT struct {
	cfg   Config
	keys  *keySet
	cache tokenCache
}

var _ Verifier = (*JWT)(nil)

// New returns a verifier. It reads a key file at once, so that a wrong path is
// a start-up error; a URL is read with the first token, so that the service
// starts while the issuer is away.
func New(ctx context.Context, cfg Config) (*JWT, error) {
	if cfg.Issuer == "" || cfg.Audience == "" || (cfg.JWKSURL == "") == (cfg.JWKSFile == "") {
		return nil, errors.New("configuring authn: issuer, audience and exactly one of JWKS URL and file are required")
	}
	cfg = withDefaults(cfg)
	v := &JWT{cfg: cfg, keys: &keySet{now: cfg.Now, minRefresh: cfg.MinRefresh, maxAge: cfg.MaxAge}}
	if cfg.JWKSURL != "" {
		v.keys.source = fromURL(cfg.Client, cfg.JWKSURL)
		return v, nil
	}
	v.keys.source = fromFile(cfg.JWKSFile)
	if err := v.keys.refresh(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Leeway == 0 {
		cfg.Leeway = 30 * time.Second
	}
	if cfg.MinRefresh == 0 {
		cfg.MinRefresh = 10 * time.Second
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 10 * time.Minute
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: fetchWithin}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return cfg
}

// claims are those we read; others are ignored.
type claims struct {
	Issuer      string       `json:"iss"`
	Subject     string       `json:"sub"`
	Audience    jwt.Audience `json:"aud"`
	Expiry      *int64       `json:"exp"`
	NotBefore   *int64       `json:"nbf"`
	Institution string       `json:"institution"`
	Kind        string       `json:"kind"`
	Roles       []string     `json:"roles"`
	Complaint   string       `json:"complaint"`
	Act         struct {
		Subject string `json:"sub"`
	} `json:"act"`
}

// Verify implements Verifier.
func (v *JWT) Verify(ctx context.Context, bearer string) (Identity, error) {
	if bearer == "" {
		return Identity{}, refused(CauseMissing)
	}
	if len(bearer) > maxToken {
		return Identity{}, refused(CauseMalformed)
	}
	digest := sha256.Sum256([]byte(bearer))
	now := v.cfg.Now()
	// Loaded before the check: keys replaced meanwhile must not vouch for it.
	generation := v.keys.generation.Load()
	if id, ok := v.cache.get(digest, now, generation); ok {
		return id, nil
	}
	payload, err := v.signed(ctx, bearer)
	if err != nil {
		return Identity{}, err
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Identity{}, refused(CauseMalformed)
	}
	if cause := v.check(&c, now); cause != "" {
		return Identity{}, refused(cause)
	}
	id := Identity{
		Institution: c.Institution, Person: c.Subject, Kind: c.Kind, Roles: c.Roles,
		Auth: "jwt:" + c.Issuer, OnBehalf: c.Act.Subject, Complaint: c.Complaint,
	}
	until := min(time.Unix(*c.Expiry, 0).Add(v.cfg.Leeway).UnixNano(), now.Add(cacheFor).UnixNano())
	v.cache.put(digest, cached{id: id, until: until, generation: generation})
	return id, nil
}

// signed checks the signature and returns the payload.
func (v *JWT) signed(ctx context.Context, bearer string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(bearer, algorithms())
	if err != nil {
		var algorithm *jose.ErrUnexpectedSignatureAlgorithm
		if errors.As(err, &algorithm) {
			return nil, refused(CauseAlgorithm)
		}
		return nil, refused(CauseMalformed)
	}
	header := jws.Signatures[0].Protected
	keys, err := v.keys.find(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, refused(CauseKey)
	}
	cause := CauseAlgorithm
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		payload, err := jws.Verify(key.Key)
		if err == nil {
			return payload, nil
		}
		cause = CauseSignature
	}
	return nil, refused(cause)
}

// algorithms are the asymmetric ones. Adding a symmetric one would let anybody
// who knows the public key sign (RFC 8725, 2.1).
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.RS256}
}

// No identity provider speaks for the service itself: the name that it has in
// its log, and the role of its own upkeep, are in no token.
const (
	servicePerson = "service"
	keeperRole    = "keeper"
)

// check returns why the claims are not acceptable; empty if they are.
func (v *JWT) check(c *claims, now time.Time) Cause {
	leeway := v.cfg.Leeway
	switch {
	case c.Expiry == nil: // a token that never ends is a password
		return CauseClaims
	case now.After(time.Unix(*c.Expiry, 0).Add(leeway)):
		return CauseExpired
	case c.NotBefore != nil && now.Before(time.Unix(*c.NotBefore, 0).Add(-leeway)):
		return CauseNotYet
	case c.Issuer != v.cfg.Issuer:
		return CauseIssuer
	case !c.Audience.Contains(v.cfg.Audience):
		return CauseAudience
	case c.Subject == "" || c.Institution == "" || len(c.Roles) == 0:
		return CauseClaims
	case c.Subject == servicePerson || slices.Contains(c.Roles, keeperRole):
		return CauseClaims
	}
	switch c.Kind {
	case KindHuman, KindApplication:
		if c.Complaint != "" {
			return CauseClaims
		}
	case KindPortal:
		if c.Complaint == "" || c.Act.Subject != "" {
			return CauseClaims
		}
	default:
		return CauseClaims
	}
	return ""
}
