package custody

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

// change is what alter writes beside the row itself.
type change struct {
	kind   string
	facts  audit.Facts
	values sealing
	// within is what else belongs to the transaction; nil: nothing.
	within func(ctx context.Context, tx pgx.Tx) error
}

// write runs within, if there is one.
func (ch *change) write(ctx context.Context, tx pgx.Tx) error {
	if ch.within == nil {
		return nil
	}
	return ch.within(ctx, tx)
}

// sealing holds the values to seal, by field name; nil empties the field.
type sealing map[string]*string

func (s sealing) names() []string { return slices.Sorted(maps.Keys(s)) }

// indexed lists the fields among s that carry a blind index.
func (s sealing) indexed() []string {
	var names []string
	for _, name := range s.names() {
		if indexed(name) {
			names = append(names, name)
		}
	}
	return names
}

// Indexer computes blind-index tokens where the index key is: in Vault.
type Indexer interface {
	// Tokens returns one token per item, in order.
	Tokens(ctx context.Context, items []IndexItem) ([][]byte, error)
	// TokensIn is Tokens, and says which call carried each item, as far as there
	// was one, also where the answer is an error.
	TokensIn(ctx context.Context, items []IndexItem) (tokens [][]byte, calls []string, err error)
}

// IndexItem is one normalised value to index.
type IndexItem = blindindex.Item

// indexItems normalises the indexed fields of s, for generations to expand. A
// value that is no valid identifier of its kind is a Problem at its field.
func (s sealing) indexItems(reference string) ([]IndexItem, error) {
	var items []IndexItem
	var problems []intake.Problem
	for _, name := range s.indexed() {
		if s[name] == nil || *s[name] == "" {
			continue
		}
		normalised, err := normalise(name, *s[name])
		if err != nil {
			problems = append(problems, problemAt("/fields/"+name, "malformed"))
			continue
		}
		items = append(items, IndexItem{Field: name, Normalised: normalised, Reference: reference})
	}
	if len(problems) > 0 {
		return nil, &InvalidError{problems}
	}
	return items, nil
}

// normalise gives the value of an indexed field the one form that equal values
// share.
//
//sealtrail:secret
func normalise(name, value string) ([]byte, error) {
	f, _ := complaint.FieldByName(name)
	return blindindex.Normalise(blindindex.Kind(f.Index), value)
}

// tokens are those of some values: all of them, and those of the generations of
// the index that searches use. The others only a row itself carries.
type tokens struct{ all, searched []store.Token }

// tokens asks Vault for the tokens of the indexed values.
func (d *Door) tokens(ctx context.Context, values sealing, receipt pglog.Receipt) (tokens, error) {
	items, err := values.indexItems(reference(receipt))
	if err != nil || len(items) == 0 {
		return tokens{}, err
	}
	g, err := d.index.get(ctx, d)
	if err != nil {
		return tokens{}, err
	}
	items = g.expand(items)
	macs, err := d.tokensFor(ctx, items)
	if err != nil {
		return tokens{}, keyError(err)
	}
	all := pair(items, macs)
	return tokens{all, g.searched(all)}, nil
}

func pair(items []IndexItem, tokens [][]byte) []store.Token {
	list := make([]store.Token, len(items))
	for i, item := range items {
		list[i] = store.Token{Field: item.Field, Epoch: item.Epoch, Token: tokens[i]}
	}
	return list
}

// rewrite seals what a change brings and writes it with its event: under the
// record's own key, or, if the institution has chosen another suite since,
// under a new one. If it fails, the log hears what came of the intent.
func (d *Door) rewrite(ctx context.Context, a *asked, receipt pglog.Receipt, o *opened, next *store.Complaint, ch change) (pglog.Pending, error) {
	suite, err := d.chosenSuite(ctx)
	for attempt := 0; err == nil; attempt++ {
		var pending pglog.Pending
		if suite == max(a.row.Suite, field.Suite1) {
			pending, err = d.rewriteHere(ctx, a, receipt, o, next, ch)
		} else {
			pending, err = d.rewriteAnew(ctx, a, receipt, o, next, ch, suite)
		}
		if err == nil {
			return pending, nil
		}
		if d.index.moved(err) && attempt < 2 {
			err = nil // the index has another generation by now: once more
		}
	}
	if broke(err) {
		return pglog.Pending{}, d.broken(ctx, a, receipt, err)
	}
	// Whoever came first wins; otherwise a lost answer leaves open whether the
	// change was made, and its event, or its absence, tells.
	result := "cancelled"
	if errors.Is(err, errUnknown) {
		result = "unknown"
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, o, result)
	return pglog.Pending{}, err
}

