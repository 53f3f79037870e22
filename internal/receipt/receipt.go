// Package receipt is the form of an erasure receipt and how it is verified with
// nothing at hand but the receipt and the log's public key.
//
// The one idea: a receipt claims nothing by itself. Each stage is one entry of
// the log, byte for byte, with its path to the root of a signed checkpoint; what
// the receipt says besides is compared with that entry. The package must never
// know a database, Vault or the network.
package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Format is the value of Receipt.Format.
const Format = "sealtrail/erasure-receipt/v1"

// MaxSize bounds a receipt in bytes: 10,000 records at some 6 KB.
const MaxSize = 64 << 20

// Results of an item: what became of one record.
const (
	Held          = "held"          // kept: a legal hold
	Retained      = "retained"      // kept: statutory retention has not ended
	Shredded      = "shredded"      // stage 1: the data key was destroyed
	Reduced       = "reduced"       // stage 1: groups of fields were erased
	Irrecoverable = "irrecoverable" // stage 2: no key backup opens it any more
)

// ErrMalformed is wrapped by every refusal of bytes that are no receipt.
var ErrMalformed = errors.New("malformed erasure receipt")

// Receipt is what an institution hands to whoever asked for an erasure.
type Receipt struct {
	// Format names this form; see Format.
	Format string `json:"format"`
	// Institution and Erasure name the request.
	Institution string `json:"institution"`
	Erasure     string `json:"erasure"`
	// Items are the records that the request was about, in order of their ids.
	Items []Item `json:"items"`
}

// Item is what became of one record.
type Item struct {
	Complaint string `json:"complaint"`
	// Erasure is set where an earlier erasure had erased the record already: then
	// the entries are about that one.
	Erasure string `json:"erasure,omitempty"`
	// Result is one of the results above.
	Result string `json:"result"`
	// Stage1 proves what was done: erasure.shredded or erasure.reduced; for a
	// kept record erasure.kept.
	Stage1 *Proof `json:"stage1"`
	// Stage2 proves that nobody can undo it: erasure.irrecoverable. Nil before
	// the key epoch was closed.
	Stage2 *Proof `json:"stage2,omitempty"`
}

// Proof is one entry of the log and its path to a signed checkpoint.
type Proof struct {
	// Entry is the id of the entry, Index its place in the log.
	Entry uint64 `json:"entry,string"`
	Index uint64 `json:"index,string"`
	// Leaf is the entry byte for byte as the log hashes it.
	Leaf []byte `json:"leaf"`
	// Path is the RFC 6962 audit path from the leaf to the checkpoint's root.
	Path [][]byte `json:"path"`
	// Checkpoint is the signed note (C2SP tlog-checkpoint) with all its lines.
	Checkpoint string `json:"checkpoint"`
}

// Parse reads a receipt. It refuses, wrapping ErrMalformed, unknown members,
// another format and anything after the end; it proves nothing.
func Parse(data []byte) (*Receipt, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxSize)
	}
	var r Receipt
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w: not the JSON of a receipt", ErrMalformed)
	}
	if dec.More() {
		return nil, fmt.Errorf("%w: more than one value", ErrMalformed)
	}
	if err := exact(data); err != nil {
		return nil, err
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%w: unknown format", ErrMalformed)
	}
	if r.Institution == "" || r.Erasure == "" || len(r.Items) == 0 {
		return nil, fmt.Errorf("%w: institution, erasure and items are required", ErrMalformed)
	}
	return &r, nil
}

// members are the names that the objects of a receipt have.
const members = " format institution erasure items complaint result stage1 stage2 entry index leaf path checkpoint "

// exact refuses a name that stands twice in its object or is spelled otherwise: encoding/json takes both, and another reader might
// take the other one.
func exact(data []byte) error {
	var open []map[string]bool // names seen so far in each open object; nil for an array
	dec, name := json.NewDecoder(bytes.NewReader(data)), false
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: not the JSON of a receipt", ErrMalformed)
		}
		switch t {
		case json.Delim('{'):
			open = append(open, map[string]bool{})
			name = true
			continue
		case json.Delim('['):
			open = append(open, nil)
			name = false
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if name {
				s, _ := t.(string)
				if last := open[len(open)-1]; last[s] || !strings.Contains(members, " "+s+" ") {
					return fmt.Errorf("%w: a member stands twice or is spelled otherwise", ErrMalformed)
				}
				open[len(open)-1][s] = true
				name = false
				continue
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}
