package custody

import (
	"context"
	"fmt"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// redaction is what became of the opening of a commitment that is not shown:
// wanted says that the service had to keep it, kept that it is there, erased that
// its record was erased behind it. What had to be kept and is neither there nor
// erased is missing: a violation, never to be taken for anything else.
func redaction(wanted, kept, erased bool) evidence.State {
	switch {
	case kept || !wanted:
		return evidence.Withheld
	case erased:
		return evidence.Erased
	}
	return evidence.Missing
}

// redactions says it of the commitments of one entry of a trail. erased says that
// an entry behind it erased the record.
func (d *Door) redactions(ctx context.Context, e pglog.TrailEntry, erased bool) (map[string]string, error) {
	b, err := audit.ParseBody(e.Body)
	if err != nil || len(b.Commit) == 0 {
		return nil, err
	}
	states := map[string]string{}
	for path := range b.Commit {
		switch path {
		case audit.StatePath: // a plain digest: it has no opening
		case keptPath:
			kept, err := d.noteKept(ctx, e.ID)
			if err != nil {
				return nil, err
			}
			wanted := false
			if !kept {
				if wanted, err = d.wasAnswered(ctx, e.ID, &b); err != nil {
					return nil, err
				}
			}
			states[path] = string(redaction(wanted, kept, erased))
		default:
			states[path] = string(evidence.Withheld)
		}
	}
	return states, nil
}

// noteKept says whether the reason that somebody gave can still be opened.
func (d *Door) noteKept(ctx context.Context, entry uint64) (bool, error) {
	stored, err := d.cfg.Log.Openings(ctx, entry)
	if err != nil {
		return false, logError(err)
	}
	return slices.ContainsFunc(stored, func(o pglog.Opening) bool { return o.Path == keptPath && len(o.ValueSealed) > 0 }), nil
}

// wasAnswered says whether what an intent asked for was given.
func (d *Door) wasAnswered(ctx context.Context, entry uint64, intent *audit.Body) (bool, error) {
	if intent.Request == "" || intent.Stage != audit.StageIntent {
		return false, nil
	}
	entries, err := d.cfg.Log.Trail(ctx, "request:"+intent.Request, trailLimit)
	if err != nil {
		return false, logError(err)
	}
	return slices.ContainsFunc(entries, func(e pglog.TrailEntry) bool {
		b, err := audit.ParseBody(e.Body)
		intents, _ := b.Facts.List("intents")
		outcome, _ := b.Facts.Text("outcome")
		return err == nil && outcome == "answered" && slices.Contains(intents, fmt.Sprintf("e%d", entry))
	}), nil
}
