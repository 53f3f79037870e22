package receipt_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/internal/receipt"
)

// An entry that leaves out what a receipt proves proves nothing: no version is
// not a version below every other one, and nobody is no second person.
func TestEntriesThatSayTooLittleProveNothing(t *testing.T) {
	t.Parallel()
	without := func(b audit.Body, names ...string) audit.Body {
		for _, name := range names {
			delete(b.Facts, name)
		}
		return b
	}
	for name, c := range map[string]struct {
		want          string
		first, second audit.Body
	}{
		"no version anywhere": {"no key version", without(shredded(one), "key_version"), without(irrecoverable(one, 3, 4), "key_version")},
		"no version at first": {"no key version", without(shredded(one), "key_version"), irrecoverable(one, 3, 4)},
		"nobody asked":        {"two persons", without(shredded(one), "requested_by"), irrecoverable(one, 3, 4)},
		"nobody approved":     {"two persons", without(shredded(one), "approved_by"), irrecoverable(one, 3, 4)},
		"no commitment":       {"no commitment", without(shredded(one), "commitment"), irrecoverable(one, 3, 4)},
		"no digest":           {"no commitment", without(shredded(one), "wrapped_sha256"), irrecoverable(one, 3, 4)},
	} {
		l := audittest.New(audittest.Config{})
		l.Append(c.first, c.second)
		l.Publish()
		r := &receipt.Receipt{Format: receipt.Format, Institution: "demo", Erasure: erasure, Items: []receipt.Item{
			{Complaint: one, Result: receipt.Irrecoverable, Stage1: proof(t, l, 0), Stage2: proof(t, l, 1)}}}
		list := verdicts(t, l, r)
		if receipt.OK(list) || !slices.ContainsFunc(list[0].Findings, func(f string) bool { return strings.Contains(f, c.want) }) {
			t.Errorf("%s: findings %q, want one with %q", name, list[0].Findings, c.want)
		}
	}
}

// A checkpoint may carry other signatures that hold, before its log's own: those
// of another log of the same institution, say. It is proved by its own; by the
// others alone it is not.
func TestTheLogsOwnSignatureCountsWhereverItStands(t *testing.T) {
	t.Parallel()
	l, r := sample(t)
	other := audittest.New(audittest.Config{Origin: "other.example/demo/2027", Seed: 7})
	signed := l.Checkpoint()
	text, own, _ := bytes.Cut(signed, []byte("\n\n"))
	checkpoint, err := audit.ParseCheckpoint(append(bytes.Clone(text), '\n'))
	if err != nil {
		t.Fatal(err)
	}
	_, foreign, _ := bytes.Cut(other.Sign(checkpoint), []byte("\n\n"))
	keys := l.VerifierKey() + "\n" + other.VerifierKey() + "\n"
	for _, c := range []struct {
		signatures []byte
		proved     bool
	}{{own, true}, {slices.Concat(foreign, own), true}, {slices.Concat(own, foreign), true}, {foreign, false}} {
		for i := range r.Items {
			for _, p := range []*receipt.Proof{r.Items[i].Stage1, r.Items[i].Stage2} {
				if p != nil {
					p.Checkpoint = string(slices.Concat(text, []byte("\n\n"), c.signatures))
				}
			}
		}
		list, err := r.Verify(keys)
		if err != nil || receipt.OK(list) != c.proved {
			t.Errorf("signatures\n%swant proved %v; %v: %+v", c.signatures, c.proved, err, list)
		}
	}
}
