package transit_test

import (
	"errors"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

func TestAuditDeviceThatIsGoneOrAnotherIsSeenWithoutTheRightToListDevices(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Private(t)
	service := vault.Service("bank")
	tr, err := transit.New(transit.Config{Client: service, Institution: "bank"})
	if err != nil {
		t.Fatal(err)
	}
	first, err := tr.AuditDevice(t.Context(), "file")
	if err != nil || len(first) != 16 {
		t.Fatalf("got %q, %v", first, err)
	}
	again, err := tr.AuditDevice(t.Context(), "file")
	if err != nil || again != first {
		t.Errorf("a second look: %q, %v, want %q", again, err, first)
	}
	// The service may not ask for the hash of anything else: it could look up
	// values in the audit file with it.
	if _, err := service.Logical().WriteWithContext(t.Context(), "sys/audit-hash/file", map[string]any{"input": "13800138000"}); err == nil {
		t.Error("the service got the hash of a text of its choice")
	}
	root := vault.Client(vault.RootToken)
	if err := root.Sys().DisableAuditWithContext(t.Context(), "file"); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.AuditDevice(t.Context(), "file"); !errors.Is(err, transit.ErrNoAuditDevice) {
		t.Errorf("after it was disabled: %v, want ErrNoAuditDevice", err)
	}
	err = root.Sys().EnableAuditWithOptionsWithContext(t.Context(), "file", &api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": vault.AuditLog}})
	if err != nil {
		t.Fatal(err)
	}
	if other, err := tr.AuditDevice(t.Context(), "file"); err != nil || other == first {
		t.Errorf("after it was made anew: %q, %v, want another fingerprint than %q", other, err, first)
	}
}
