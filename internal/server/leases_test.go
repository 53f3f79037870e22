package server_test

import (
	"context"
	"crypto/fips140"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// bodies returns the entries of a kind.
func (s *site) bodies(kind string) []string {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.db.Admin)
	must(s.t, err)
	defer conn.Close(context.WithoutCancel(s.t.Context()))
	rows, err := conn.Query(s.t.Context(), `select convert_from(body, 'UTF8') from audit.entry where convert_from(body, 'UTF8') like '%"kind":"' || $1 || '"%' order by id`, kind)
	must(s.t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(s.t, err)
	return list
}

// TestSealedVaultIsAnEntryOfTheKeysItTook: how many keys were withdrawn, and
// why; and the start says how keys are kept.
func TestSealedVaultIsAnEntryOfTheKeysItTook(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Private(t)
	s := newSiteOn(t, vault)
	logs, stop := s.run()
	for _, record := range []string{"a", "b", "c"} {
		l, _, err := s.srv.Keys().Mint(t.Context(), keyring.RecordID{Institution: s.cfg.Institution, Record: record, Generation: 1}, "e")
		must(t, err)
		l.Release()
	}
	// The service makes itself an intake key and holds it for a moment.
	s.await("the intake key", func() bool { return s.count("intake.key_made") > 0 })
	live := s.srv.Keys().Stats().Live
	must(t, vault.Server.Seal(t.Context()))
	s.await("key.leases_voided", func() bool { return s.count("key.leases_voided") > 0 })
	if live := s.srv.Keys().Stats().Live; live != 0 {
		t.Errorf("%d keys are live", live)
	}
	must(t, vault.Server.Unseal(t.Context()))
	s.await("healing", func() bool {
		l, _, err := s.srv.Keys().Mint(t.Context(), keyring.RecordID{Institution: s.cfg.Institution, Record: "d", Generation: 1}, "e")
		l.Release()
		return err == nil
	})
	stop()
	entries := s.bodies("key.leases_voided")
	if len(entries) != 1 || !strings.Contains(entries[0], `"why":"sealed"`) || live < 3 || !strings.Contains(entries[0], fmt.Sprintf(`"keys":"%d"`, live)) && !strings.Contains(entries[0], fmt.Sprintf(`"keys":%d`, live)) {
		t.Errorf("entries %q, want one of %d keys taken by a sealed Vault", entries, live)
	}
	if !strings.Contains(logs.String(), "key leases voided") {
		t.Error("the service's log does not say so")
	}
	mode := "off"
	if fips140.Enabled() {
		mode = "on"
	}
	if fips140.Enforced() {
		mode = "only"
	}
	started := s.bodies("service.started")
	if len(started) != 1 || !strings.Contains(started[0], `"fips_mode":"`+mode+`"`) || !strings.Contains(started[0], `"memory_locked":`) {
		t.Errorf("start: %q", started)
	}
}
