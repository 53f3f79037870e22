package complaint

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed registry.json
var registryJSON []byte

// Item is one word of a closed set with its two labels.
type Item struct {
	// ID is what is stored, logged and sent: lower-case ASCII.
	ID string `json:"id"`
	// ZH and EN are the labels for people.
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// StateItem is a state of the lifecycle and the stage that policy sees.
type StateItem struct {
	Item
	Stage string `json:"stage"`
}

// Transition is one act of the lifecycle. To is empty for an act that leaves
// the state as it is.
type Transition struct {
	Name  string   `json:"name"`
	From  []string `json:"from"`
	To    string   `json:"to"`
	Event string   `json:"event"`
	// Roles may perform the act; the policy decides, this list is what its
	// table is checked against.
	Roles []string `json:"roles"`
	// Requires names facts of the event that the caller must supply.
	Requires []string `json:"requires"`
	// Fields names sealed fields that must be in the record or come with the
	// call.
	Fields []string `json:"fields"`
	// Opens and Closes name clocks (internal/clock).
	Opens  []string `json:"opens"`
	Closes []string `json:"closes"`
	// FourEyes names an earlier transition whose actor must not be this one's.
	FourEyes string `json:"four_eyes"`
	ZH       string `json:"zh"`
	EN       string `json:"en"`
}

// EventKind is one kind of log entry and the closed schema of its facts:
// fact name to type, a trailing "?" marks an optional fact. See CheckFacts for
// the types.
type EventKind struct {
	Item
	Version int               `json:"version"`
	Facts   map[string]string `json:"facts"`
	// Opens says that an intent or event of this kind shows somebody content
	// of a sealed record, masked or whole. Whoever asks "who opened it?" counts
	// these.
	Opens bool `json:"opens"`
}

// ReasonItem is a code that a validation, the intake or the lifecycle gives
// for saying no. Policy has reason codes of its own.
type ReasonItem struct {
	Item
	// Area is validation, intake or lifecycle.
	Area string `json:"area"`
}

// Vocabulary is the parsed registry. It is shared and MUST NOT be changed.
type Vocabulary struct {
	Version     int               `json:"version"`
	Sets        map[string][]Item `json:"sets"`
	States      []StateItem       `json:"states"`
	Transitions []Transition      `json:"transitions"`
	CommonFacts map[string]string `json:"common_facts"`
	Events      []EventKind       `json:"events"`
	Reasons     []ReasonItem      `json:"reasons"`

	members map[string]map[string]Item
	moves   map[string]*Transition
	kinds   map[string]*EventKind
	reasons map[string]*ReasonItem
	states  map[string]*StateItem
}

var parsedRegistry = sync.OnceValue(func() *Vocabulary {
	v, err := parseRegistry(registryJSON)
	if err != nil {
		// The file is embedded and tested: this is a broken build.
		panic(err)
	}
	return v
})

// Registry returns the embedded vocabulary, parsed once. It is safe for
// concurrent use; callers MUST NOT change what it points to.
func Registry() *Vocabulary { return parsedRegistry() }

// RegistryJSON returns a copy of the embedded file, for generators and for the
// blob folder of the published log.
func RegistryJSON() []byte { return bytes.Clone(registryJSON) }

func parseRegistry(data []byte) (*Vocabulary, error) {
	var v Vocabulary
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("parsing registry.json: %w", err)
	}
	v.index()
	return &v, nil
}

func (v *Vocabulary) index() {
	v.members = make(map[string]map[string]Item, len(v.Sets)+2)
	for name, items := range v.Sets {
		v.members[name] = byID(items)
	}
	v.states = make(map[string]*StateItem, len(v.States))
	states := make([]Item, len(v.States))
	for i := range v.States {
		v.states[v.States[i].ID] = &v.States[i]
		states[i] = v.States[i].Item
	}
	v.Sets["state"], v.members["state"] = states, byID(states)
	v.moves = make(map[string]*Transition, len(v.Transitions))
	for i := range v.Transitions {
		v.moves[v.Transitions[i].Name] = &v.Transitions[i]
	}
	v.kinds = make(map[string]*EventKind, len(v.Events))
	for i := range v.Events {
		v.kinds[v.Events[i].ID] = &v.Events[i]
	}
	v.reasons = make(map[string]*ReasonItem, len(v.Reasons))
	for i := range v.Reasons {
		v.reasons[v.Reasons[i].ID] = &v.Reasons[i]
	}
}

func byID(items []Item) map[string]Item {
	m := make(map[string]Item, len(items))
	for _, it := range items {
		m[it.ID] = it
	}
	return m
}

// Has reports whether id is a member of the named set ("role", "purpose",
// "channel", "state", ...). An unknown set has no members.
func (v *Vocabulary) Has(set, id string) bool {
	_, ok := v.members[set][id]
	return ok
}

// Allowed lists the ids of a set in the registry's order, as a fresh slice.
func (v *Vocabulary) Allowed(set string) []string {
	items := v.Sets[set]
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.ID
	}
	return ids
}

// Label returns the two labels of a member; ok is false for an unknown one.
func (v *Vocabulary) Label(set, id string) (zh, en string, ok bool) {
	it, ok := v.members[set][id]
	return it.ZH, it.EN, ok
}

// Transition returns the named transition; ok is false for an unknown name.
func (v *Vocabulary) Transition(name string) (Transition, bool) {
	t, ok := v.moves[name]
	if !ok {
		return Transition{}, false
	}
	return *t, true
}

// Event returns the named event kind; ok is false for an unknown one.
func (v *Vocabulary) Event(kind string) (EventKind, bool) {
	k, ok := v.kinds[kind]
	if !ok {
		return EventKind{}, false
	}
	return *k, true
}

// Reason returns the code with its labels; ok is false for an unknown code.
func (v *Vocabulary) Reason(code string) (ReasonItem, bool) {
	r, ok := v.reasons[code]
	if !ok {
		return ReasonItem{}, false
	}
	return *r, true
}

// EventsOf lists the event kinds whose id starts with prefix, sorted.
func (v *Vocabulary) EventsOf(prefix string) []string {
	var ids []string
	for _, k := range v.Events {
		if strings.HasPrefix(k.ID, prefix) {
			ids = append(ids, k.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// OpeningKinds lists the event kinds that show content of a sealed record,
// sorted.
func (v *Vocabulary) OpeningKinds() []string {
	var ids []string
	for _, k := range v.Events {
		if k.Opens {
			ids = append(ids, k.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// ValueError says that a value is not a member of a closed set. It names the
// set and what is allowed, never the value that was given.
type ValueError struct {
	// Name is the attribute or set that was checked.
	Name    string
	Allowed []string
}

// Error lists the allowed values.
func (e *ValueError) Error() string {
	return fmt.Sprintf("checking %s: value is not one of %s", e.Name, strings.Join(e.Allowed, ", "))
}

// CheckMember returns a *ValueError if id is not in the set.
func CheckMember(set, id string) error {
	if Registry().Has(set, id) {
		return nil
	}
	return &ValueError{Name: set, Allowed: Registry().Allowed(set)}
}
