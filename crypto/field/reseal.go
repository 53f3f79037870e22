package field

import "fmt"

// Verify authenticates an envelope read from p and its padding, and forgets
// what it decrypted: for whoever has to know that a field is whole, but not
// what it says. Errors as of [Opener.Open].
func (o *Opener) Verify(p Place, envelope []byte) error {
	padded, _, err := o.transient(&p, envelope)
	clear(padded)
	return err
}

// Reseal opens an envelope of from and seals its value anew for to, under the
// key and the suite of to: a new data key generation, another suite, a later
// revision. The caller never sees the value, and the copy made meanwhile is
// cleared. Null stays null and the stored length stays the same, so that
// whoever compares old and new rows learns nothing of the value.
//
// It renews and does not move: from and to MUST name the same institution,
// record and record type. Errors of opening are those of [Opener.Open], errors
// of sealing those of [Sealer.Seal]. o and s may use the same key.
func Reseal(o *Opener, from Place, envelope []byte, s *Sealer, to Place) ([]byte, error) {
	if err := to.check(); err != nil {
		return nil, fmt.Errorf("resealing %q: %w", to.Path, err)
	}
	if from.Institution != to.Institution || from.Record != to.Record || from.RecordType != to.RecordType {
		return nil, fmt.Errorf("resealing %q: %w: another record", to.Path, ErrPlace)
	}
	if err := s.key.ready(s.core, to.suite()); err != nil {
		return nil, fmt.Errorf("resealing %q: %w", to.Path, err)
	}
	padded, flags, err := o.transient(&from, envelope)
	if err != nil {
		return nil, err
	}
	defer clear(padded)
	return s.encrypt(&to, padded, flags)
}

// transient opens an envelope into the working state, where the caller MUST
// clear the (padded) plaintext before anything else uses that state.
func (o *Opener) transient(p *Place, envelope []byte) (padded []byte, flags byte, err error) {
	flags, err = o.begin(p, envelope)
	if err != nil {
		return nil, 0, err
	}
	padded, err = o.decrypt(p, o.core.room(len(envelope)-Overhead), envelope)
	if err != nil {
		return nil, 0, err
	}
	if flags == flagPadded {
		if _, ok := unpad(padded); !ok {
			clear(padded)
			return nil, 0, broken(p.Path, "envelope.padding")
		}
	}
	return padded, flags, nil
}
