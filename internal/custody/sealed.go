package custody

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	sealedintake "github.com/sealtrail/sealtrail/crypto/intake"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

// MaxSealed is the most envelopes that one Ingest takes.
const MaxSealed = 200

// seedLabel derives the seed of an intake key from its data key.
const seedLabel = "stf1/intake"

// sealedAhead is how far a client's clock may be ahead: what it says of the time
// of sealing is a claim, but none about tomorrow.
const sealedAhead = 5 * time.Minute

// IntakeKey is the public half of the intake key, for clients that seal.
type IntakeKey struct {
	Version   uint32
	Bundle    []byte // byte for byte what the fingerprint is of
	SHA256    string
	CreatedAt time.Time
}

// envelope is where a sealed draft came from.
type envelope struct {
	sum [32]byte
	at  time.Time
}

// sealedRows notes which envelope becomes which complaint.
func (d *Door) sealedRows(a *asked, filings []*filing) []store.SealedIntake {
	var rows []store.SealedIntake
	for _, f := range filings {
		if f.envelope != nil {
			rows = append(rows, store.SealedIntake{Institution: d.cfg.Institution, EnvelopeSHA256: f.envelope.sum, Complaint: f.row.ID,
				SealedAt: f.envelope.at, IngestedAt: a.at})
		}
	}
	return rows
}

// IntakeKey is the newest public intake key. It needs no Vault and shows no
// record. ErrNotFound while there is none.
func (d *Door) IntakeKey(ctx context.Context) (*IntakeKey, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	keys, err := d.cfg.Store.IntakeKeys(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	if len(keys) == 0 {
		return nil, ErrNotFound
	}
	return d.newestIntake(ctx, keys)
}

// newestIntake is the key that clients seal to.
func (d *Door) newestIntake(ctx context.Context, keys []*store.IntakeKey) (*IntakeKey, error) {
	k, err := intakeKeyView(keys[0])
	if err != nil {
		return nil, err
	}
	if err := d.vouchIntake(ctx, k); err != nil {
		return nil, err
	}
	return k, nil
}

func intakeKeyView(k *store.IntakeKey) (*IntakeKey, error) {
	public, err := sealedintake.ParsePublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("%w: intake.key", ErrIntegrity)
	}
	sum := public.Fingerprint()
	return &IntakeKey{Version: k.Version, Bundle: k.Public, SHA256: hex.EncodeToString(sum[:]), CreatedAt: k.CreatedAt.UTC()}, nil
}

