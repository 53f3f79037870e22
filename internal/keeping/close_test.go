package keeping_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	vaultdeploy "github.com/sealtrail/sealtrail/deploy/vault"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/keeping"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

const delay = time.Hour

// appoint makes kim and kay custodians, and hal a handler, by two security
// administrators.
func (h *house) appoint() {
	h.t.Helper()
	ctx := h.t.Context()
	must(h.t, store.SetRequirements(ctx, h.admin.Config().ConnString(), h.name, map[string]string{"epoch_delay": delay.String()}))
	must(h.t, h.Found(ctx, [2]custody.Person{{ID: "sec-a", Department: "security", StaffID: "S-0001"}, {ID: "sec-b", Department: "security", StaffID: "S-0002"}}))
	sign := func(who string) {
		_, err := h.SignUndertaking(ctx, h.as(who, roles[who]), custody.Undertaking{Person: who, Version: "2026-1"})
		must(h.t, err)
	}
	sign("sec-a")
	sign("sec-b")
	for i, who := range []string{"kim", "kay", "hal"} {
		_, err := h.AddPerson(ctx, h.as("sec-a", "secadmin"), custody.Person{ID: who, Kind: custody.Human, Department: "keys", StaffID: fmt.Sprint("E-010", i), Status: "active"})
		must(h.t, err)
		duty, err := h.Appoint(ctx, h.as("sec-a", "secadmin"), who, custody.Duty{Role: roles[who], Level: "general", Department: "keys", Until: time.Now().AddDate(1, 0, 0)})
		must(h.t, err)
		_, err = h.ConfirmDuty(ctx, h.as("sec-b", "secadmin"), who, duty.ID)
		must(h.t, err)
		_, err = h.RecordTraining(ctx, h.as("sec-a", "secadmin"), custody.Training{Person: who, Course: "confidentiality", Score: 90,
			PassedAt: time.Now().Add(-time.Hour), ValidUntil: time.Now().AddDate(1, 0, 0)})
		must(h.t, err)
		sign(who)
	}
}

var roles = map[string]string{"sec-a": "secadmin", "sec-b": "secadmin", "kim": "custodian", "kay": "custodian", "hal": "handler"}

func (h *house) as(who, role string) custody.Caller {
	return custody.Caller{Institution: h.name, Person: who, Kind: custody.Human, Roles: []string{role}, Auth: "test", Request: "r" + strings.ToLower(vaulttest.Name("")), Net: "office"}
}

func (h *house) custodian(who string) custody.Caller { return h.as(who, roles[who]) }

func request(version int) custody.EpochRequest {
	return custody.EpochRequest{Purpose: "incident", Version: version}
}

// agree has both custodians close everything below a version.
func (h *house) agree(version int) {
	h.t.Helper()
	_, err := h.ProposeEpoch(h.t.Context(), h.custodian("kim"), request(version))
	must(h.t, err)
	_, err = h.ConfirmEpoch(h.t.Context(), h.custodian("kay"), request(version))
	must(h.t, err)
}

var tested = custody.Declared{RestoreTested: strings.Repeat("ab", 32)}

// close runs the closing with a new token of two uses, as the page for
// custodians says.
func (h *house) close(version int, at func(string) error) (*custody.Closing, error) {
	h.t.Helper()
	key := vaultserver.RecordKey{Client: h.token(vaultdeploy.TrimPolicyName(h.name), 2), Institution: h.name}
	return keeping.Close(h.t.Context(), keeping.CloseConfig{Door: h.Door, Vault: key, Version: version, Declared: tested, Settle: time.Millisecond, At: at})
}

func conflict(t *testing.T, err error, code string) *custody.ConflictError {
	t.Helper()
	var c *custody.ConflictError
	if !errors.As(err, &c) || c.Code != code {
		t.Fatalf("got %v, want conflict %s", err, code)
	}
	return c
}

