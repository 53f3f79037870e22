package supervision

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// definitionsFormat is the only format of definitions this code folds. A change of what a measure means MUST come with a
// new format: the digest of the definitions is all a report says about how it was computed.
const definitionsFormat = "sealtrail-definitions/1"

//go:embed definitions.json
var embedded []byte

// Embedded returns the definitions this build ships, byte for byte as they are to be published under their digest. A
// report never uses them unless a log names them.
func Embedded() []byte { return bytes.Clone(embedded) }

// Text is one wording in Chinese and English.
type Text struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// Use says what a figure may be used for (domain.md: no figure rewards silence).
type Use string

// The uses. A figure marked NeverATarget gets worse as a measure as soon as somebody is paid for it.
const (
	Control      Use = "control"
	Target       Use = "target"
	NeverATarget Use = "never_a_target"
)

// Definition says what one figure counts, in words for people and by the name of a measure for the fold.
type Definition struct {
	ID          string   `json:"id"`
	Measure     string   `json:"measure"`
	Name        Text     `json:"name"`
	Cohort      string   `json:"cohort"`
	Numerator   Text     `json:"numerator"`
	Denominator Text     `json:"denominator"`
	Undecided   Text     `json:"undecided"`
	Clocks      []string `json:"clocks"`
	Basis       string   `json:"basis"`
	Article     string   `json:"article"`
	Use         Use      `json:"use"`
	Counter     string   `json:"counter"`
	Better      string   `json:"better"`
	// TargetBP is the target in basis points; nil for a figure without one.
	TargetBP *int64 `json:"target_bp,omitempty"`
}

// Definitions is the parsed content of a definitions file. It is immutable: callers MUST NOT write to its slices.
type Definitions struct {
	Format      string          `json:"format"`
	Version     string          `json:"version"`
	Zone        string          `json:"zone"`
	Rounding    Text            `json:"rounding"`
	Counting    Text            `json:"counting"`
	Cohorts     map[string]Text `json:"cohorts"`
	AgeBands    []int64         `json:"age_bands_days"`
	Satisfied   int64           `json:"satisfied_from"`
	ReviewHours int64           `json:"review_within_hours"`
	Reads       []string        `json:"reads"`
	Figures     []Definition    `json:"figures"`

	digest string
}

// Digest is the lower-case hex SHA-256 of the bytes the definitions were parsed from.
func (d *Definitions) Digest() string { return d.digest }

// ErrDefinitions is wrapped by every refusal of a definitions file.
var ErrDefinitions = errors.New("definitions not usable")

// ParseDefinitions reads a definitions file. It refuses unknown members, unknown measures, a figure without a
// counter-figure in the same file, a target on a figure that is never one, and any format but this code's own; each
// refusal wraps ErrDefinitions.
func ParseDefinitions(data []byte) (*Definitions, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	d := &Definitions{}
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("%w: reading JSON: %w", ErrDefinitions, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: bytes after the JSON value", ErrDefinitions)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDefinitions, err)
	}
	sum := sha256.Sum256(data)
	d.digest = hex.EncodeToString(sum[:])
	return d, nil
}

// check refuses definitions the fold could not honour.
func (d *Definitions) check() error {
	if d.Format != definitionsFormat {
		return fmt.Errorf("format is not %s", definitionsFormat)
	}
	if d.Zone != "Asia/Shanghai" {
		return errors.New("zone is not Asia/Shanghai")
	}
	if !slices.IsSorted(d.AgeBands) || len(d.AgeBands) == 0 || len(d.AgeBands) > 16 || d.AgeBands[0] < 1 {
		return errors.New("age_bands_days are not 1 to 16 ascending positive numbers")
	}
	if d.ReviewHours < 1 || d.Satisfied < 1 {
		return errors.New("review_within_hours and satisfied_from must be positive")
	}
	if !slices.Equal(d.Reads, kindsRead()) {
		return errors.New("reads is not the list of kinds this format reads")
	}
	ids := make(map[string]bool, len(d.Figures))
	for _, f := range d.Figures {
		if f.ID == "" || ids[f.ID] {
			return errors.New("a figure has no id or one used twice")
		}
		ids[f.ID] = true
	}
	for i := range d.Figures {
		if err := d.Figures[i].check(d, ids); err != nil {
			return fmt.Errorf("figure %s: %w", strconv.Quote(d.Figures[i].ID), err)
		}
	}
	return nil
}

// check refuses one definition; ids are all figures of the file.
func (f *Definition) check(d *Definitions, ids map[string]bool) error {
	if _, ok := measures()[f.Measure]; !ok {
		return errors.New("unknown measure")
	}
	if _, ok := d.Cohorts[f.Cohort]; !ok {
		return errors.New("cohort is not described")
	}
	if !ids[f.Counter] || f.Counter == f.ID {
		return errors.New("counter-figure is missing from the file")
	}
	switch f.Use {
	case Control, Target:
	case NeverATarget:
		if f.TargetBP != nil {
			return errors.New("has a target but is never a target")
		}
	default:
		return errors.New("unknown use")
	}
	if f.TargetBP != nil && (*f.TargetBP < 0 || *f.TargetBP > 10000) {
		return errors.New("target_bp is not within 0 to 10000")
	}
	if f.Measure == "timely" && len(f.Clocks) == 0 {
		return errors.New("a timely figure needs a clock")
	}
	return nil
}
