package authn_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/internal/authn"
)

// noon is the tests' present.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func handler() authn.Persona {
	return authn.Persona{Person: "p-17", Institution: "demo-bank", Kind: authn.KindHuman, Roles: []string{"handler"}, OnBehalf: "app-1"}
}

func issuer(t *testing.T) *authn.DevIssuer {
	t.Helper()
	d, err := authn.NewDevIssuer(authn.DevConfig{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fileVerifier(t *testing.T, jwks []byte, now func() time.Time) *authn.JWT {
	t.Helper()
	name := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(name, jwks, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := authn.New(t.Context(), authn.Config{JWKSFile: name, Issuer: "https://dev-issuer.localhost", Audience: "sealtrail", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func at(moment time.Time) func() time.Time { return func() time.Time { return moment } }

func mint(t *testing.T, d *authn.DevIssuer, p authn.Persona) string {
	t.Helper()
	token, err := d.Mint(p, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func cause(err error) authn.Cause {
	var refused *authn.RefusedError
	if errors.As(err, &refused) && errors.Is(err, authn.ErrUnauthenticated) {
		return refused.Cause
	}
	return authn.Cause(fmt.Sprint("not a refusal: ", err))
}

func TestTokenBecomesIdentity(t *testing.T) {
	t.Parallel()
	d := issuer(t)
	v := fileVerifier(t, d.JWKS(), at(noon))
	want := authn.Identity{Institution: "demo-bank", Person: "p-17", Kind: "human", Roles: []string{"handler"},
		Auth: "jwt:https://dev-issuer.localhost", OnBehalf: "app-1"}
	token := mint(t, d, handler())
	for range 2 { // the second answer comes from the cache
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
	}
}

func TestClaimsAreRequired(t *testing.T) {
	t.Parallel()
	d := issuer(t)
	v := fileVerifier(t, d.JWKS(), at(noon))
	for name, alter := range map[string]func(*authn.Persona){
		"no person":              func(p *authn.Persona) { p.Person = "" },
		"no institution":         func(p *authn.Persona) { p.Institution = "" },
		"no roles":               func(p *authn.Persona) { p.Roles = nil },
		"the service itself":     func(p *authn.Persona) { p.Person = "service" },
		"the service's own role": func(p *authn.Persona) { p.Roles = []string{"handler", "keeper"} },
		"the service's kind":     func(p *authn.Persona) { p.Kind = "service" },
		"unknown kind":           func(p *authn.Persona) { p.Kind = "robot" },
		"human with a complaint": func(p *authn.Persona) { p.Complaint = "c" },
		"portal without one":     func(p *authn.Persona) { p.Kind, p.OnBehalf = authn.KindPortal, "" },
		"portal on behalf":       func(p *authn.Persona) { p.Kind, p.Complaint = authn.KindPortal, "c" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := handler()
			alter(&p)
			if _, err := v.Verify(t.Context(), mint(t, d, p)); cause(err) != authn.CauseClaims {
				t.Errorf("cause = %s, want %s", cause(err), authn.CauseClaims)
			}
		})
	}
}

func TestTimesAndParties(t *testing.T) {
	t.Parallel()
	d := issuer(t)
	token := mint(t, d, handler())
	for _, tc := range []struct {
		name string
		now  time.Time
		want authn.Cause
	}{
		{"expired, even if cached before", noon.Add(time.Hour + 31*time.Second), authn.CauseExpired},
		{"not yet valid", noon.Add(-31 * time.Second), authn.CauseNotYet},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			clock := atomic.Pointer[time.Time]{}
			clock.Store(&noon)
			v := fileVerifier(t, d.JWKS(), func() time.Time { return *clock.Load() })
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			clock.Store(&tc.now)
			v2 := fileVerifier(t, d.JWKS(), at(tc.now))
			if _, err := v2.Verify(t.Context(), token); cause(err) != tc.want {
				t.Errorf("fresh verifier: cause = %s, want %s", cause(err), tc.want)
			}
			if _, err := v.Verify(t.Context(), token); tc.want == authn.CauseExpired && cause(err) != tc.want {
				t.Errorf("warm verifier: cause = %s, want %s", cause(err), tc.want)
			}
		})
	}
	for name, want := range map[string]authn.Cause{"issuer": authn.CauseIssuer, "audience": authn.CauseAudience} {
		cfg := authn.DevConfig{Seed: make([]byte, 32), Now: at(noon)}
		if name == "issuer" {
			cfg.Issuer = "https://elsewhere.example"
		} else {
			cfg.Audience = "another-service"
		}
		other, err := authn.NewDevIssuer(cfg)
		if err != nil {
			t.Fatal(err)
		}
		v := fileVerifier(t, other.JWKS(), at(noon))
		if _, err := v.Verify(t.Context(), mint(t, other, handler())); cause(err) != want {
			t.Errorf("wrong %s: cause = %s, want %s", name, cause(err), want)
		}
	}
}

// segments makes a compact JWS by hand, so that it can be as wrong as needed.
func segments(header, payload any, sign func(input []byte) []byte) string {
	h, _ := json.Marshal(header)
	p, _ := json.Marshal(payload)
	input := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(p)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

func goodClaims() map[string]any {
	return map[string]any{"iss": "https://dev-issuer.localhost", "aud": "sealtrail", "sub": "p-17", "institution": "demo-bank",
		"kind": "human", "roles": []string{"auditor"}, "exp": noon.Add(time.Hour).Unix()}
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	d := issuer(t)
	v := fileVerifier(t, d.JWKS(), at(noon))
	good := mint(t, d, handler())
	kid := keyID(t, good)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(d.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	public := []byte(set.Keys[0].Key.(ed25519.PublicKey))
	hs := func(key []byte) func([]byte) []byte {
		return func(in []byte) []byte { m := hmac.New(sha256.New, key); m.Write(in); return m.Sum(nil) }
	}
	_, thief, _ := ed25519.GenerateKey(rand.Reader)
	stolen := func(in []byte) []byte { return ed25519.Sign(thief, in) }
	for name, tc := range map[string]struct {
		token string
		want  authn.Cause
	}{
		"empty":                      {"", authn.CauseMissing},
		"not a token":                {"CANARY-not-a-token", authn.CauseMalformed},
		"too long":                   {strings.Repeat("a", 9000), authn.CauseMalformed},
		"alg none":                   {segments(map[string]any{"alg": "none", "kid": kid}, goodClaims(), func([]byte) []byte { return nil }), authn.CauseAlgorithm},
		"HS256 with the public key":  {segments(map[string]any{"alg": "HS256", "kid": kid}, goodClaims(), hs(public)), authn.CauseAlgorithm},
		"RS256 said, Ed25519 key":    {segments(map[string]any{"alg": "RS256", "kid": kid}, goodClaims(), stolen), authn.CauseAlgorithm},
		"ES256 said, Ed25519 key":    {segments(map[string]any{"alg": "ES256", "kid": kid}, goodClaims(), stolen), authn.CauseAlgorithm},
		"another key, our key id":    {segments(map[string]any{"alg": "EdDSA", "kid": kid}, goodClaims(), stolen), authn.CauseSignature},
		"another key, its own id":    {segments(map[string]any{"alg": "EdDSA", "kid": "thief"}, goodClaims(), stolen), authn.CauseKey},
		"key carried in the header":  {segments(map[string]any{"alg": "EdDSA", "kid": kid, "jwk": map[string]any{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(thief.Public().(ed25519.PublicKey))}}, goodClaims(), stolen), authn.CauseSignature},
		"payload of another":         {swapPayload(good, goodClaims()), authn.CauseSignature},
		"unknown critical extension": {segments(map[string]any{"alg": "EdDSA", "kid": kid, "crit": []string{"x"}, "x": 1}, goodClaims(), stolen), authn.CauseSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), tc.token)
			if cause(err) != tc.want {
				t.Errorf("cause = %s, want %s", cause(err), tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
}

func TestEveryFlippedByteIsRefused(t *testing.T) {
	t.Parallel()
	d := issuer(t)
	v := fileVerifier(t, d.JWKS(), at(noon))
	good := mint(t, d, handler())
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 1
		if sameBytes(good, string(bad)) {
			continue // unused low bits of a segment's last character: nothing was changed
		}
		if _, err := v.Verify(t.Context(), string(bad)); !errors.Is(err, authn.ErrUnauthenticated) {
			t.Fatalf("byte %d flipped: err = %v, want a refusal", i, err)
		}
	}
}

// sameBytes reports whether both tokens decode to the same three segments.
func sameBytes(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	if len(as) != len(bs) {
		return false
	}
	for i := range as {
		x, _ := base64.RawURLEncoding.DecodeString(as[i])
		y, err := base64.RawURLEncoding.DecodeString(bs[i])
		if err != nil || string(x) != string(y) {
			return false
		}
	}
	return true
}

func keyID(t *testing.T, token string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

func swapPayload(token string, claims any) string {
	parts := strings.Split(token, ".")
	raw, _ := json.Marshal(claims)
	parts[1] = base64.RawURLEncoding.EncodeToString(raw)
	return strings.Join(parts, ".")
}

func TestRSAAndECDSAKeysWork(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{jose.RS256: rsaKey, jose.ES256: ecKey} {
		jwks, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: key.Public(), KeyID: "k", Algorithm: string(alg), Use: "sig"},
			{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "k", Algorithm: "HS256", Use: "sig"}, // must be ignored
		}})
		v := fileVerifier(t, jwks, at(noon))
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(signer).Claims(goodClaims()).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		noEnd := goodClaims()
		delete(noEnd, "exp")
		token, _ = jwt.Signed(signer).Claims(noEnd).Serialize()
		if _, err := v.Verify(t.Context(), token); cause(err) != authn.CauseClaims {
			t.Errorf("%s without exp: cause = %s, want %s", alg, cause(err), authn.CauseClaims)
		}
	}
}

// An unknown key id makes the keys be read again, but not for every token.
func TestKeysAreReadAgainButNotHammered(t *testing.T) {
	t.Parallel()
	first, second := issuer(t), issuer(t)
	var serve atomic.Pointer[[]byte]
	one, two := first.JWKS(), second.JWKS()
	serve.Store(&one)
	var fetches atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		_, _ = w.Write(*serve.Load())
	}))
	t.Cleanup(srv.Close)
	clock := atomic.Int64{}
	clock.Store(noon.UnixNano())
	v, err := authn.New(t.Context(), authn.Config{JWKSURL: srv.URL, Issuer: first.Issuer(), Audience: first.Audience(),
		Now: func() time.Time { return time.Unix(0, clock.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	oldToken, newToken := mint(t, first, handler()), mint(t, second, handler())
	if _, err := v.Verify(t.Context(), oldToken); err != nil {
		t.Fatal(err)
	}
	serve.Store(&two)
	for range 50 {
		if _, err := v.Verify(t.Context(), newToken); cause(err) != authn.CauseKey {
			t.Fatalf("within 10 s: cause = %s, want %s", cause(err), authn.CauseKey)
		}
	}
	if got := fetches.Load(); got != 1 {
		t.Errorf("fetches within 10 s = %d, want 1", got)
	}
	clock.Add(int64(11 * time.Second))
	if _, err := v.Verify(t.Context(), newToken); err != nil {
		t.Errorf("after 11 s the new key is not believed: %v", err)
	}
	if _, err := v.Verify(t.Context(), oldToken); cause(err) != authn.CauseKey {
		t.Errorf("a withdrawn key still opens, even from the cache: %v", err)
	}
}

func TestIssuerAwayIsNotARefusal(t *testing.T) {
	t.Parallel()
	d := issuer(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(srv.Close)
	v, err := authn.New(t.Context(), authn.Config{JWKSURL: srv.URL, Issuer: d.Issuer(), Audience: d.Audience(), Now: at(noon)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), mint(t, d, handler())); !errors.Is(err, authn.ErrKeysUnavailable) || errors.Is(err, authn.ErrUnauthenticated) {
		t.Errorf("err = %v, want ErrKeysUnavailable", err)
	}
}

func TestDevIssuerServesOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	d := issuer(t)
	if err := d.Serve(t.Context(), elsewhere{}); err == nil {
		t.Error("the development issuer served on 192.0.2.1")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve after cancel = %v, want nil", err)
	}
}

type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]authn.Config{
		"nothing":     {},
		"both":        {JWKSURL: "http://127.0.0.1", JWKSFile: "x", Issuer: "i", Audience: "a"},
		"no audience": {JWKSURL: "http://127.0.0.1", Issuer: "i"},
		"no file":     {JWKSFile: "does-not-exist", Issuer: "i", Audience: "a"},
	} {
		if _, err := authn.New(t.Context(), cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzVerify(f *testing.F) {
	d, err := authn.NewDevIssuer(authn.DevConfig{Seed: make([]byte, 32), Now: at(noon)})
	if err != nil {
		f.Fatal(err)
	}
	good, err := d.Mint(handler(), time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	name := filepath.Join(f.TempDir(), "jwks.json")
	if err := os.WriteFile(name, d.JWKS(), 0o600); err != nil {
		f.Fatal(err)
	}
	v, err := authn.New(f.Context(), authn.Config{JWKSFile: name, Issuer: d.Issuer(), Audience: d.Audience(), Now: at(noon)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := v.Verify(t.Context(), token)
		if err == nil && (id.Person != "p-17" || id.Institution != "demo-bank") {
			t.Fatalf("a token that nobody signed was believed: %+v", id)
		}
	})
}

func BenchmarkVerifyWarm(b *testing.B) {
	d, _ := authn.NewDevIssuer(authn.DevConfig{})
	name := filepath.Join(b.TempDir(), "jwks.json")
	if err := os.WriteFile(name, d.JWKS(), 0o600); err != nil {
		b.Fatal(err)
	}
	v, err := authn.New(b.Context(), authn.Config{JWKSFile: name, Issuer: d.Issuer(), Audience: d.Audience()})
	if err != nil {
		b.Fatal(err)
	}
	token, _ := d.Mint(handler(), time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleDevIssuer() {
	d, err := authn.NewDevIssuer(authn.DevConfig{})
	if err != nil {
		panic(err)
	}
	dir, _ := os.MkdirTemp("", "jwks")
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "jwks.json")
	_ = os.WriteFile(file, d.JWKS(), 0o600)

	verifier, err := authn.New(context.Background(), authn.Config{JWKSFile: file, Issuer: d.Issuer(), Audience: d.Audience()})
	if err != nil {
		panic(err)
	}
	token, _ := d.Mint(authn.Persona{Person: "p-17", Institution: "demo-bank", Kind: authn.KindHuman, Roles: []string{"handler"}}, time.Hour)
	id, err := verifier.Verify(context.Background(), token)
	fmt.Println(id.Person, id.Roles, err)
	// Output: p-17 [handler] <nil>
}