// broke says that an error is about stored data, or about a key that is gone.
func broke(err error) bool {
	return errors.Is(err, field.ErrIntegrity) || errors.Is(err, field.ErrDestroyed) || errors.Is(err, keyring.ErrRetired)
}

func (d *Door) rewriteHere(ctx context.Context, a *asked, receipt pglog.Receipt, o *opened, next *store.Complaint, ch change) (pglog.Pending, error) {
	tokens, err := d.tokens(ctx, ch.values, receipt)
	if err != nil {
		return pglog.Pending{}, err
	}
	if err := d.reseal(o, a.row, next, ch.values, tokens.all); err != nil {
		return pglog.Pending{}, err
	}
	return d.commit(ctx, next, a.row.Revision, ch, tokens.searched, a.event(ch.kind, next, ch.facts))
}

func (d *Door) rewriteAnew(ctx context.Context, a *asked, receipt pglog.Receipt, o *opened, next *store.Complaint, ch change, suite uint8) (pglog.Pending, error) {
	tokens, err := d.tokens(ctx, ch.values, receipt)
	if err != nil {
		return pglog.Pending{}, err
	}
	return d.regenerate(ctx, a, receipt, o, next, regen{suite: suite, why: becauseSuite, values: ch.values, tokens: tokens,
		within: func(ctx context.Context, tx pgx.Tx, _ store.DestroyedKey) error { return ch.write(ctx, tx) },
		events: func(next *store.Complaint, _ store.DestroyedKey) []audit.Body {
			return []audit.Body{a.event(ch.kind, next, ch.facts)}
		}})
}

// reseal moves next to the revision after was: it seals the new values, keeps
// the other envelopes as the verified manifest lists them, and signs the whole
// anew.
func (d *Door) reseal(o *opened, was, next *store.Complaint, values sealing, tokens []store.Token) error {
	next.Revision = was.Revision + 1
	next.Sealed = slices.Clone(was.Sealed)
	setTokens(next, values, tokens)
	sealer, err := field.NewSealer(o.lease.Key())
	if err != nil {
		return keyError(err)
	}
	defer sealer.Close()
	var digests []field.FieldDigest
	for digest := range o.manifest.Fields() {
		if _, changed := values[digest.Path]; changed {
			continue
		}
		// What is kept must still be what was sealed: the manifest is about to
		// vouch for it again.
		envelope, _ := was.Field(digest.Path)
		if err := o.manifest.Check(digest.Path, envelope); err != nil {
			return err
		}
		digests = append(digests, digest)
	}
	added, err := seal(sealer, next, values)
	if err != nil {
		return err
	}
	input := manifestInput(next)
	input.Fields = append(digests, added...)
	next.Manifest, err = sealer.Manifest(input)
	return err
}

// seal writes the envelopes of values into the row, at the row's revision.
func seal(sealer *field.Sealer, row *store.Complaint, values sealing) ([]field.FieldDigest, error) {
	if row.Sealed == nil {
		row.Sealed = make([][]byte, len(store.SealedFields))
	}
	digests := make([]field.FieldDigest, 0, len(values))
	for name, value := range values {
		i := store.SealedIndex(name)
		if value == nil || i < 0 {
			if i >= 0 {
				row.Sealed[i] = nil
			}
			continue
		}
		p := place(row, name, row.Revision)
		envelope, err := sealer.Seal(p, []byte(*value), shapeOf(name))
		if err != nil {
			return nil, err
		}
		row.Sealed[i] = envelope
		digests = append(digests, field.DigestOf(p, envelope))
	}
	return digests, nil
}

