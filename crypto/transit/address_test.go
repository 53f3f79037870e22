package transit_test

import (
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/transit"
)

// Unwrapped data keys come back in the answers: without TLS they stay on this
// machine.
func TestKeysNeverTravelInClear(t *testing.T) {
	t.Parallel()
	for address, taken := range map[string]bool{
		"https://vault:8200": true, "https://10.0.0.5:8200": true, "http://127.0.0.1:8200": true, "http://[::1]:8200": true,
		"http://localhost:8200": true, "unix:///run/vault.sock": true,
		"http://vault:8200": false, "http://10.0.0.5:8200": false, "HTTP://vault:8200": false, "http://127.0.0.1.example.org": false,
		"http://localhost.example.org:8200": false, "http://user:CANARY@vault:8200": false, "vault:8200": false, "ftp://vault": false,
	} {
		_, err := transit.NewClient(transit.ClientConfig{Address: address})
		if (err == nil) != taken {
			t.Errorf("%s: %v, want taken %v", address, err, taken)
		}
		if err != nil && strings.Contains(err.Error(), "CANARY") {
			t.Errorf("the error repeats the address: %v", err)
		}
	}
}
