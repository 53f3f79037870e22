package pglog_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/sealtrail/sealtrail/audit"
)

// altered is an event that says what its subject was altered to.
func altered(subject string, revision uint64, state string) audit.Body {
	b := body(subject, int(revision))
	sum := sha256.Sum256([]byte(state))
	b.Stage, b.Revision, b.Commit = audit.StageEvent, revision, map[string]string{audit.StatePath: hex.EncodeToString(sum[:])}
	return b
}

// The head of a trail names the newest state: intents, other commitments and
// events of older revisions leave it alone, in one batch or over several.
func TestTrailHeadKnowsTheNewestState(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	appendOne := func(b audit.Body) uint64 {
		r, err := e.log.Append(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return r[0].EntryID()
	}
	expect := func(when string, revision, id uint64, state string) {
		t.Helper()
		e.sequenceAll()
		var gotRevision, gotID uint64
		var got []byte
		err := e.pool.QueryRow(t.Context(), "select revision, state_id, state from audit.trail where institution = $1 and subject = 'complaint:1'", inst).
			Scan(&gotRevision, &gotID, &got)
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		if state != "" {
			sum := sha256.Sum256([]byte(state))
			want = sum[:]
		}
		if gotRevision != revision || gotID != id || !bytes.Equal(got, want) {
			t.Errorf("%s: revision %d by entry %d, want %d by %d (state equal: %v)", when, gotRevision, gotID, revision, id, bytes.Equal(got, want))
		}
	}
	appendOne(body("complaint:1", 1)) // an intent at revision 3 commits to nothing
	expect("no event yet", 0, 0, "")
	appendOne(altered("complaint:1", 1, "one"))
	second := appendOne(altered("complaint:1", 2, "two"))
	expect("two in one batch", 2, second, "two")
	appendOne(altered("complaint:1", 2, "another two"))
	appendOne(altered("complaint:1", 1, "one again"))
	intent := altered("complaint:1", 9, "never")
	intent.Stage = audit.StageIntent
	appendOne(intent)
	other := altered("complaint:1", 9, "never")
	other.Commit = map[string]string{"reason": other.Commit[audit.StatePath]}
	appendOne(other)
	expect("nothing newer", 2, second, "two")
	third := appendOne(altered("complaint:1", 3, "three"))
	expect("newer", 3, third, "three")
}