// shapeOf pads free text so that its length says little, and short identifiers
// to one bucket.
func shapeOf(name string) field.Shape {
	if f, _ := complaint.FieldByName(name); f.FreeText {
		return field.Text
	}
	return field.Short
}

// setTokens keeps the tokens that the row itself carries, of the first
// generation: the staff complained about, for recusal, and the complainant.
func setTokens(row *store.Complaint, values sealing, tokens []store.Token) {
	if _, changed := values["respondent_staff_id"]; changed {
		row.RespondentTokens = nil
	}
	if _, changed := values["id_number"]; changed {
		row.DataSubjectToken = nil
	}
	for _, t := range tokens {
		if t.Epoch != firstEpoch {
			continue
		}
		switch t.Field {
		case "respondent_staff_id":
			row.RespondentTokens = append(row.RespondentTokens, t.Token)
		case "id_number":
			row.DataSubjectToken = t.Token
		}
	}
}

// commit writes the row and its event in one transaction: lock, compare the
// revision, alter, append. No Vault and no OPA call happens in here.
func (d *Door) commit(ctx context.Context, next *store.Complaint, was uint64, ch change, tokens []store.Token, event audit.Body) (pglog.Pending, error) {
	if err := complaint.CheckFacts(event.Kind, event.Facts); err != nil {
		return pglog.Pending{}, err
	}
	ctx, done := d.stage(ctx, stageCommit)
	var pending []pglog.Pending
	err := d.cfg.Store.Tx(ctx, func(tx pgx.Tx) error {
		if err := d.cfg.Store.Update(ctx, tx, next, was, ch.values.indexed(), tokens); err != nil {
			return err
		}
		if err := ch.write(ctx, tx); err != nil {
			return err
		}
		var err error
		pending, err = d.cfg.Log.AppendTx(ctx, tx, event)
		return err
	})
	done(err)
	if err != nil {
		return pglog.Pending{}, uncommitted(txError(err))
	}
	return pending[0], nil
}

// uncommitted marks the error of a transaction of which it is not known whether
// it was committed.
func uncommitted(err error) error {
	if errors.Is(err, ErrStale) || errors.Is(err, store.ErrIndexMoved) {
		return err
	}
	return fmt.Errorf("%w: %w", err, errUnknown)
}

// checkAmend validates the fields of an amendment before anything is asked.
func checkAmend(r AmendRequest) (sealing, error) {
	var problems []intake.Problem
	values := sealing{}
	if len(r.Fields) == 0 {
		problems = append(problems, problemAt("/fields", "required"))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Fields)) {
		f, ok := complaint.FieldByName(name)
		switch {
		case !ok:
			problems = append(problems, problemAt("/fields", "unknown_field"))
		case !f.Sealed:
			problems = append(problems, problemAt("/fields/"+name, "read_only"))
		case r.Fields[name] == nil:
			values[name] = nil
		default:
			value := strings.TrimSpace(*r.Fields[name])
			problems = append(problems, intake.CheckField(name, value)...)
			values[name] = &value
			if value == "" && indexed(name) {
				values[name] = nil // an empty identifier is none: nothing could find it
			}
		}
	}
	if len(problems) > 0 {
		return nil, &InvalidError{problems}
	}
	return values, nil
}

// minReason is the shortest reason that says anything, in runes.
const minReason = 4

func checkReveal(r RevealRequest) error {
	var problems []intake.Problem
	if len(r.Fields) == 0 {
		problems = append(problems, problemAt("/fields", "required"))
	}
	for _, name := range r.Fields {
		if f, ok := complaint.FieldByName(name); !ok || !f.Sealed {
			problems = append(problems, problemAt("/fields", "unknown_field"))
			break
		}
	}
	if len([]rune(strings.TrimSpace(r.Reason))) < minReason {
		problems = append(problems, problemAt("/reason", "required"))
	}
	if len(problems) > 0 {
		return &InvalidError{problems}
	}
	return nil
}
