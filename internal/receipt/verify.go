package receipt

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// Verdict is what a receipt proves of one record.
type Verdict struct {
	Complaint, Result string
	// Findings say what does not hold; none means that the item is proved.
	Findings []string
	// Of stage 1. At is the log's time of the entry; Until, of a kept record, the
	// end of its retention as the entry says it.
	At                               time.Time
	Basis, Commitment, WrappedSHA256 string
	RequestedBy, ApprovedBy          string // the log's aliases
	KeyVersion                       int64
	Until                            string
	// Of stage 2. SnapshotsBefore is what the operator declared destroyed; empty:
	// she declared nothing, and older snapshots of Vault would undo stage 2.
	IrrecoverableAt time.Time
	MinAvailable    int64
	SnapshotsBefore string
}

// OK reports whether every item is proved.
func OK(list []Verdict) bool {
	for _, v := range list {
		if len(v.Findings) > 0 {
			return false
		}
	}
	return true
}

// Verify checks every item against the log's public keys: note verifier keys,
// one a line, whose names are origins of logs. The error says that the keys are
// unusable; what does not hold is in the verdicts.
func (r *Receipt) Verify(verifierKeys string) ([]Verdict, error) {
	keys, err := parseKeys(verifierKeys)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	list := make([]Verdict, len(r.Items))
	for i := range r.Items {
		c := checker{keys: keys, receipt: r, item: &r.Items[i]}
		c.v.Complaint, c.v.Result = c.item.Complaint, c.item.Result
		if seen[c.item.Complaint] {
			c.finding("the record stands twice")
		}
		seen[c.item.Complaint] = true
		c.check()
		list[i] = c.v
	}
	return list, nil
}

func parseKeys(lines string) (note.Verifiers, error) {
	var list []note.Verifier
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		v, err := note.NewVerifier(line)
		if err != nil {
			return nil, fmt.Errorf("reading verifier keys: %w", err)
		}
		list = append(list, v)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("reading verifier keys: there is none")
	}
	return note.VerifierList(list...), nil
}

type checker struct {
	keys    note.Verifiers
	receipt *Receipt
	item    *Item
	v       Verdict
}

func (c *checker) finding(format string, args ...any) {
	c.v.Findings = append(c.v.Findings, fmt.Sprintf(format, args...))
}

// stage1Kind is the kind of entry that proves a result.
func stage1Kind(result string) string {
	switch result {
	case Held, Retained:
		return "erasure.kept"
	case Shredded, Irrecoverable:
		return "erasure.shredded"
	case Reduced:
		return "erasure.reduced"
	}
	return ""
}

func (c *checker) check() {
	kind := stage1Kind(c.item.Result)
	if kind == "" {
		c.finding("result is not one of held, retained, shredded, reduced, irrecoverable")
		return
	}
	first := c.entry("stage 1", c.item.Stage1, kind)
	if first == nil {
		return
	}
	f := first.Body.Facts
	c.v.At = first.SeqAt
	c.v.Basis, c.v.Commitment, c.v.WrappedSHA256 = text(f, "basis"), text(f, "commitment"), text(f, "wrapped_sha256")
	c.v.RequestedBy, c.v.ApprovedBy, c.v.Until = text(f, "requested_by"), text(f, "approved_by"), text(f, "until")
	c.v.KeyVersion, _ = f.Int("key_version")
	if kind == "erasure.kept" {
		if text(f, "result") != c.item.Result {
			c.finding("stage 1: the entry says another reason for keeping the record")
		}
		if c.item.Stage2 != nil {
			c.finding("stage 2: a kept record cannot be irrecoverable")
		}
		return
	}
	c.complete(kind)
	c.second(first)
}

