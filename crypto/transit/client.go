package transit

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"
)

// ClientConfig says where Vault is. Zero fields mean the documented defaults.
type ClientConfig struct {
	// Address, for example "https://127.0.0.1:8200". Required.
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