// EnsureIntakeKey makes the first intake key if there is none; with rotate, one
// more, of the next version. Earlier versions go on opening what was sealed to
// them. publish puts the public half where clients find it, before the entry
// names it; it may be called again for the same key.
func (d *Door) EnsureIntakeKey(ctx context.Context, rotate bool, publish func(ctx context.Context, bundle []byte) error) (*IntakeKey, error) {
	ctx, cancel := context.WithTimeout(ctx, batchDeadline)
	defer cancel()
	keys, err := d.cfg.Store.IntakeKeys(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	version := uint32(1)
	if len(keys) > 0 {
		if !rotate {
			return d.newestIntake(ctx, keys)
		}
		version = keys[0].Version + 1
	}
	row, err := d.mintIntake(ctx, version)
	if err != nil {
		return nil, err
	}
	view, err := intakeKeyView(row)
	if err != nil {
		return nil, err
	}
	// crash here: bytes in the published folder that nothing names.
	if err := publish(ctx, row.Public); err != nil {
		return nil, fmt.Errorf("publishing an intake key: %w", err)
	}
	alias, err := d.cfg.Log.Alias(ctx, servicePerson)
	if err != nil {
		return nil, logError(err)
	}
	event := audit.Body{At: row.CreatedAt, Stage: audit.StageEvent, Kind: "intake.key_made", Actor: audit.Actor{ID: alias}, Subject: intakeSubject,
		Facts: audit.Facts{"version": int(version), "public_sha256": view.SHA256}}
	_, err = d.changeRegister(ctx, event, func(tx pgx.Tx) error { return d.cfg.Store.InsertIntakeKey(ctx, tx, row) })
	if errors.Is(err, store.ErrDuplicate) { // another process was faster: its key it is
		return d.IntakeKey(ctx)
	}
	return view, err
}

func intakeKeyID(institution string, version uint32) keyring.RecordID {
	return keyring.RecordID{Institution: institution, Record: "intake", Kind: keyring.KindIntake, Generation: version}
}

// mintIntake makes a data key, wraps it like any other, and makes the key pair
// from it: the private half is never stored, not even wrapped.
func (d *Door) mintIntake(ctx context.Context, version uint32) (*store.IntakeKey, error) {
	lease, wrapped, err := d.cfg.Keys.Mint(ctx, intakeKeyID(d.cfg.Institution, version), fmt.Sprintf("intake-key-%d", version))
	if err != nil {
		return nil, keyError(err)
	}
	defer lease.Release()
	private, err := d.privateIntake(lease, version, sealedintake.DefaultKEM())
	if err != nil {
		return nil, err
	}
	return &store.IntakeKey{Institution: d.cfg.Institution, Version: version, Public: private.Public().Bundle(), CreatedAt: d.now(),
		Key: store.Wrapped{Blob: wrapped.Blob, Commitment: wrapped.Commitment[:], Version: wrapped.KeyVersion}}, nil
}

func (d *Door) privateIntake(lease *keyring.Lease, version uint32, kem uint16) (*sealedintake.PrivateKey, error) {
	seed, err := lease.Key().Derive(field.Suite1, seedLabel)
	if err != nil {
		return nil, keyError(err)
	}
	defer clear(seed[:])
	return sealedintake.NewPrivateKey(d.cfg.Institution, version, kem, seed[:])
}

// Ingest brings in sealed drafts. Each is opened, judged exactly like a draft in
// clear, and recorded with late=true and the time of its sealing; an envelope
// that was brought in before answers with its complaint. A bad one concerns
// itself only.
func (d *Door) Ingest(ctx context.Context, c Caller, purpose string, envelopes [][]byte) ([]BatchItem, error) {
	ctx, cancel := context.WithTimeout(ctx, batchDeadline)
	defer cancel()
	if len(envelopes) == 0 || len(envelopes) > MaxSealed {
		return nil, invalid("/items", "out_of_range")
	}
	short, cancelShort := context.WithTimeout(ctx, deadline)
	defer cancelShort()
	// 1 ask
	a, err := d.ask(short, c, question{action: "create", purpose: purpose})
	if err != nil {
		return nil, err
	}
	out := make([]BatchItem, len(envelopes))
	parsed := d.parseSealed(a, envelopes, out)
	if err := d.answerKnown(ctx, a, parsed, out); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(parsed, func(s *sealedDraft) bool { return s.fresh(out) }) {
		return out, nil
	}
	// 2 record
	receipt, err := d.record(ctx, a.intent("intake.ingested", nil, audit.Facts{"envelopes": len(envelopes), "late": true}))
	if err != nil {
		return nil, err
	}
	// 3 borrow and open 4 judge, seal and store, each with its entry
	filings, err := d.openSealed(ctx, a, receipt, parsed, out)
	if err != nil {
		d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "unavailable")
		return nil, err
	}
	d.fileAll(ctx, a, filings, nil, out)
	repeatAnswers(parsed, out)
	d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "answered")
	return out, nil
}

// sealedDraft is one envelope on its way in.
type sealedDraft struct {
	at     int
	from   sealedintake.Envelope
	origin *envelope
	twin   int // an earlier place of the same envelope in this batch, or -1
}

// fresh says that an envelope is neither answered nor a twin.
func (s *sealedDraft) fresh(out []BatchItem) bool {
	return s.twin < 0 && out[s.at].Created == nil && out[s.at].Err == nil
}

// parseSealed reads the clear heads. What is refused here is refused by code;
// the client still has it.
func (d *Door) parseSealed(a *asked, envelopes [][]byte, out []BatchItem) []*sealedDraft {
	var parsed []*sealedDraft
	places := map[[32]byte]int{}
	for i, raw := range envelopes {
		e, err := sealedintake.ParseEnvelope(raw)
		switch {
		case err != nil:
			out[i].Err = invalid("/envelope", "envelope_malformed")
		case e.Institution() != d.cfg.Institution:
			out[i].Err = invalid("/envelope", "envelope_foreign")
		case e.SealedAt().After(a.at.Add(sealedAhead)):
			out[i].Err = invalid("/envelope", "envelope_in_future")
		}
		if out[i].Err != nil {
			continue
		}
		s := &sealedDraft{at: i, from: e, origin: &envelope{sum: e.SHA256(), at: e.SealedAt()}, twin: -1}
		if first, twice := places[s.origin.sum]; twice {
			s.twin = first
		} else {
			places[s.origin.sum] = i
		}
		parsed = append(parsed, s)
	}
	return parsed
}

// answerKnown answers envelopes that were brought in before.
func (d *Door) answerKnown(ctx context.Context, a *asked, parsed []*sealedDraft, out []BatchItem) error {
	sums := make([][32]byte, len(parsed))
	for i, s := range parsed {
		sums[i] = s.origin.sum
	}
	known, err := d.cfg.Store.SealedBefore(ctx, d.cfg.Institution, sums)
	if err != nil {
		return storeError(err)
	}
	for _, s := range parsed {
		id := known[s.origin.sum]
		if id == "" {
			continue
		}
		if out[s.at].Err = d.broughtIn(ctx, a, id, s.origin.sum); out[s.at].Err == nil {
			out[s.at].Created, out[s.at].Err = d.existing(ctx, a, id)
		}
	}
	return nil
}