// complete checks that the entry says all that an erasure is proved by: the log
// signs what was appended to it, also too little.
func (c *checker) complete(kind string) {
	if c.v.KeyVersion < 1 {
		c.finding("stage 1: no key version")
	}
	if c.v.Commitment == "" || c.v.WrappedSHA256 == "" {
		c.finding("stage 1: no commitment of the data key, or no digest of its wrapped form")
	}
	switch {
	case kind != "erasure.shredded":
	case c.v.RequestedBy == "" || c.v.ApprovedBy == "":
		c.finding("stage 1: does not name two persons")
	case c.v.RequestedBy == c.v.ApprovedBy:
		c.finding("stage 1: requested and approved by one person")
	}
}

func (c *checker) second(first *audit.Leaf) {
	if c.item.Stage2 == nil {
		if c.item.Result == Irrecoverable {
			c.finding("stage 2: missing")
		}
		return
	}
	if c.item.Result == Shredded {
		c.finding("stage 2: there, and the result does not say irrecoverable")
	}
	second := c.entry("stage 2", c.item.Stage2, "erasure.irrecoverable")
	if second == nil {
		return
	}
	f := second.Body.Facts
	version, _ := f.Int("key_version")
	c.v.IrrecoverableAt, c.v.SnapshotsBefore = second.SeqAt, text(f, "snapshots_destroyed_before")
	c.v.MinAvailable, _ = f.Int("min_available")
	switch {
	case version != c.v.KeyVersion:
		c.finding("stage 2: the entry is about another key version than stage 1")
	case c.v.MinAvailable <= version:
		c.finding("stage 2: the key version that wrapped the data key is still available")
	case second.Log == first.Log && second.Index <= first.Index:
		c.finding("stage 2: stands before stage 1 in the log")
	}
}

// entry verifies one proof and returns its entry, nil if it does not hold.
func (c *checker) entry(stage string, p *Proof, kind string) *audit.Leaf {
	if p == nil {
		c.finding("%s: missing", stage)
		return nil
	}
	leaf, err := audit.ParseLeaf(p.Leaf)
	if err != nil {
		c.finding("%s: the leaf is no entry of a log", stage)
		return nil
	}
	signed, err := note.Open([]byte(p.Checkpoint), c.keys)
	if err != nil {
		c.finding("%s: the checkpoint is not signed by a given key", stage)
		return nil
	}
	at, err := audit.ParseCheckpoint([]byte(signed.Text))
	if err != nil {
		c.finding("%s: the note is no checkpoint", stage)
		return nil
	}
	// The name of the key is the origin of the log that it signs for. Others may
	// have signed beside it.
	own := func(s note.Signature) bool { return s.Name == at.Origin }
	if at.Origin != leaf.Log || !slices.ContainsFunc(signed.Sigs, own) {
		c.finding("%s: the checkpoint is of another log", stage)
		return nil
	}
	if err := audit.VerifyInclusion(p.Index, at.Size, audit.LeafHash(p.Leaf), p.Path, at.Root); err != nil {
		c.finding("%s: the path does not lead from the entry to the signed root", stage)
		return nil
	}
	if !c.sameEntry(stage, p, &leaf, kind) {
		return nil
	}
	return &leaf
}

// sameEntry compares what the receipt says with the entry.
func (c *checker) sameEntry(stage string, p *Proof, leaf *audit.Leaf, kind string) bool {
	b := leaf.Body
	switch {
	case leaf.Index != p.Index || leaf.ID != p.Entry:
		c.finding("%s: id or index are not the entry's", stage)
	case b.Kind != kind || b.Stage != audit.StageEvent:
		c.finding("%s: the entry is no %s", stage, kind)
	case b.Institution != c.receipt.Institution:
		c.finding("%s: the entry is of another institution", stage)
	case b.Subject != "complaint:"+c.item.Complaint:
		c.finding("%s: the entry is about another record", stage)
	case text(b.Facts, "erasure") != cmp.Or(c.item.Erasure, c.receipt.Erasure):
		c.finding("%s: the entry is about another erasure", stage)
	default:
		return true
	}
	return false
}

func text(f audit.Facts, name string) string {
	s, _ := f.Text(name)
	return s
}
