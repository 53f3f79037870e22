package custody_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// While the log names another policy as the active one nothing is decided: the
// entry would name a policy that was not in force.
func TestNothingIsDecidedUnderAPolicyThatTheLogDoesNotName(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	activate := func(digest string) {
		t.Helper()
		alias, err := h.log.Alias(t.Context(), "service")
		must(t, err)
		_, err = h.log.Append(t.Context(), audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: "bundle.activated",
			Actor: audit.Actor{ID: alias, Auth: "service"}, Subject: "charter:bundle", Facts: audit.Facts{"sequence": 7, "digest": digest}})
		must(t, err)
	}
	read := func() error {
		_, err := h.Read(t.Context(), h.as("aud"), custody.ReadRequest{ID: created.ID, Purpose: "audit"})
		return err
	}
	must(t, read()) // a log that names none is being founded
	activate(strings.Repeat("ab", 32))
	if err := read(); !errors.Is(err, custody.ErrUnrecorded) {
		t.Errorf("decided under a policy that is not in force: %v", err)
	}
	digest, _ := h.config.Policy.Bundle()
	activate(digest)
	must(t, read())
}
