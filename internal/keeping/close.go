package keeping

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// Closer is what closing an epoch asks of the door; *custody.Door has it.
type Closer interface {
	Closing(ctx context.Context, version int) (*custody.Closing, error)
	FinishClosing(ctx context.Context, c *custody.Closing, said custody.Declared) (custody.AuditRef, error)
	MarkIrrecoverable(context.Context, custody.Epoch) (int, error)
}

// Trimmer changes the record key in Vault, with a custodian's one-use token and
// not with the service's.
type Trimmer interface {
	// SetMinimum sets the oldest versions that decrypt and encrypt; 0 for
	// encryption means the newest only. It can be taken back.
	SetMinimum(ctx context.Context, decryption, encryption int) error
	// Trim gives up every version below this one for ever.
	Trim(ctx context.Context, version int) error
}

// CloseConfig of Close.
type CloseConfig struct {
	Door     Closer
	Vault    Trimmer
	Version  int // the oldest one that stays
	Declared custody.Declared
	// Settle is how old the version must be, so that no key that was wrapped
	// under the one before is still on its way into the database; 0 means 1 min,
	// which is longer than any transaction and any request may take.
	Settle time.Duration
	// At is called at each named point, for tests that end the closing there.
	At func(point string) error
}

// Points at which a test may end a closing.
const (
	PointChecked  = "checked"  // nothing was changed
	PointMinimum  = "minimum"  // older versions do not open any more; can be taken back
	PointTrimmed  = "trimmed"  // older versions are gone; no entry says so
	PointRecorded = "recorded" // the entry is written
)

// settleFor is the default of CloseConfig.Settle.
const settleFor = time.Minute

// ErrNotGone says that Vault did not do what it confirmed.
var ErrNotGone = errors.New("vault still has the versions that were given up")

// Close gives up every version of the record key below one, after all that
// custody asks for: two custodians, the delay, no older key. It checks again
// between the step that can be taken back and the one that cannot. Whatever ends
// it, running it again ends in the same state; a step that Vault has done needs
// no token any more.
func Close(ctx context.Context, cfg CloseConfig) (*custody.Closing, error) {
	if cfg.At == nil {
		cfg.At = func(string) error { return nil }
	}
	if cfg.Settle <= 0 {
		cfg.Settle = settleFor
	}
	c, err := cfg.Door.Closing(ctx, cfg.Version)
	if err != nil {
		return c, err
	}
	if c.Done {
		return c, cfg.mark(ctx, c)
	}
	if err := cfg.settle(ctx, c); err != nil {
		return c, err
	}
	if err := cfg.At(PointChecked); err != nil {
		return c, err
	}
	if c, err = cfg.minimum(ctx, c); err != nil {
		return c, err
	}
	if c.Info.MinAvailableVersion < cfg.Version {
		if err := cfg.Vault.Trim(ctx, cfg.Version); err != nil {
			return c, err
		}
	}
	if err := cfg.At(PointTrimmed); err != nil {
		return c, err
	}
	if _, err = cfg.Door.FinishClosing(ctx, c, cfg.Declared); err != nil {
		return c, err
	}
	if err := cfg.At(PointRecorded); err != nil {
		return c, err
	}
	return c, cfg.mark(ctx, c)
}

// mark writes the second stage of every erasure that the closing completes. It
// may be run again.
func (cfg *CloseConfig) mark(ctx context.Context, c *custody.Closing) (err error) {
	c.Irrecoverable, err = cfg.Door.MarkIrrecoverable(ctx, c.Epoch())
	return err
}

// settle waits until the version is old enough.
func (cfg *CloseConfig) settle(ctx context.Context, c *custody.Closing) error {
	made, ok := c.Info.Created[cfg.Version]
	if !ok {
		return fmt.Errorf("closing the epoch of %s: Vault does not say when version %d was made", c.Key, cfg.Version)
	}
	return pause(ctx, time.Until(made.Add(cfg.Settle)))
}

// minimum raises the minimum versions and looks again. A key that is older after
// all would be lost by the next step: then the minimum is taken back.
func (cfg *CloseConfig) minimum(ctx context.Context, c *custody.Closing) (*custody.Closing, error) {
	was := c.Info
	if was.MinDecryptionVersion < cfg.Version || was.MinEncryptionVersion < cfg.Version {
		if err := cfg.Vault.SetMinimum(ctx, max(cfg.Version, was.MinDecryptionVersion), max(cfg.Version, was.MinEncryptionVersion)); err != nil {
			return c, err
		}
	}
	if err := cfg.At(PointMinimum); err != nil {
		return c, err
	}
	again, err := cfg.Door.Closing(ctx, cfg.Version)
	if err == nil && again.Info.MinDecryptionVersion < cfg.Version {
		err = fmt.Errorf("%w: the minimum version of %s is %d", ErrNotGone, c.Key, again.Info.MinDecryptionVersion)
	}
	if err != nil {
		if was.MinAvailableVersion < cfg.Version && was.MinDecryptionVersion < cfg.Version {
			err = errors.Join(err, cfg.Vault.SetMinimum(ctx, was.MinDecryptionVersion, was.MinEncryptionVersion))
		}
		return c, err
	}
	return again, nil
}
