package custody

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/store"
)

// Keys is the state of an institution's master keys and of what they wrap.
type Keys struct {
	Keys   []MasterKey `json:"keys"`
	Epochs []*KeyEpoch `json:"epochs"`
	Jobs   []KeyJob    `json:"jobs"`
	Audit  AuditRef    `json:"audit,omitzero"`
}

// MasterKey is one key in Vault.
type MasterKey struct {
	Name          string       `json:"name"`
	Use           string       `json:"use" doc:"record, index, index.<n> or log"`
	Type          string       `json:"type,omitempty"`
	Latest        int          `json:"latest_version,omitempty"`
	MinDecryption int          `json:"min_decryption_version,omitempty"`
	MinAvailable  int          `json:"min_available_version,omitempty" doc:"0: nothing was trimmed"`
	State         string       `json:"state" doc:"of an index: building, current or retired; else current"`
	Unavailable   bool         `json:"unavailable,omitempty" doc:"Vault did not say"`
	Wrapped       []KeyVersion `json:"wrapped,omitempty" doc:"what is wrapped under each version"`
	Findings      []string     `json:"findings,omitempty" doc:"alarms of the log that nothing has taken back"`
}

// KeyVersion is how many keys are wrapped under one version of a master key.
type KeyVersion struct {
	Version int   `json:"version"`
	Records int64 `json:"records"`
	Files   int64 `json:"files"`
	Intake  int64 `json:"intake"`
}

