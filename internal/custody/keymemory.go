package custody

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

// KeyMemory is what the log last said of one master key (or of Vault's audit
// device): what a look at Vault is compared with. The tables are not asked,
// since whoever can write SQL could make them agree with what he did in Vault.
type KeyMemory struct {
	// Version is the newest version that an entry named; 0: the key was never
	// looked at.
	Version int
	// MinDecryption and MinAvailable are what was said last, by whatever entry.
	MinDecryption, MinAvailable Minimum
	// Digest is the fingerprint of the audit device.
	Digest string
	// Alarms are the findings that an entry told of and none has taken back.
	Alarms map[string]bool
	// Epochs are the closings, by version.
	Epochs map[int]*EpochMemory
}

// Minimum is a lower limit of versions. Zero means that nothing was said: no
// limit.
type Minimum struct {
	Told   int // by the newest entry, alarms included
	Normal int // by the closing of an epoch, or accepted
}

// EpochMemory is what the log says of the closing of everything below a version.
type EpochMemory struct {
	ProposedBy, ConfirmedBy string // aliases; empty: not yet
	NotBefore               time.Time
	Closed                  bool
	ClosedEntry             uint64
	MinAvailable            int
	// SnapshotsDestroyedBefore is what was declared at closing; zero: nothing.
	SnapshotsDestroyedBefore time.Time
}

// Confirmed says whether two persons acted.
func (e *EpochMemory) Confirmed() bool {
	return e != nil && e.ProposedBy != "" && e.ConfirmedBy != "" && e.ConfirmedBy != e.ProposedBy
}

// Findings that an alarm names; a key's configuration has one value each.
const (
	FindingMinDecryption = "min_decryption_version"
	FindingMinAvailable  = "min_available_version"
	FindingVersion       = "version"
	FindingFirstSeen     = "first_seen"
	FindingDevice        = "device"
)

// keySubject is the trail of a master key in the log. Progress of a rewrap has
// one of its own, so that this trail stays short.
func keySubject(key string) string { return "key:" + key }

// maxKeyTrail bounds the entries of a key's trail that are read. A key has a
// handful a year; beyond this many the oldest are left out, and what they said
// alarms again rather than not at all.
const maxKeyTrail = 5000

// KeyMemory reads what the log says of a key.
func (d *Door) KeyMemory(ctx context.Context, key string) (*KeyMemory, error) {
	entries, err := d.cfg.Log.Trail(ctx, keySubject(key), maxKeyTrail)
	if err != nil {
		return nil, logError(err)
	}
	m := &KeyMemory{Alarms: map[string]bool{}, Epochs: map[int]*EpochMemory{}}
	for _, e := range slices.Backward(entries) {
		b, err := audit.ParseBody(e.Body)
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d of the log", ErrIntegrity, e.ID)
		}
		if b.Stage == audit.StageEvent && (b.Decision == nil || b.Decision.Result == audit.ResultAllow) {
			m.learn(&b, e)
		}
	}
	return m, nil
}

func (m *KeyMemory) learn(b *audit.Body, e pglog.TrailEntry) {
	version, _ := b.Facts.Int("version")
	what, _ := b.Facts.Text("what")
	v := int(version)
	switch b.Kind {
	case "key.rotated":
		m.Version = max(m.Version, v)
		delete(m.Alarms, FindingVersion)
	case "key.config_alarm":
		m.Alarms[what] = true
		m.learnValue(b, what, v)
	case "key.config_changed":
		delete(m.Alarms, what)
		m.learnValue(b, what, v)
		m.MinDecryption.settle(what == FindingMinDecryption)
		m.MinAvailable.settle(what == FindingMinAvailable)
	case "key.epoch_proposed":
		m.Epochs[v] = &EpochMemory{ProposedBy: b.Actor.ID}
	case "key.epoch_withdrawn":
		delete(m.Epochs, v)
	case "key.epoch_confirmed":
		if epoch := m.Epochs[v]; epoch != nil {
			notBefore, _ := b.Facts.Text("not_before")
			epoch.ConfirmedBy, epoch.NotBefore = b.Actor.ID, moment(notBefore)
		}
	case "key.epoch_closed":
		m.closed(b, v, e.ID)
	}
}

func (m *KeyMemory) closed(b *audit.Body, version int, entry uint64) {
	available, _ := b.Facts.Int("min_available")
	decryption, _ := b.Facts.Int("min_decryption")
	destroyed, _ := b.Facts.Text("snapshots_destroyed_before")
	epoch := m.Epochs[version]
	if epoch == nil {
		epoch = &EpochMemory{}
		m.Epochs[version] = epoch
	}
	epoch.Closed, epoch.ClosedEntry, epoch.MinAvailable, epoch.SnapshotsDestroyedBefore = true, entry, int(available), moment(destroyed)
	m.MinAvailable, m.MinDecryption = Minimum{int(available), int(available)}, Minimum{int(decryption), int(decryption)}
	delete(m.Alarms, FindingMinAvailable)
	delete(m.Alarms, FindingMinDecryption)
}

func (m *KeyMemory) learnValue(b *audit.Body, what string, version int) {
	switch what {
	case FindingVersion, FindingFirstSeen:
		m.Version = version
	case FindingMinDecryption:
		m.MinDecryption.Told = version
	case FindingMinAvailable:
		m.MinAvailable.Told = version
	}
	if digest, ok := b.Facts.Text("digest"); ok {
		m.Digest = digest
	}
}

// settle makes what was told last the normal value.
func (m *Minimum) settle(yes bool) {
	if yes {
		m.Normal = m.Told
	}
}

// moment reads a time of the log; zero if there is none.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// NoteKey makes something that the service, or an operator's command, saw or did
// with a key an entry of the key's trail.
func (d *Door) NoteKey(ctx context.Context, key, kind string, facts audit.Facts) (AuditRef, error) {
	b, err := d.keyEvent(ctx, key, kind, facts)
	if err != nil {
		return AuditRef{}, err
	}
	receipt, err := d.record(ctx, b)
	if err != nil {
		return AuditRef{}, err
	}
	return receiptRef(receipt), nil
}

func (d *Door) keyEvent(ctx context.Context, key, kind string, facts audit.Facts) (audit.Body, error) {
	facts["key"] = key
	b, err := d.serviceEvent(ctx, kind, keySubject(key), facts)
	if err != nil {
		return audit.Body{}, err
	}
	return b, complaint.CheckFacts(kind, facts)
}

// AcceptKey takes an alarm back after somebody has looked into it: what was told
// of is what is normal from now on. ErrNotFound if there is no such alarm.
func (d *Door) AcceptKey(ctx context.Context, key, what string) (AuditRef, error) {
	said, err := d.KeyMemory(ctx, key)
	if err != nil {
		return AuditRef{}, err
	}
	if !said.Alarms[what] {
		return AuditRef{}, ErrNotFound
	}
	facts := audit.Facts{"what": what}
	switch what {
	case FindingVersion:
		facts["version"] = said.Version
	case FindingMinDecryption:
		facts["version"] = said.MinDecryption.Told
	case FindingMinAvailable:
		facts["version"] = said.MinAvailable.Told
	}
	return d.NoteKey(ctx, key, "key.config_changed", facts)
}
