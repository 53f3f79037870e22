package keeping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// Findings about Vault's audit device.
const (
	deviceMissing  = "device_missing"  // disabled, or under another name
	deviceReplaced = "device_replaced" // disabled and made anew: there is a gap
	fileMissing    = "file_missing"
	fileSilent     = "file_silent" // keys are used and nothing is written
)

// lookAtDevice looks whether Vault still writes down what keys are used for.
func (w *Watch) lookAtDevice(ctx context.Context) error {
	if w.cfg.Device == "" {
		return nil
	}
	name := "audit." + w.cfg.Device
	fingerprint, err := w.cfg.Door.AuditDevice(ctx, w.cfg.Device)
	if errors.Is(err, custody.ErrUnseen) {
		if !w.blind[name] {
			w.blind[name] = true
			w.cfg.Logger.WarnContext(ctx, "audit device not watched: the service's policy in vault is older than this program", slog.String("vault_key", name))
		}
		return nil
	}
	gone := errors.Is(err, custody.ErrNoAuditDevice)
	if err != nil && !gone {
		return fmt.Errorf("looking at the audit device: %w", err)
	}
	said, err := w.cfg.Door.KeyMemory(ctx, name)
	if err != nil {
		return err
	}
	if !gone && said.Digest == "" {
		if _, err := w.cfg.Door.NoteKey(ctx, name, "key.config_changed", audit.Facts{"what": custody.FindingFirstSeen, "digest": fingerprint}); err != nil {
			return err
		}
		said.Digest = fingerprint
	}
	checks := []check{{what: deviceMissing, bad: gone}, {what: deviceReplaced, keep: true}}
	if !gone && fingerprint != said.Digest {
		// told and value differ so that each replacement is told of.
		checks[1] = check{what: deviceReplaced, bad: true, digest: fingerprint, told: -1}
	}
	return w.settle(ctx, name, said, append(checks, w.lookAtFile()...))
}

// fileSize is how large the audit file was at the last look.
type fileSize struct {
	known bool
	size  int64
}

// lookAtFile looks whether the audit file grew since the last look, at which
// this watch itself made calls that Vault has to write down. A smaller one was
// rotated.
func (w *Watch) lookAtFile() []check {
	if w.cfg.AuditFile == "" {
		return nil
	}
	info, err := os.Stat(w.cfg.AuditFile)
	if err != nil {
		w.file = fileSize{}
		return []check{{what: fileMissing, bad: true}, {what: fileSilent, keep: true}}
	}
	silent := check{what: fileSilent, keep: !w.file.known, bad: info.Size() == w.file.size}
	w.file = fileSize{true, info.Size()}
	return []check{{what: fileMissing}, silent}
}