// KeyJob is how far a job over keys is.
type KeyJob struct {
	Name      string    `json:"name"`
	Run       string    `json:"run"`
	Target    string    `json:"target"`
	State     string    `json:"state" enum:"running,paused,finished,cancelled"`
	Done      int64     `json:"done"`
	Total     int64     `json:"total"`
	Failed    int64     `json:"failed"`
	StartedAt time.Time `json:"started_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Keys tells a custodian how the keys stand. It shows no key and no record.
func (d *Door) Keys(ctx context.Context, c Caller, purpose string) (*Keys, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, err := d.ask(ctx, c, question{action: "keys", purpose: purpose})
	if err != nil {
		return nil, err
	}
	receipt, err := d.record(ctx, a.body(audit.StageEvent, "access.report", audit.Facts{"report": "keys"}))
	if err != nil {
		return nil, err
	}
	keys, err := d.KeyStatus(ctx)
	if err != nil {
		return nil, err
	}
	keys.Audit = receiptRef(receipt)
	return keys, nil
}

// KeyStatus is Keys for an operator's command beside the service, which has the
// database's credentials anyway. Vault being away makes keys unavailable, not
// the answer.
func (d *Door) KeyStatus(ctx context.Context) (*Keys, error) {
	uses, err := d.MasterKeys(ctx)
	if err != nil {
		return nil, err
	}
	out := &Keys{Epochs: []*KeyEpoch{}, Jobs: []KeyJob{}}
	for _, use := range uses {
		key, err := d.masterKey(ctx, use)
		if err != nil {
			return nil, err
		}
		out.Keys = append(out.Keys, *key)
	}
	epochs, err := d.cfg.Store.Epochs(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	for _, e := range epochs {
		out.Epochs = append(out.Epochs, epochView(e))
	}
	jobs, err := d.cfg.Store.Jobs(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	for _, j := range jobs {
		out.Jobs = append(out.Jobs, KeyJob{j.Name, j.Run, j.Target, j.State, j.Done, j.Total, j.Failed, j.StartedAt, j.UpdatedAt})
	}
	return out, nil
}

func (d *Door) masterKey(ctx context.Context, use KeyUse) (*MasterKey, error) {
	key := &MasterKey{Name: d.cfg.Institution + "-" + use.Use, Use: use.Use, State: use.State}
	info, err := d.KeyInfo(ctx, use.Use)
	switch {
	case errors.Is(err, ErrKeysUnavailable):
		key.Unavailable = true
	case err != nil:
		return nil, err
	default:
		key.Type, key.Latest, key.MinDecryption, key.MinAvailable = info.Type, info.LatestVersion, info.MinDecryptionVersion, info.MinAvailableVersion
	}
	said, err := d.KeyMemory(ctx, key.Name)
	if err != nil {
		return nil, err
	}
	for what := range said.Alarms {
		key.Findings = append(key.Findings, what)
	}
	slices.Sort(key.Findings)
	if use.Use == "record" {
		key.Wrapped, err = d.inventory(ctx)
	}
	return key, err
}

func (d *Door) inventory(ctx context.Context) ([]KeyVersion, error) {
	counts, err := d.cfg.Store.CountKeys(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	var list []KeyVersion
	at := map[int]int{}
	for _, c := range counts {
		i, ok := at[c.Version]
		if !ok {
			i = len(list)
			at[c.Version], list = i, append(list, KeyVersion{Version: c.Version})
		}
		switch c.Kind {
		case store.KeyOfRecord:
			list[i].Records += c.Keys
		case store.KeyOfFile:
			list[i].Files += c.Keys
		case store.KeyOfIntake:
			list[i].Intake += c.Keys
		}
	}
	return list, nil
}

// KeyInfo is the configuration of a key, as Vault says it now.
type KeyInfo = transit.KeyInfo

// KeyUse is a master key that the institution has.
type KeyUse struct {
	Use   string // the key's name without the institution: record, index, index.2, log
	State string // of an index generation; else current
}

// MasterKeys lists the keys that Vault must hold: those of every generation of
// the indexes that was not dropped among them, and the first one's always
// (firstEpoch).
func (d *Door) MasterKeys(ctx context.Context) ([]KeyUse, error) {
	indexes, err := d.cfg.Store.IndexEpochs(ctx, d.cfg.Institution, d.indexKey(1))
	if err != nil {
		return nil, storeError(err)
	}
	list := []KeyUse{{"record", store.IndexCurrent}}
	for _, e := range indexes {
		switch {
		case e.State != store.IndexDropped:
			list = append(list, KeyUse{indexUse(e.Epoch), e.State})
		case e.Epoch == firstEpoch: // rows carry its tokens for ever
			list = append(list, KeyUse{indexUse(e.Epoch), store.IndexRetired})
		}
	}
	return append(list, KeyUse{"log", store.IndexCurrent}), nil
}

func indexUse(epoch int) string {
	if epoch == 1 {
		return "index"
	}
	return "index." + strconv.Itoa(epoch)
}

func (d *Door) indexKey(epoch int) string { return d.cfg.Institution + "-" + indexUse(epoch) }

// KeyInfo reads a master key's configuration back from Vault.
func (d *Door) KeyInfo(ctx context.Context, use string) (KeyInfo, error) {
	if d.cfg.Master == nil {
		return KeyInfo{}, ErrKeysUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	info, err := d.cfg.Master.KeyInfo(ctx, use)
	if away, ok := errors.AsType[*keyring.UnavailableError](err); ok && away.Status == http.StatusNotFound {
		return info, ErrNoMasterKey
	}
	if err != nil {
		return info, keyError(err)
	}
	return info, nil
}

// Errors of a look at Vault's configuration.
var (
	// ErrNoMasterKey: Vault answers and has no such key.
	ErrNoMasterKey = errors.New("vault has no such key")
	// ErrNoAuditDevice: Vault answers and has no such audit device.
	ErrNoAuditDevice = transit.ErrNoAuditDevice
	// ErrUnseen: this service's policy does not let it look.
	ErrUnseen = errors.New("the policy in vault does not allow to look")
)

// AuditDevice asks Vault for the fingerprint of its audit device.
func (d *Door) AuditDevice(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	fingerprint, err := d.cfg.Master.AuditDevice(ctx, name)
	if keyring.CauseOf(err) == keyring.CauseDenied {
		return "", ErrUnseen
	}
	if err != nil {
		return "", keyError(err)
	}
	return fingerprint, nil
}

// KeysOlder is how many keys are wrapped under a version of the record key older
// than the one named.
func (d *Door) KeysOlder(ctx context.Context, version int) (int64, error) {
	older, err := d.cfg.Store.CountOlder(ctx, d.cfg.Institution, version)
	if err != nil {
		return 0, storeError(err)
	}
	return older, nil
}

// NextIndexEpoch is the number that the next generation of the indexes will
// have. Its key is made in Vault, with an operator's token, before OpenIndexEpoch.
func (d *Door) NextIndexEpoch(ctx context.Context) (int, error) {
	list, err := d.cfg.Store.IndexEpochs(ctx, d.cfg.Institution, d.indexKey(1))
	if err != nil {
		return 0, storeError(err)
	}
	newest := list[len(list)-1]
	if newest.State == store.IndexBuilding {
		return 0, &ConflictError{Code: "state_conflict", State: "epoch " + strconv.Itoa(newest.Epoch) + " is being built"}
	}
	return newest.Epoch + 1, nil
}

// OpenIndexEpoch starts the next generation of the indexes: from then on writers
// fill it too. Its key must be there.
func (d *Door) OpenIndexEpoch(ctx context.Context, epoch int) (AuditRef, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if _, err := d.KeyInfo(ctx, indexUse(epoch)); err != nil {
		return AuditRef{}, err
	}
	event, err := d.serviceEvent(ctx, "index.epoch_opened", keySubject(d.indexKey(epoch)), audit.Facts{"epoch": epoch})
	if err != nil {
		return AuditRef{}, err
	}
	return d.changeRegister(ctx, event, func(tx pgx.Tx) error {
		opened, err := d.cfg.Store.OpenIndexEpoch(ctx, tx, d.cfg.Institution, event.At, d.indexKey)
		if err == nil && opened != epoch {
			return &ConflictError{Code: "state_conflict", State: "epoch " + strconv.Itoa(opened) + " is the next"}
		}
		return err
	})
}

// serviceEvent is an entry of something that the service did by itself.
func (d *Door) serviceEvent(ctx context.Context, kind, subject string, facts audit.Facts) (audit.Body, error) {
	alias, err := d.cfg.Log.Alias(ctx, "service")
	if err != nil {
		return audit.Body{}, logError(err)
	}
	return audit.Body{At: d.now(), Stage: audit.StageEvent, Kind: kind, Actor: audit.Actor{ID: alias, Auth: "service"}, Subject: subject, Facts: facts}, nil
}
