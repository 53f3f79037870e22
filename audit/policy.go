package audit

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// ErrPolicy is wrapped by every refusal of a witness policy.
var ErrPolicy = errors.New("malformed witness policy")

// Limits of a policy file. C2SP tlog-policy asks for at least 32 logs, witnesses and groups.
const (
	maxPolicy      = 1 << 20 // bytes
	maxPolicyNames = 1000    // logs, witnesses and groups together
)

// WitnessPolicy says which logs and witnesses count, and which witnesses together make a checkpoint count (C2SP tlog-policy). It
// is read once and not changed; safe for concurrent use. The zero value has no witness and asks for none.
type WitnessPolicy struct {
	logs      []PolicyLog
	witnesses []PolicyWitness
	nodes     []policyNode
	quorum    int // node; noQuorum: no cosignature is needed
}

// PolicyLog is a log of a policy.
type PolicyLog struct {
	VerifierKey string // its name is the origin
	URL         string // empty if there is none
}

// PolicyWitness is a witness of a policy.
type PolicyWitness struct {
	Label       string // its name within the policy
	VerifierKey string // as the file has it
	URL         string // submission prefix of tlog-witness; empty if there is none

	verifier *CosignatureVerifier
}

// Verifier checks the witness's cosignatures.
func (w PolicyWitness) Verifier() *CosignatureVerifier { return w.verifier }

// policyNode is a witness (members nil) or a group.
type policyNode struct {
	name    string
	witness int   // index in witnesses
	members []int // indexes of nodes
	k       int   // how many of them
	used    bool  // is a member of a group
}

const (
	noQuorum     = -1
	noQuorumName = "none"
)

// ParseWitnessPolicy reads a policy file. The error wraps [ErrPolicy] and names the line.
func ParseWitnessPolicy(data []byte) (*WitnessPolicy, error) {
	if len(data) > maxPolicy {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrPolicy, maxPolicy)
	}
	p, quorum := &WitnessPolicy{quorum: noQuorum}, false
	for i, line := range bytes.Split(data, []byte("\n")) {
		if bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("%w: line %d: a control character", ErrPolicy, i+1)
		}
		words := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if words[0] == "quorum" && quorum {
			return nil, fmt.Errorf("%w: line %d: a second quorum", ErrPolicy, i+1)
		}
		if err := p.line(words); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrPolicy, i+1, err)
		}
		quorum = quorum || words[0] == "quorum"
		if len(p.logs)+len(p.nodes) > maxPolicyNames {
			return nil, fmt.Errorf("%w: more than %d logs, witnesses and groups", ErrPolicy, maxPolicyNames)
		}
	}
	if !quorum {
		return nil, fmt.Errorf("%w: no quorum line", ErrPolicy)
	}
	return p, nil
}

func (p *WitnessPolicy) line(words []string) error {
	switch args := words[1:]; words[0] {
	case "log":
		return p.log(args)
	case "witness":
		return p.witness(args)
	case "group":
		return p.group(args)
	case "quorum":
		if len(args) != 1 {
			return errors.New("quorum has one name")
		}
		if args[0] == noQuorumName {
			return nil
		}
		if p.quorum = p.find(args[0]); p.quorum == noQuorum {
			return fmt.Errorf("quorum %q is not defined above", args[0])
		}
		return nil
	default:
		return fmt.Errorf("unknown keyword %q", words[0])
	}
}

func (p *WitnessPolicy) log(args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return errors.New("log has a key and perhaps a URL")
	}
	if _, err := note.NewVerifier(args[0]); err != nil {
		return fmt.Errorf("log key: %w", err)
	}
	for _, l := range p.logs {
		if keyMaterial(l.VerifierKey) == keyMaterial(args[0]) {
			return errors.New("the log's key is there already")
		}
	}
	p.logs = append(p.logs, PolicyLog{VerifierKey: args[0], URL: optional(args, 1)})
	return nil
}

// keyMaterial is the public key of a verifier key in base64, without name and type: two keys are duplicates if it is the same.
func keyMaterial(vkey string) string {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return vkey
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) == 0 {
		return vkey
	}
	return string(raw[1:])
}