// openSealed opens what is fresh. Only an error that would meet every envelope
// is returned.
func (d *Door) openSealed(ctx context.Context, a *asked, receipt pglog.Receipt, parsed []*sealedDraft, out []BatchItem) ([]*filing, error) {
	keys, err := d.lendIntake(ctx, a, receipt, parsed)
	if err != nil {
		return nil, err
	}
	drafts, places := []intake.Draft{}, []*sealedDraft{}
	for _, s := range parsed {
		if !s.fresh(out) {
			continue
		}
		draft, err := openDraft(keys[s.from.Version()], s.from)
		if err != nil {
			out[s.at].Err = err
			continue
		}
		drafts, places = append(drafts, draft), append(places, s)
	}
	judged := make([]BatchItem, len(drafts))
	filings := d.accept(ctx, a, drafts, judged)
	for i, s := range places {
		out[s.at] = judged[i]
	}
	for _, f := range filings {
		s := places[f.at]
		f.at, f.envelope = s.at, s.origin
	}
	return filings, nil
}

// openDraft opens one envelope. What was in it is overwritten once it is parsed.
func openDraft(key *sealedintake.PrivateKey, e sealedintake.Envelope) (intake.Draft, error) {
	if key == nil {
		return intake.Draft{}, invalid("/envelope", "envelope_version")
	}
	raw, err := key.Open(e)
	if err != nil {
		return intake.Draft{}, invalid("/envelope", "envelope_unopened")
	}
	defer clear(raw)
	draft, problems := intake.DecodeDraft(raw)
	if len(problems) > 0 {
		return intake.Draft{}, &InvalidError{problems}
	}
	return draft, nil
}

// lendIntake borrows the intake keys of a batch, by version. A key that fails
// its check is a finding and an entry; a version that is not here opens nothing.
func (d *Door) lendIntake(ctx context.Context, a *asked, receipt pglog.Receipt, parsed []*sealedDraft) (map[uint32]*sealedintake.PrivateKey, error) {
	rows, err := d.cfg.Store.IntakeKeys(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	keys := map[uint32]*sealedintake.PrivateKey{}
	for _, row := range rows {
		if !slices.ContainsFunc(parsed, func(s *sealedDraft) bool { return s.from.Version() == row.Version }) {
			continue
		}
		if keys[row.Version], err = d.lendOneIntake(ctx, a, receipt, row); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (d *Door) lendOneIntake(ctx context.Context, a *asked, receipt pglog.Receipt, row *store.IntakeKey) (*sealedintake.PrivateKey, error) {
	r := keyring.LendRequest{ID: intakeKeyID(row.Institution, row.Version), Wrapped: keyring.Wrapped{Blob: row.Key.Blob, KeyVersion: row.Key.Version},
		Reference: reference(receipt), Policy: a.decision.Sequence()}
	copy(r.Wrapped.Commitment[:], row.Key.Commitment)
	public, err := sealedintake.ParsePublicKey(row.Public)
	if err != nil {
		return nil, d.brokenIntake(ctx, a)
	}
	lease, err := d.lendOne(ctx, r)
	if errors.Is(err, field.ErrIntegrity) || errors.Is(err, keyring.ErrRetired) {
		return nil, d.brokenIntake(ctx, a)
	}
	if err != nil {
		return nil, keyError(err)
	}
	defer lease.Release()
	private, err := d.privateIntake(lease, row.Version, public.KEM())
	if err != nil {
		return nil, err
	}
	if private.Public().Fingerprint() != public.Fingerprint() {
		return nil, d.brokenIntake(ctx, a) // clients were given somebody else's key
	}
	return private, nil
}

func (d *Door) brokenIntake(ctx context.Context, a *asked) error {
	facts := audit.Facts{"action": a.action, "what": "intake.key", "table": "keys.intake"}
	if _, err := d.record(ctx, a.body(audit.StageEvent, "access.integrity", facts)); err != nil {
		return err
	}
	return fmt.Errorf("%w: intake.key", ErrIntegrity)
}

// repeatAnswers answers the twins of a batch like the first of them, as filed
// before.
func repeatAnswers(parsed []*sealedDraft, out []BatchItem) {
	for _, s := range parsed {
		if s.twin < 0 {
			continue
		}
		out[s.at] = out[s.twin]
		if first := out[s.twin].Created; first != nil {
			again := *first
			again.Existing = true
			out[s.at].Created = &again
		}
	}
}
