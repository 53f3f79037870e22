package audittest

import (
	"encoding/hex"

	"github.com/sealtrail/sealtrail/audit"
)

// Closing returns the body of the last entry of a log that another follows, as package pglog writes it. It panics on an empty log.
func (l *Log) Closing() audit.Body { return l.own("log.closed") }

// Opening returns the body of the first entry of the log that follows l, which names l's present size and root. It panics on an
// empty log.
func (l *Log) Opening() audit.Body { return l.own("log.opened") }

func (l *Log) own(kind string) audit.Body {
	first, err := audit.ParseLeaf(l.leaves[0])
	if err != nil {
		panic("audittest: the first entry is none: " + err.Error())
	}
	root := l.tree.Root()
	return audit.Body{Institution: first.Body.Institution, At: l.now, Stage: audit.StageEvent, Kind: kind, Actor: audit.Actor{ID: "log"},
		Subject: "charter:log", Nonce: [16]byte{1}, Facts: audit.Facts{"origin": l.origin, "size": int64(l.Size()), "root": hex.EncodeToString(root[:])}}
}
