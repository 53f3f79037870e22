// Package k8s stands in for go-discover's Kubernetes provider; see the parent.
package k8s

import (
	"log"

	discover "github.com/hashicorp/go-discover"
)

// Provider refuses every look-up.
type Provider struct{}

// Addrs refuses.
func (*Provider) Addrs(map[string]string, *log.Logger) ([]string, error) {
	return nil, discover.ErrNotPartOfThisBuild
}

// Help is empty.
func (*Provider) Help() string { return "" }
