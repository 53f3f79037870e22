package clock

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

//go:embed profiles.json
var profilesJSON []byte

// Units of a limit.
const (
	UnitHour    = "hour"    // elapsed hours
	UnitCalDay  = "calday"  // calendar days
	UnitWorkday = "workday" // working days
)

// StartReceived is the start of a clock that runs from the time of receipt;
// every other start and every stop is an event kind.
const StartReceived = "received"

// Step is one level to which a limit may be extended, in the limit's unit and
// counted from its start.
type Step struct {
	To int `json:"to"`
	// Notice: the extension counts only if the complainant was told of it
	// before the limit that it extends.
	Notice bool `json:"notice"`
}

// Definition is one clock as data.
type Definition struct {
	ID string `json:"id"`
	// Article is the section of the norm or the law that sets the limit. If
	// the source changes, the source is what must be changed first.
	Article string `json:"article"`
	// Start is StartReceived or an event kind, Stop an event kind.
	Start string `json:"start"`
	Stop  string `json:"stop"`
	Unit  string `json:"unit"`
	// Amount is in Unit.
	Amount int `json:"amount"`
	// Referral restricts the clock to complaints referred by one of these.
	Referral []string `json:"referral"`
	// Steps are the extensions, ascending; none means no extension.
	Steps []Step `json:"steps"`
	// StatusCheckedAt is when somebody last looked whether the article is in
	// force (YYYY-MM-DD), Status what was found. Empty for the norm.
	StatusCheckedAt string `json:"status_checked_at"`
	Status          string `json:"status"`
	ZH              string `json:"zh"`
	EN              string `json:"en"`

	// Law tells a limit of law from a promise of the institution's own.
	Law bool `json:"-"`
	// From: the clock applies to complaints received at or after it; zero
	// means all. A norm has no force before its adoption.
	From time.Time `json:"-"`
}

// Profile is a set of clocks that apply together. It is immutable.
type Profile struct {
	ID  string `json:"id"`
	Law bool   `json:"law"`
	ZH  string `json:"zh"`
	EN  string `json:"en"`
	// Ends are the event kinds after which no clock of the complaint runs.
	Ends   []string     `json:"ends"`
	Clocks []Definition `json:"clocks"`
}

var embeddedProfiles = sync.OnceValue(func() map[string]Profile {
	all, err := ParseProfiles(profilesJSON)
	if err != nil {
		// The file is embedded and tested: this is a broken build.
		panic(err)
	}
	byID := make(map[string]Profile, len(all))
	for _, p := range all {
		byID[p.ID] = p
	}
	return byID
})

// ParseProfiles reads a profiles file and refuses unknown keys and units, and
// steps that do not ascend from the amount.
func ParseProfiles(data []byte) ([]Profile, error) {
	var f struct {
		Version  int       `json:"version"`
		Profiles []Profile `json:"profiles"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("parsing clock profiles: %w", err)
	}
	for i := range f.Profiles {
		p := &f.Profiles[i]
		for j := range p.Clocks {
			p.Clocks[j].Law = p.Law
			if err := p.Clocks[j].check(); err != nil {
				return nil, fmt.Errorf("parsing clock profiles: %s: %w", p.Clocks[j].ID, err)
			}
		}
	}
	return f.Profiles, nil
}

// maxAmount bounds a limit, in its unit: ten years in days. A typing error of
// three digits would otherwise count working days for minutes.
const maxAmount = 3660

func (d *Definition) check() error {
	if !slices.Contains([]string{UnitHour, UnitCalDay, UnitWorkday}, d.Unit) {
		return fmt.Errorf("unit is not one of hour, calday, workday")
	}
	if d.Amount <= 0 || d.Amount > maxAmount || d.ID == "" || d.Start == "" || d.Stop == "" {
		return fmt.Errorf("id, start, stop and an amount from 1 to %d are required", maxAmount)
	}
	last := d.Amount
	for _, s := range d.Steps {
		if s.To <= last || s.To > maxAmount {
			return fmt.Errorf("extension steps do not ascend")
		}
		last = s.To
	}
	return nil
}

// CNLaw is the default profile: limits set by Chinese law.
func CNLaw() Profile { return embeddedProfiles()["cn-law"].clone() }

// Norm is the overlay of the norm's limits. It has force only where an
// institution has adopted it by a signed entry: see With.
func Norm() Profile { return embeddedProfiles()["norm"].clone() }

// ProfilesDigest is the lower-case hex SHA-256 of the embedded profiles file.
func ProfilesDigest() string {
	sum := sha256.Sum256(profilesJSON)
	return hex.EncodeToString(sum[:])
}

// ProfilesJSON returns a copy of the embedded profiles file.
func ProfilesJSON() []byte { return bytes.Clone(profilesJSON) }

func (p Profile) clone() Profile {
	p.Ends = slices.Clone(p.Ends)
	p.Clocks = slices.Clone(p.Clocks)
	return p
}

// With returns p and the clocks of overlay for complaints received at or after
// adopted. Law always stays in force beside an overlay.
func (p Profile) With(overlay Profile, adopted time.Time) Profile {
	out := p.clone()
	out.ID = p.ID + "+" + overlay.ID
	out.Law = p.Law && overlay.Law
	for _, d := range overlay.Clocks {
		d.From = adopted
		out.Clocks = append(out.Clocks, d)
	}
	for _, e := range overlay.Ends {
		if !slices.Contains(out.Ends, e) {
			out.Ends = append(out.Ends, e)
		}
	}
	return out
}

// Clock returns one definition; ok is false for an unknown id.
func (p Profile) Clock(id string) (Definition, bool) {
	i := slices.IndexFunc(p.Clocks, func(d Definition) bool { return d.ID == id })
	if i < 0 {
		return Definition{}, false
	}
	return p.Clocks[i], true
}
