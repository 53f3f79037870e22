package keeping

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/internal/custody"
)

// Watched is what a watch asks of the door; *custody.Door has it.
type Watched interface {
	MasterKeys(context.Context) ([]custody.KeyUse, error)
	KeyInfo(ctx context.Context, use string) (custody.KeyInfo, error)
	AuditDevice(ctx context.Context, name string) (fingerprint string, err error)
	KeyMemory(ctx context.Context, key string) (*custody.KeyMemory, error)
	NoteKey(ctx context.Context, key, kind string, facts audit.Facts) (custody.AuditRef, error)
	KeysOlder(ctx context.Context, version int) (int64, error)
}

// WatchConfig of a Watch. Zero fields but Door and Institution mean the
// documented defaults.
type WatchConfig struct {
	Door        Watched
	Institution string
	// Every is the pause between two looks; 0 means 12 s, so that what is
	// believed at the second look is told within 60 s (crypto.md).
	Every time.Duration
	// Device is the name of Vault's audit device; empty: not watched.
	Device string
	// AuditFile is the path of the file that the device writes. It is looked at,
	// never read: it must grow while keys are used. Empty: not watched.
	AuditFile string
	Logger    *slog.Logger // default slog.Default
	Now       func() time.Time
}

// lookEvery is the default of WatchConfig.Every.
const lookEvery = 12 * time.Second

// Watch compares how Vault's keys and audit device are configured with what the
// log last said of them. Every change is one entry, one line, and a finding until
// it is taken back. Build it with NewWatch, run it once with Run.
type Watch struct {
	cfg WatchConfig

	mu       sync.Mutex
	findings map[string][]string // by key
	looked   time.Time           // when everything could be seen last

	ahead map[string]int // versions seen once that no entry names yet
	blind map[string]bool
	file  fileSize
}

// NewWatch returns a Watch. It looks at nothing yet.
func NewWatch(cfg WatchConfig) *Watch {
	if cfg.Every <= 0 {
		cfg.Every = lookEvery
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Watch{cfg: cfg, findings: map[string][]string{}, ahead: map[string]int{}, blind: map[string]bool{}}
}

// Run looks again and again until ctx ends, then returns nil.
func (w *Watch) Run(ctx context.Context) error {
	for {
		if err := w.Look(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "keys not looked at", slog.String("cause", err.Error()))
		}
		if pause(ctx, w.cfg.Every) != nil {
			return nil
		}
	}
}

// Findings returns what is wrong now, by key; a key without any is not in it.
func (w *Watch) Findings() map[string][]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := maps.Clone(w.findings)
	maps.DeleteFunc(out, func(_ string, list []string) bool { return len(list) == 0 })
	return out
}

// Looked is when a look last saw every key; zero before the first one.
func (w *Watch) Looked() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looked
}