func TestEpochIsClosedByTwoAfterTheDelayWhenNoKeyIsOlder(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.appoint()
	ctx := t.Context()
	h.plant(record, 1, 7)
	h.plant(file, 1, 2)
	h.plant(intake, 1, 1)
	old := *h.load(record, 1)
	version := h.rotate()

	_, err := h.ProposeEpoch(ctx, h.custodian("kim"), request(version))
	if c := conflict(t, err, "keys_older"); !strings.Contains(c.State, "10 keys") {
		t.Errorf("the refusal says %q, want how many keys are older", c.State)
	}
	_, err = h.close(version, nil)
	_ = conflict(t, err, "epoch_unconfirmed")
	_, err = h.rewrap(keeping.RewrapConfig{})
	must(t, err)

	if _, err = h.ProposeEpoch(ctx, h.custodian("hal"), request(version)); !errors.As(err, new(*custody.RefusedError)) {
		t.Errorf("a handler proposes: %v, want a refusal", err)
	}
	for _, none := range []int{0, 1, version + 1} {
		if _, err = h.ProposeEpoch(ctx, h.custodian("kim"), request(none)); !errors.As(err, new(*custody.InvalidError)) {
			t.Errorf("version %d: %v, want it refused", none, err)
		}
	}
	_, err = h.ProposeEpoch(ctx, h.custodian("kim"), request(version))
	must(t, err)
	_, err = h.ProposeEpoch(ctx, h.custodian("kay"), request(version))
	_ = conflict(t, err, "already_decided")
	_, err = h.ConfirmEpoch(ctx, h.custodian("kim"), request(version))
	_ = conflict(t, err, "self_approval")
	_, err = h.close(version, nil)
	_ = conflict(t, err, "epoch_unconfirmed")
	confirmed, err := h.ConfirmEpoch(ctx, h.custodian("kay"), request(version))
	must(t, err)
	if wait := confirmed.NotBefore.Sub(h.now()); wait < delay-time.Minute || wait > delay {
		t.Errorf("it may be closed in %v, want the institution's own delay of %v", wait, delay)
	}
	_, err = h.close(version, nil)
	_ = conflict(t, err, "epoch_too_early")
	h.pass(delay)
	h.plantOld(old)
	_, err = h.close(version, nil)
	if c := conflict(t, err, "keys_older"); !strings.Contains(c.State, "1 keys") {
		t.Errorf("the refusal says %q", c.State)
	}
	_, err = h.rewrap(keeping.RewrapConfig{})
	must(t, err)

	closing, err := h.close(version, nil)
	must(t, err)
	info, err := h.KeyInfo(ctx, "record")
	must(t, err)
	if !closing.Done || info.MinAvailableVersion != version || info.MinDecryptionVersion != version || info.Exportable {
		t.Errorf("closed: %+v, Vault says %+v", closing, info)
	}
	h.opens(record, 1, 7, version)
	h.opens(file, 1, 2, version)
	h.opens(intake, 1, 1, version)
	h.gone(old, 1)
	said := h.entries("key.epoch_closed")
	if len(said) != 1 {
		t.Fatalf("%d entries", len(said))
	}
	for fact, want := range map[string]int64{"version": 2, "min_decryption": 2, "min_available": 2} {
		if got, _ := said[0].Facts.Int(fact); got != want {
			t.Errorf("the entry says %s = %d, want %d", fact, got, want)
		}
	}
	if digest, _ := said[0].Facts.Text("restore_tested"); digest != tested.RestoreTested {
		t.Errorf("the entry says restore_tested = %s", digest)
	}
	keys, err := h.Keys(ctx, h.custodian("kim"), "incident")
	must(t, err)
	if len(keys.Epochs) != 1 || keys.Epochs[0].State != "closed" || keys.Epochs[0].MinAvailable != version {
		t.Errorf("status: %+v", keys.Epochs[0])
	}
}

// gone checks that a wrapped key of an old backup opens for nobody.
func (h *house) gone(old keyring.Wrapped, n int) {
	h.t.Helper()
	h.keys.VoidAll("test")
	if lease, err := h.keys.Lend(h.t.Context(), old, h.keyID(record, n), "test"); err == nil {
		lease.Release()
		h.t.Error("a key of before the epoch was closed still opens")
	}
}

// plantOld stores a copy of an old wrapped key of record 1 again,
// as a restored backup would: it is older, and stops a closing.
func (h *house) plantOld(old keyring.Wrapped) {
	h.t.Helper()
	_, err := h.admin.Exec(h.t.Context(), `update keys.wrapped set wrapped = $2, key_version = $3 where complaint = $1::uuid`, id(1), old.Blob, old.KeyVersion)
	must(h.t, err)
}

func TestClosingKilledAnywhereEndsInTheSameState(t *testing.T) {
	t.Parallel()
	for _, point := range []string{keeping.PointChecked, keeping.PointMinimum, keeping.PointTrimmed, keeping.PointRecorded} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h := open(t, vaulttest.New(t), nil)
			h.appoint()
			h.plant(record, 1, 3)
			old := *h.load(record, 1)
			version := h.rotate()
			_, err := h.rewrap(keeping.RewrapConfig{})
			must(t, err)
			h.agree(version)
			h.pass(delay)
			if _, err := h.close(version, func(p string) error {
				if p == point {
					return errKilled
				}
				return nil
			}); !errors.Is(err, errKilled) {
				t.Fatalf("got %v, want it to be killed", err)
			}
			for range 2 { // a third time changes nothing either
				closing, err := h.close(version, nil)
				if err != nil || !closing.Done {
					t.Fatalf("running it again: %+v, %v", closing, err)
				}
			}
			info, err := h.KeyInfo(t.Context(), "record")
			must(t, err)
			if info.MinAvailableVersion != version || info.MinDecryptionVersion != version {
				t.Errorf("Vault says %+v", info)
			}
			if n := len(h.entries("key.epoch_closed")); n != 1 {
				t.Errorf("%d entries key.epoch_closed, want one", n)
			}
			h.opens(record, 1, 3, version)
			h.gone(old, 1)
		})
	}
}

