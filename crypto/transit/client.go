package transit

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/vault/api"
)

// ClientConfig says where Vault is. Zero fields mean the documented defaults.
type ClientConfig struct {
	// Address, for example "https://vault:8200"; http for loopback addresses only,
	// or unix:// with a socket's path. Required.
	Address string
	// CACert is a PEM file with the CA of Vault's certificate; "" means the
	// system's roots.
	CACert string
	// Namespace of Vault Enterprise or OpenBao; "" means none.
	Namespace string
	// MaxConns is the number of idle connections kept; 0 means 64. The
	// standard library's 2 would make every concurrent batch shake hands anew.
	MaxConns int
}

// clientTimeout bounds a call whose context has no deadline.
const clientTimeout = 10 * time.Second

// NewClient returns a Vault client fit for this package: no retries of its own
// (they would hide a sealed Vault behind seconds of waiting), enough kept
// connections, no environment variables. It makes no call.
func NewClient(c ClientConfig) (*api.Client, error) {
	if c.Address == "" {
		return nil, errors.New("making a vault client: no address")
	}
	if err := checkAddress(c.Address); err != nil {
		return nil, fmt.Errorf("making a vault client: %w", err)
	}
	if c.MaxConns <= 0 {
		c.MaxConns = 64
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // key material goes to Vault, not through a proxy of the environment
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = c.MaxConns, c.MaxConns
	cfg := &api.Config{
		Address:    c.Address,
		HttpClient: &http.Client{Transport: transport},
		Timeout:    clientTimeout,
	}
	if c.CACert != "" {
		if err := cfg.ConfigureTLS(&api.TLSConfig{CACert: c.CACert}); err != nil {
			return nil, fmt.Errorf("reading vault's CA: %w", err)
		}
	}
	client, err := api.NewClient(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a vault client: %w", err)
	}
	client.ClearToken() // whatever VAULT_TOKEN and VAULT_NAMESPACE say
	client.ClearNamespace()
	client.SetMaxRetries(0)
	if c.Namespace != "" {
		client.SetNamespace(c.Namespace)
	}
	return client, nil
}

// checkAddress refuses addresses to which data keys would travel in clear. The
// address is no part of the error: it may hold a password.
func checkAddress(address string) error {
	at, err := url.Parse(address)
	if err != nil {
		return errors.New("the address is no URL")
	}
	ip := net.ParseIP(at.Hostname())
	switch {
	case at.User != nil:
		return errors.New("the address holds a user")
	case at.Scheme == "https" && at.Host != "", at.Scheme == "unix":
		return nil
	case at.Scheme == "http" && (at.Hostname() == "localhost" || ip != nil && ip.IsLoopback()):
		return nil
	case at.Scheme == "http":
		return errors.New("without TLS only loopback addresses are used: data keys travel in the answers")
	}
	return errors.New("the address is no https URL")
}
