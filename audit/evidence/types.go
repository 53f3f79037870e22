package evidence

import "time"

// Format is the value of the member "format" of evidence.json.
const Format = "sealtrail-evidence/v1"

// Scopes of a bundle.
const (
	ScopeTrail = "trail"
	ScopeQuery = "query"
)

// Parts that an item may have: why the entry is in the bundle.
const (
	PartTrail   = "trail"   // an entry of the subject
	PartHit     = "hit"     // an entry that the query found
	PartOutcome = "outcome" // what came of a request whose intent is in trail or hit
	PartPolicy  = "policy"  // an entry of PolicySubject
	PartHeads   = "heads"   // an entry that commits to the ends of all trails
	PartSupport = "support" // another entry that a rule needs
)

// PolicySubject is the trail in which policy bundles become active.
const PolicySubject = "charter:bundle"

// State is what became of an entry or of what opens a commitment.
type State string

// The states, which are never to be confused. Erased is for openings only.
const (
	Disclosed State = "disclosed" // shown, and compared with what was committed to
	Withheld  State = "withheld"  // the maker does not show it, and says why
	Erased    State = "erased"    // destroyed by an approved erasure that is proved beside it
	Missing   State = "missing"   // none of these: a violation
)

// ReasonNotKept is the reason of an opening that the service keeps for nobody.
const ReasonNotKept = "not_kept"

// Bundle is an evidence bundle in memory: evidence.json and the files beside it. The slices may be in any order when it is written;
// an opened bundle has them in the order of the format.
type Bundle struct {
	Institution string
	MadeAt      time.Time
	Subject     string // scope trail; empty: scope query
	Query       *Query // scope query; nil: scope trail

	Logs        []Log
	Items       []Item
	Heads       []Head
	Openings    []Opening
	Consistency []Consistency
	Stamps      []Stamp
	Actors      []Actor

	Blobs  map[string][]byte // by SHA-256 in hex
	Readme []byte            // README.txt
	Page   []byte            // verify.html
}

// Scope is ScopeTrail or ScopeQuery.
func (b *Bundle) Scope() string {
	if b.Query != nil {
		return ScopeQuery
	}
	return ScopeTrail
}

// Query is what was asked.
type Query struct {
	Text string
	Size uint64 // tree size that it was asked at
	Log  int    // place in Logs
}

// Log is one log of the institution, as of one checkpoint.
type Log struct {
	Origin     string
	Year       int
	Key        string // verifier key as the maker says it: shown, never believed
	Size       uint64 // of the checkpoint
	Checkpoint []byte // signed note
}

// Place is an entry's place.
type Place struct {
	Log   int    // place in Bundle.Logs
	Index uint64 // in that log
}

// Item is one entry.
type Item struct {
	Place
	Part   string
	State  State  // Disclosed, Withheld or Missing
	Leaf   []byte // the entry's bytes, if Disclosed
	Hash   [32]byte
	Reason string     // if Withheld
	Path   [][32]byte // RFC 6962 audit path to the root of the log's checkpoint; not used if Proof is set
	Proof  []byte     // the file of the proof; Write makes it of Path where it is empty
}

// Head says where a trail ends, by an entry that commits to the ends of all trails.
type Head struct {
	Place          // of that entry
	Subject string // of the trail
	N       uint64 // 0: there is no such trail
	Last    [32]byte
	Path    [][32]byte // siblings from the root downwards
	Other   *OtherHead // proof of absence by another trail's leaf
}

// OtherHead is the trail that stands where a missing one would.
type OtherHead struct {
	Key  [32]byte
	N    uint64
	Last [32]byte
}

// Opening is what became of one commitment of an item.
type Opening struct {
	Place
	Path   string
	State  State
	Salt   [16]byte // if Disclosed
	Value  string   // if Disclosed
	Reason string   // if Withheld
	Proof  *Place   // if Erased: the entry that erased it
}

// Consistency shows that the first From entries of a log are those of its checkpoint.
type Consistency struct {
	Log  int
	From uint64
	Path [][32]byte
}

// Stamp is a time stamp over the checkpoint of that size.
type Stamp struct {
	Log   int
	Size  uint64
	Token []byte // RFC 3161
}

// Actor is a name for an alias: the service's word.
type Actor struct{ Alias, Name string }