func TestAKeyThatTurnsUpAtTheLastMomentStopsTheClosingAndStaysReadable(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.appoint()
	h.plant(record, 1, 3)
	old := *h.load(record, 1)
	version := h.rotate()
	_, err := h.rewrap(keeping.RewrapConfig{})
	must(t, err)
	h.agree(version)
	h.pass(delay)
	_, err = h.close(version, func(point string) error {
		if point == keeping.PointMinimum {
			h.plantOld(old)
		}
		return nil
	})
	_ = conflict(t, err, "keys_older")
	info, err := h.KeyInfo(t.Context(), "record")
	must(t, err)
	if info.MinAvailableVersion >= version || info.MinDecryptionVersion >= version {
		t.Errorf("Vault says %+v, want the minimum taken back", info)
	}
	h.opens(record, 1, 1, 1)
}

func TestRowsDoNotCloseAnEpoch(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.appoint()
	h.plant(record, 1, 1)
	version := h.rotate()
	_, err := h.rewrap(keeping.RewrapConfig{})
	must(t, err)
	_, err = h.ProposeEpoch(t.Context(), h.custodian("kim"), request(version))
	must(t, err)
	_, err = h.admin.Exec(t.Context(), `update keys.epoch set state = 'confirmed', confirmed_by = 'kay', confirmed_at = now(), not_before = now() - interval '1 day'`)
	must(t, err)
	_, err = h.close(version, nil)
	_ = conflict(t, err, "epoch_unconfirmed")
	_, err = h.WithdrawEpoch(t.Context(), h.custodian("kay"), request(version))
	must(t, err)
	_, err = h.close(version, nil)
	_ = conflict(t, err, "epoch_unconfirmed")
	h.agree(version) // a withdrawn one may be proposed again
}

func TestTrimTokenDoesNothingElse(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	token := h.token(vaultdeploy.TrimPolicyName(h.name), 20)
	ctx := context.Background()
	for path, body := range map[string]map[string]any{
		"transit/keys/" + h.name + "-record/config": {"exportable": true},
		"transit/keys/" + h.name + "-log/config":    {"min_decryption_version": 1},
		"transit/keys/" + h.name + "-record/rotate": nil,
		"transit/decrypt/" + h.name + "-record":     {"ciphertext": "vault:v1:AA=="},
	} {
		if _, err := token.Logical().WriteWithContext(ctx, path, body); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: %v, want permission denied", path, err)
		}
	}
	rotate := vaultserver.RecordKey{Client: h.token(vaultdeploy.RotatePolicyName(h.name), 1), Institution: h.name}
	must(t, rotate.Rotate(ctx))
	if err := rotate.Rotate(ctx); err == nil {
		t.Error("a token of one use rotated twice")
	}
}

// counted counts how often the second stage of erasures was asked for.
type counted struct {
	*custody.Door
	epochs []custody.Epoch
}

func (c *counted) MarkIrrecoverable(ctx context.Context, e custody.Epoch) (int, error) {
	c.epochs = append(c.epochs, e)
	return c.Door.MarkIrrecoverable(ctx, e)
}

func TestClosingCompletesErasuresAlsoWhenRunAgain(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.appoint()
	version := h.rotate()
	h.agree(version)
	h.pass(delay)
	door := &counted{Door: h.Door}
	before := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	cfg := keeping.CloseConfig{Door: door, Vault: h.root(), Version: version, Settle: time.Millisecond,
		Declared: custody.Declared{RestoreTested: tested.RestoreTested, SnapshotsDestroyedBefore: before}}
	for range 2 {
		_, err := keeping.Close(t.Context(), cfg)
		must(t, err)
	}
	if len(door.epochs) != 2 || door.epochs[0] != door.epochs[1] {
		t.Fatalf("asked for %+v, want the same twice", door.epochs)
	}
	if e := door.epochs[0]; e.Key != h.name+"-record" || e.MinAvailable != version || e.Entry == 0 || !e.SnapshotsBefore.Equal(before) {
		t.Errorf("asked for %+v", e)
	}
}
