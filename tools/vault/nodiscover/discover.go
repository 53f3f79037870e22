// Package discover stands in for HashiCorp's go-discover while the demo's
// Vault is built. Cloud auto-join pulls in about a quarter of Vault's packages
// (every cloud's SDK), and a Vault on loopback never joins anything. The type
// names and signatures are the ones that Vault calls; every call answers
// ErrNotPartOfThisBuild.
package discover

import (
	"errors"
	"log"
)

// ErrNotPartOfThisBuild is returned by every look-up.
var ErrNotPartOfThisBuild = errors.New("cloud auto-join is not part of this build of Vault")

// Provider looks up the addresses of cluster members.
type Provider interface {
	Addrs(args map[string]string, l *log.Logger) ([]string, error)
	Help() string
}

// Providers is empty: no cloud is supported.
var Providers = map[string]Provider{}

// Config is a parsed auto_join setting.
type Config map[string]string

// Parse refuses every auto_join setting.
func Parse(string) (Config, error) { return nil, ErrNotPartOfThisBuild }

// String is empty: Parse never yields a Config.
func (Config) String() string { return "" }

// Discover finds no cluster members.
type Discover struct{}

// Option configures a Discover.
type Option func(*Discover) error

// New returns a Discover that refuses every look-up.
func New(...Option) (*Discover, error) { return &Discover{}, nil }

// WithProviders ignores its providers.
func WithProviders(map[string]Provider) Option { return func(*Discover) error { return nil } }

// Addrs refuses.
func (*Discover) Addrs(string, *log.Logger) ([]string, error) { return nil, ErrNotPartOfThisBuild }