func optional(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

func (p *WitnessPolicy) witness(args []string) error {
	if len(args) != 2 && len(args) != 3 {
		return errors.New("witness has a name, a key and perhaps a URL")
	}
	if err := p.fresh(args[0]); err != nil {
		return err
	}
	v, err := NewCosignatureVerifier(args[1])
	if err != nil {
		return fmt.Errorf("witness key: %w", err)
	}
	for _, w := range p.witnesses {
		if keyMaterial(w.VerifierKey) == keyMaterial(args[1]) {
			return errors.New("the witness's key is there already")
		}
	}
	p.nodes = append(p.nodes, policyNode{name: args[0], witness: len(p.witnesses)})
	p.witnesses = append(p.witnesses, PolicyWitness{Label: args[0], VerifierKey: args[1], URL: optional(args, 2), verifier: v})
	return nil
}

func (p *WitnessPolicy) group(args []string) error {
	if len(args) < 3 {
		return errors.New("group has a name, a number and members")
	}
	if err := p.fresh(args[0]); err != nil {
		return err
	}
	g := policyNode{name: args[0], members: make([]int, 0, len(args)-2)}
	for _, name := range args[2:] {
		i := p.find(name)
		switch {
		case i == noQuorum:
			return fmt.Errorf("member %q is not defined above", name)
		case p.nodes[i].used:
			return fmt.Errorf("%q is a member already", name)
		}
		p.nodes[i].used = true
		g.members = append(g.members, i)
	}
	switch args[1] {
	case "all":
		g.k = len(g.members)
	case "any":
		g.k = 1
	default:
		k, err := strconv.ParseUint(args[1], 10, 16)
		if err != nil || strconv.FormatUint(k, 10) != args[1] || k < 1 || k > uint64(len(g.members)) {
			return fmt.Errorf("%q of %d members", args[1], len(g.members))
		}
		g.k = int(k)
	}
	p.nodes = append(p.nodes, g)
	return nil
}

// fresh refuses names that are taken.
func (p *WitnessPolicy) fresh(name string) error {
	if name == noQuorumName || p.find(name) != noQuorum {
		return fmt.Errorf("name %q is taken", name)
	}
	return nil
}

func (p *WitnessPolicy) find(name string) int {
	return slices.IndexFunc(p.nodes, func(n policyNode) bool { return n.name == name })
}

// NewWitnessPolicy returns the policy "k of these witnesses", the short form of a file; k 0 means all of them. Its witnesses have
// no URL. Without keys it asks for none. The error wraps [ErrPolicy].
func NewWitnessPolicy(k int, witnessKeys ...string) (*WitnessPolicy, error) {
	p := &WitnessPolicy{quorum: noQuorum}
	for i, key := range witnessKeys {
		if err := p.witness([]string{strconv.Itoa(i + 1), key}); err != nil {
			return nil, fmt.Errorf("%w: witness %d: %w", ErrPolicy, i+1, err)
		}
	}
	if k < 0 || k > len(p.nodes) {
		return nil, fmt.Errorf("%w: quorum %d of %d witnesses", ErrPolicy, k, len(p.nodes))
	}
	if len(p.nodes) == 0 {
		return p, nil
	}
	g := policyNode{k: k}
	if k == 0 {
		g.k = len(p.nodes)
	}
	for i := range p.nodes {
		g.members = append(g.members, i)
	}
	p.quorum, p.nodes = len(p.nodes), append(p.nodes, g)
	return p, nil
}

// Logs returns the logs, in the file's order; it may be empty.
func (p *WitnessPolicy) Logs() []PolicyLog { return slices.Clone(p.logs) }

// Witnesses returns the witnesses, in the file's order, also those that the quorum does not count.
func (p *WitnessPolicy) Witnesses() []PolicyWitness { return slices.Clone(p.witnesses) }

// NeedsWitnesses reports whether the quorum is more than "none".
func (p *WitnessPolicy) NeedsWitnesses() bool { return p.quorum >= 0 && len(p.nodes) > 0 }

// Quorum reports whether the witnesses for which cosigned says true make the quorum. cosigned gets positions in
// [WitnessPolicy.Witnesses].
func (p *WitnessPolicy) Quorum(cosigned func(i int) bool) bool {
	return !p.NeedsWitnesses() || p.holds(p.quorum, cosigned)
}

func (p *WitnessPolicy) holds(i int, cosigned func(int) bool) bool {
	n := p.nodes[i]
	if n.members == nil {
		return cosigned(n.witness)
	}
	have := 0
	for _, m := range n.members {
		if p.holds(m, cosigned) {
			have++
		}
	}
	return have >= n.k
}

// Newest returns the latest moment at or after which a quorum cosigned, given when each witness did (zero: never); ok is false if
// none did, or none is needed.
func (p *WitnessPolicy) Newest(at func(i int) time.Time) (newest time.Time, ok bool) {
	if !p.NeedsWitnesses() {
		return newest, false
	}
	for i := range p.witnesses {
		limit := at(i)
		if limit.IsZero() || ok && !limit.After(newest) {
			continue
		}
		if p.Quorum(func(j int) bool { t := at(j); return !t.IsZero() && !t.Before(limit) }) {
			newest, ok = limit, true
		}
	}
	return newest, ok
}
