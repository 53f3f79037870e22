package doortest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// disclosing is what the fake remembers of disclosures and sealed drafts.
type disclosing struct {
	byID   map[string]*custody.Disclosure
	sealed map[string]string // envelope -> id
}

func (s *disclosing) init() {
	if s.byID == nil {
		s.byID, s.sealed = map[string]*custody.Disclosure{}, map[string]string{}
	}
}

// RequestDisclosure implements httpapi.Disclosing; anything but an age key is
// refused as an SSH key.
func (d *Door) RequestDisclosure(_ context.Context, c custody.Caller, r custody.Disclosure) (*custody.Disclosure, error) {
	if err := d.enter("request_disclosure", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	d.disclosing.init()
	if !strings.HasPrefix(r.Recipient, "age1") {
		return nil, &custody.InvalidError{Problems: []intake.Problem{{Pointer: "/recipient", Code: "recipient_ssh_key"}}}
	}
	r.ID, r.State, r.RequestedBy, r.RequestedAt = newID(), "requested", c.Person, time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	r.RecipientSHA256, r.Watermark, r.Audit = strings.Repeat("12", 32), "wm-test", d.audit()
	d.disclosing.byID[r.ID] = &r
	return &r, nil
}

// SettleDisclosure implements httpapi.Disclosing; nobody settles her own.
func (d *Door) SettleDisclosure(_ context.Context, c custody.Caller, id, verdict string) (*custody.Disclosure, error) {
	if err := d.enter(verdict+"_disclosure", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	x := d.disclosing.byID[id]
	switch {
	case x == nil:
		return nil, custody.ErrNotFound
	case x.RequestedBy == c.Person:
		return nil, &custody.ConflictError{Code: "self_approval", State: x.State}
	}
	x.State = map[string]string{"approve": "approved", "confirm": "confirmed", "refuse": "refused"}[verdict]
	x.Audit = d.audit()
	return x, nil
}

// Disclosure implements httpapi.Disclosing.
func (d *Door) Disclosure(_ context.Context, c custody.Caller, id string) (*custody.Disclosure, error) {
	if err := d.enter("disclosure", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if x := d.disclosing.byID[id]; x != nil {
		return x, nil
	}
	return nil, custody.ErrNotFound
}

// Produce implements httpapi.Disclosing: some bytes that are no age file. A
// request whose recipient's name says "breaks" breaks off behind the first half.
func (d *Door) Produce(_ context.Context, c custody.Caller, id string) (custody.Package, error) {
	if err := d.enter("produce", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	x := d.disclosing.byID[id]
	switch {
	case x == nil:
		return nil, custody.ErrNotFound
	case x.State != "confirmed":
		return nil, &custody.ConflictError{Code: "state_conflict", State: x.State, Allowed: []string{"approve", "refuse"}}
	}
	return pack{d, x}, nil
}

type pack struct {
	door *Door
	x    *custody.Disclosure
}

// PackageBytes are the bytes of every package of the fake.
func PackageBytes() []byte { return bytes.Repeat([]byte("sealed package "), 10_000) }

// Stream implements custody.Package.
func (p pack) Stream(_ context.Context, dst io.Writer) (*custody.Produced, error) {
	all := PackageBytes()
	if p.x.RecipientName == "breaks at once" {
		return nil, custody.ErrKeysUnavailable
	}
	if p.x.RecipientName == "breaks" {
		_, _ = dst.Write(all[:len(all)/2])
		return nil, custody.ErrKeysUnavailable
	}
	if _, err := dst.Write(all); err != nil {
		return nil, err
	}
	p.door.mu.Lock()
	defer p.door.mu.Unlock()
	p.x.State = "produced"
	return &custody.Produced{Disclosure: p.x.ID, PackageSHA256: sha256.Sum256(all), Records: 3, Withheld: 1, Bytes: int64(len(all)), Audit: p.door.audit()}, nil
}

// IntakeKey implements httpapi.Sealed with a key that seals nothing.
func (d *Door) IntakeKey(context.Context) (*custody.IntakeKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	if d.Intake == nil {
		return nil, custody.ErrNotFound
	}
	return d.Intake, nil
}

// Ingest implements httpapi.Sealed: what begins with "sti1" is taken.
func (d *Door) Ingest(_ context.Context, c custody.Caller, _ string, envelopes [][]byte) ([]custody.BatchItem, error) {
	if err := d.enter("ingest", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	d.disclosing.init()
	items := make([]custody.BatchItem, len(envelopes))
	for i, e := range envelopes {
		if !bytes.HasPrefix(e, []byte("sti1")) {
			items[i].Err = &custody.InvalidError{Problems: []intake.Problem{{Pointer: "/envelope", Code: "envelope_malformed"}}}
			continue
		}
		id, before := d.disclosing.sealed[string(e)]
		if !before {
			id = newID()
			d.disclosing.sealed[string(e)] = id
		}
		items[i].Created = &custody.Created{ID: id, ComplaintNo: "TS-1", Revision: 1, State: "recorded", Due: due(), Existing: before, Audit: d.audit()}
	}
	return items, nil
}