// Look takes one look at everything. What one key hides does not keep the others
// from being seen.
func (w *Watch) Look(ctx context.Context) error {
	uses, err := w.cfg.Door.MasterKeys(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, use := range uses {
		if err := w.lookAtKey(ctx, use.Use); err != nil {
			errs = append(errs, fmt.Errorf("looking at key %s: %w", use.Use, err))
		}
	}
	if err := errors.Join(append(errs, w.lookAtDevice(ctx))...); err != nil {
		return err
	}
	w.mu.Lock()
	w.looked = w.cfg.Now()
	w.mu.Unlock()
	return nil
}

func (w *Watch) lookAtKey(ctx context.Context, use string) error {
	name := w.cfg.Institution + "-" + use
	info, err := w.cfg.Door.KeyInfo(ctx, use)
	gone := errors.Is(err, custody.ErrNoMasterKey)
	if err != nil && !gone {
		return err
	}
	said, err := w.cfg.Door.KeyMemory(ctx, name)
	if err != nil {
		return err
	}
	if gone {
		return w.settle(ctx, name, said, []check{{what: "missing", bad: true}})
	}
	if said.Version == 0 {
		if err := w.first(ctx, name, said, info); err != nil {
			return err
		}
	}
	checks := append(shape(use, info), check{what: "missing"})
	checks = append(checks, w.version(name, said, info))
	limits, err := w.limits(ctx, said, info)
	if err != nil {
		return err
	}
	return w.settle(ctx, name, said, append(checks, limits...))
}

// first makes what is seen of a key for the first time what it is compared with.
func (w *Watch) first(ctx context.Context, name string, said *custody.KeyMemory, info custody.KeyInfo) error {
	_, err := w.cfg.Door.NoteKey(ctx, name, "key.config_changed", audit.Facts{"what": custody.FindingFirstSeen, "version": info.LatestVersion})
	said.Version = info.LatestVersion
	return err
}

// check is one thing that was looked at.
type check struct {
	what string
	bad  bool
	// A value that an entry names: told is what the newest one said.
	value, told int
	digest      string
	// keep: whatever was said of it stays; not decidable now.
	keep bool
}

// types are what the keys are made as (internal/vaultserver). A key of another
// type was put in the place of ours.
func typeOf(use string) string {
	switch use {
	case "record":
		return "aes256-gcm96"
	case "log":
		return "ed25519"
	}
	return "hmac"
}

// shape is what never changes about a key that nobody touched.
func shape(use string, info custody.KeyInfo) []check {
	return []check{
		{what: "exportable", bad: info.Exportable},
		{what: "allow_plaintext_backup", bad: info.AllowPlaintextBackup},
		{what: "deletion_allowed", bad: info.DeletionAllowed},
		{what: "type", bad: info.Type != typeOf(use) || info.Derived != (use == "record")},
	}
}

// version compares the newest version with what the log named. A rotation is in
// Vault a moment before it is in the log: what is ahead is believed at the
// second look.
func (w *Watch) version(name string, said *custody.KeyMemory, info custody.KeyInfo) check {
	c := check{what: custody.FindingVersion, value: info.LatestVersion, told: said.Version}
	switch {
	case info.LatestVersion == said.Version:
		c.keep = true // an alarm about a version stays until somebody accepts it
	case w.ahead[name] == info.LatestVersion:
		c.bad = true
	default:
		w.ahead[name] = info.LatestVersion
		c.keep = true
	}
	return c
}

// limits compares the minimum versions with what the closing of an epoch said.
func (w *Watch) limits(ctx context.Context, said *custody.KeyMemory, info custody.KeyInfo) ([]check, error) {
	decryption := w.limit(custody.FindingMinDecryption, said.MinDecryption, info.MinDecryptionVersion, said)
	available := w.limit(custody.FindingMinAvailable, said.MinAvailable, info.MinAvailableVersion, said)
	stranded := check{what: "keys_stranded"}
	if decryption.bad || available.bad || said.Alarms[stranded.what] {
		older, err := w.cfg.Door.KeysOlder(ctx, max(info.MinDecryptionVersion, info.MinAvailableVersion))
		if err != nil {
			return nil, err
		}
		stranded.bad = older > 0 && info.Name == w.cfg.Institution+"-record"
	}
	return []check{decryption, available, stranded}, nil
}

// noLimit treats 0 and 1 alike: neither keeps any version from being used.
func noLimit(version int) int { return max(version, 1) }

func (w *Watch) limit(what string, was custody.Minimum, is int, said *custody.KeyMemory) check {
	c := check{what: what, value: is, told: was.Told}
	if noLimit(is) == noLimit(was.Normal) {
		c.told = c.value // normal again, or all along
		return c
	}
	// A closing that two custodians agreed on is under way: its entry follows.
	if e := said.Epochs[is]; e.Confirmed() && !w.cfg.Now().Before(e.NotBefore) {
		c.keep = true
		return c
	}
	c.bad = true
	return c
}

// settle makes entries of what is new, takes back what is over, and keeps the
// rest as findings.
func (w *Watch) settle(ctx context.Context, key string, said *custody.KeyMemory, checks []check) error {
	now := map[string]bool{}
	for what := range said.Alarms {
		now[what] = true
	}
	var errs []error
	for _, c := range checks {
		if c.keep {
			continue
		}
		var err error
		switch known := said.Alarms[c.what]; {
		case c.bad && (!known || c.value != c.told):
			now[c.what] = true
			err = w.alarm(ctx, key, c)
		case !c.bad && known:
			delete(now, c.what)
			err = w.over(ctx, key, c)
		}
		errs = append(errs, err)
	}
	w.mu.Lock()
	w.findings[key] = slices.Sorted(maps.Keys(now))
	w.mu.Unlock()
	return errors.Join(errs...)
}

func (c check) facts() audit.Facts {
	facts := audit.Facts{"what": c.what}
	if c.value != 0 {
		facts["version"] = c.value
	}
	if c.digest != "" {
		facts["digest"] = c.digest
	}
	return facts
}

func (w *Watch) alarm(ctx context.Context, key string, c check) error {
	w.cfg.Logger.ErrorContext(ctx, "key configuration alarm", slog.String("vault_key", key), slog.String("finding", c.what), slog.Int("version", c.value))
	_, err := w.cfg.Door.NoteKey(ctx, key, "key.config_alarm", c.facts())
	return err
}

func (w *Watch) over(ctx context.Context, key string, c check) error {
	w.cfg.Logger.WarnContext(ctx, "key configuration is as it was", slog.String("vault_key", key), slog.String("finding", c.what))
	_, err := w.cfg.Door.NoteKey(ctx, key, "key.config_changed", c.facts())
	return err
}
