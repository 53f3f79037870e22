package field

import (
	"errors"
	"fmt"
)

// slabSize is the first output buffer of a Sealer or Opener in bytes: one
// allocation holds a typical record (12 fields, 2.4 KB and its overhead).
const slabSize = 4096

// slab hands out pieces of one allocation, so that many small results cost
// less than one allocation each. Pieces cannot grow into each other.
type slab struct {
	all  []byte // the present allocation
	free []byte // its unused end
}

// next returns an empty slice with room for exactly n bytes, and says whether
// it lies in a new allocation.
func (s *slab) next(n, size int) (piece []byte, fresh bool) {
	if len(s.free) < n {
		s.all = make([]byte, max(n, size))
		s.free, fresh = s.all, true
	}
	piece = s.free[:0:n]
	s.free = s.free[n:]
	return piece, fresh
}

// Sealer seals the fields of one record under one data key. It is not safe for
// concurrent use. Close it before the key's lease is released.
type Sealer struct {
	key  *Key
	core *core
	out  slab
	size int
}

// NewSealer borrows the prepared state of k. The error is ErrDestroyed when the
// key was destroyed (its lease is over).
func NewSealer(k *Key) (*Sealer, error) {
	c, err := k.take()
	if err != nil {
		return nil, fmt.Errorf("making a sealer: %w", err)
	}
	return &Sealer{key: k, core: c, size: slabSize}, nil
}

// Close returns the state to the key. The sealed bytes stay valid.
func (s *Sealer) Close() {
	if s.core != nil {
		s.key.give(s.core)
		s.core = nil
	}
}

// Seal encrypts plaintext for p and returns the envelope: 48 bytes more than
// the (padded) plaintext. Two calls never return the same bytes. It does not
// keep plaintext. Errors wrap ErrPlace, ErrSuiteForbidden, ErrTooLarge or
// ErrDestroyed.
func (s *Sealer) Seal(p Place, plaintext []byte, shape Shape) ([]byte, error) {
	if err := checkSeal(&p, plaintext, shape); err != nil {
		return nil, fmt.Errorf("sealing %q: %w", p.Path, err)
	}
	if err := s.key.ready(s.core, p.suite()); err != nil {
		return nil, fmt.Errorf("sealing %q: %w", p.Path, err)
	}
	flags := shape.flags()
	if flags != flagPadded {
		return s.encrypt(&p, plaintext, flags)
	}
	padded := s.core.pad(plaintext, shape)
	env, err := s.encrypt(&p, padded, flags)
	clear(padded)
	return env, err
}

// encrypt seals what already has its final length. p is checked and the key is
// ready for it.
func (s *Sealer) encrypt(p *Place, padded []byte, flags byte) ([]byte, error) {
	c := s.core
	c.fieldKey(p, flags)
	env, _ := s.out.next(Overhead+len(padded), s.size)
	env, err := c.seal(p.suite(), p.appendHeader(env, flags), padded)
	if err != nil {
		return nil, fmt.Errorf("sealing %q: %w", p.Path, err)
	}
	return env, nil
}

func checkSeal(p *Place, plaintext []byte, shape Shape) error {
	switch {
	case len(plaintext) > MaxPlaintext:
		return ErrTooLarge
	case shape > Null:
		return fmt.Errorf("%w: shape %d is unknown", ErrPlace, shape)
	case shape == Null && len(plaintext) != 0:
		return fmt.Errorf("%w: null with a value", ErrPlace)
	}
	return p.check()
}

// Opener opens the fields of one record under one data key. It is not safe for
// concurrent use. Close it before the key's lease is released.
type Opener struct {
	key   *Key
	core  *core
	out   slab
	size  int
	slabs [][]byte
}

// NewOpener borrows the prepared state of k. The error is ErrDestroyed when the
// key was destroyed (its lease is over).
func NewOpener(k *Key) (*Opener, error) {
	c, err := k.take()
	if err != nil {
		return nil, fmt.Errorf("making an opener: %w", err)
	}
	return &Opener{key: k, core: c, size: slabSize}, nil
}

// Close returns the state to the key. Opened values stay valid.
func (o *Opener) Close() {
	if o.core != nil {
		o.key.give(o.core)
		o.core = nil
	}
}

// Wipe overwrites every value that this Opener returned with zeros. It may be
// called after Close, once nobody reads the values any more.
func (o *Opener) Wipe() {
	for _, b := range o.slabs {
		clear(b)
	}
	o.slabs, o.out = nil, slab{}
}

// Open authenticates and decrypts an envelope read from p. The error wraps
// ErrIntegrity when the envelope is not the one sealed for exactly this place,
// ErrPlace, ErrSuiteForbidden or ErrDestroyed. It never returns part of a value.
func (o *Opener) Open(p Place, envelope []byte) (Plain, error) {
	flags, err := o.begin(&p, envelope)
	if err != nil {
		return Plain{}, err
	}
	value, err := o.decrypt(&p, o.room(len(envelope)-Overhead), envelope)
	if err != nil {
		return Plain{}, err
	}
	return shaped(p.Path, value, flags)
}

// begin does what comes before decryption: it checks the place and the clear
// part of the envelope, and derives the field key into the working state.
func (o *Opener) begin(p *Place, envelope []byte) (flags byte, err error) {
	if err := p.check(); err != nil {
		return 0, fmt.Errorf("opening %q: %w", p.Path, err)
	}
	if err := o.key.ready(o.core, p.suite()); err != nil {
		return 0, fmt.Errorf("opening %q: %w", p.Path, err)
	}
	flags, finding := p.readHeader(envelope)
	if finding != "" {
		return 0, broken(p.Path, finding)
	}
	o.core.fieldKey(p, flags)
	return flags, nil
}

// decrypt follows begin and appends the (padded) plaintext to dst.
func (o *Opener) decrypt(p *Place, dst, envelope []byte) ([]byte, error) {
	value, err := o.core.open(p.suite(), dst, envelope[headerSize:])
	if errors.Is(err, errTag) {
		return nil, broken(p.Path, "envelope.tag")
	}
	if err != nil {
		return nil, fmt.Errorf("opening %q: %w", p.Path, err)
	}
	return value, nil
}

// room is the place for n bytes of plaintext, remembered for Wipe (but by the
// one-shot Open, whose Opener nobody can wipe).
func (o *Opener) room(n int) []byte {
	piece, fresh := o.out.next(n, o.size)
	if fresh && o.size > 0 {
		o.slabs = append(o.slabs, o.out.all)
	}
	return piece
}

func shaped(path string, value []byte, flags byte) (Plain, error) {
	switch flags {
	case flagNull:
		return Plain{null: true}, nil
	case flagPadded:
		v, ok := unpad(value)
		if !ok {
			return Plain{}, broken(path, "envelope.padding")
		}
		return plainOf(v), nil
	default:
		return plainOf(value), nil
	}
}

// Seal seals one field. For several fields of a record use a [Sealer].
func Seal(k *Key, p Place, plaintext []byte, shape Shape) ([]byte, error) {
	s, err := NewSealer(k)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.size = 0
	return s.Seal(p, plaintext, shape)
}

// Open opens one field. For several fields of a record use an [Opener].
func Open(k *Key, p Place, envelope []byte) (Plain, error) {
	o, err := NewOpener(k)
	if err != nil {
		return Plain{}, err
	}
	defer o.Close()
	o.size = 0
	return o.Open(p, envelope)
}
