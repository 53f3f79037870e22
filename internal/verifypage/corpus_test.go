package verifypage_test

import (
	"testing"

	"github.com/sealtrail/sealtrail/audit/evidence/evidencetest"
	"github.com/sealtrail/sealtrail/internal/chromiumtest"
)

// deserving is the corpus that Go's own verifier is held to, with the verdict that each bundle deserves: of two seeds every genuine
// bundle and two of three forgeries.
func deserving(t *testing.T) (all []*forged, cases []evidencetest.Case) {
	t.Helper()
	for i, c := range evidencetest.Make(2) {
		if !c.OK && i%3 == 0 {
			continue
		}
		cases = append(cases, c)
		all = append(all, &forged{c.Class, c.Data, job{Keys: c.Keys, Witnesses: c.Witnesses, Quorum: c.Quorum, Pinned: c.Pinned, Opens: c.Opens}})
	}
	if proofs, forgeries := evidencetest.Counts(cases); proofs < 400 || forgeries < 1400 {
		t.Errorf("%d genuine proofs and %d forgeries, promised are 400 and 1,400", proofs, forgeries)
	}
	return all, cases
}

// TestNodeGivesTheVerdictThatTheCorpusDeserves: what the corpus says of each bundle is what the page's core says.
func TestNodeGivesTheVerdictThatTheCorpusDeserves(t *testing.T) {
	t.Parallel()
	all, cases := deserving(t)
	differ := 0
	for i, got := range runNode[verdict](t, written(t, all)) {
		if c := cases[i]; got.OK != c.OK || got.Step != c.Step || got.Code != c.Code || got.Unusable != 0 {
			if differ++; differ < 10 {
				t.Errorf("%s: %v, deserved: ok %v, step %d, %s", c.Class, got, c.OK, c.Step, c.Code)
			}
		}
	}
	proofs, forgeries := evidencetest.Counts(cases)
	t.Logf("%d genuine proofs, %d forgeries of %d classes, %d differ", proofs, forgeries, len(evidencetest.Classes(cases)), differ)
}

// TestChromiumGivesTheVerdictThatTheCorpusDeserves: the same through the page itself, opened once from disk.
func TestChromiumGivesTheVerdictThatTheCorpusDeserves(t *testing.T) {
	t.Parallel()
	all, _ := deserving(t)
	written(t, all)
	p, address := openPage(t, chromiumtest.Start(t))
	for _, g := range byReader(all) {
		chosen(t, p, g)
	}
	quiet(t, p, address)
}
