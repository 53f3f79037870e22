package supervision

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// reportFormat names the layout of the canonical report, docs/formats/supervision-report.md. That page MUST be changed
// first: readers tell layouts apart by this string alone.
const reportFormat = "sealtrail-report/1"

// Report is every supervision figure of one institution over one period, with what it was computed from. It holds no
// time of making, no version of the program and no name of a person: the same log gives the same bytes for ever.
// A Report is a value; nothing in it is shared with the Fold that made it.
type Report struct {
	Format string `json:"format"`
	Header Header `json:"header"`
	// Figures stand in the order of the definitions.
	Figures []Figure `json:"figures"`
	Stock   Stock    `json:"stock"`
	// Breaches lists law and norm apart, by clock.
	Breaches []Breach `json:"breaches"`
	Binding  Binding  `json:"binding"`
	Outages  int64    `json:"outages"`
	// Excluded counts complaints that no figure looks at.
	Excluded Excluded `json:"excluded"`
	Entries  Entries  `json:"entries"`
}

// Header names all that a figure depends on besides the fold itself.
type Header struct {
	Institution string     `json:"institution"`
	Period      PeriodName `json:"period"`
	// AsOf is the end of the period, or the last entry's time where the log ends before; RFC 3339, microseconds, UTC.
	AsOf        string   `json:"as_of"`
	Simulated   bool     `json:"simulated"`
	Logs        []LogRef `json:"logs"`
	Definitions BlobRef  `json:"definitions"`
	Calendar    BlobRef  `json:"calendar"`
	// Limits is the file of clocks; Norms are the adopted overlays, law being always in force.
	Limits BlobRef       `json:"limits"`
	Norms  []AdoptedNorm `json:"norms"`
	// Bundles are the policy bundles named by the decisions of the period's entries, hex SHA-256, ascending.
	Bundles  []string `json:"bundles"`
	Counting Text     `json:"counting"`
	Rounding Text     `json:"rounding"`
}

// PeriodName is a Period as a report writes it.
type PeriodName struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// LogRef pins one log: every entry below Size under Root was read, and nothing else.
type LogRef struct {
	Origin string `json:"origin"`
	Size   string `json:"size"` // decimal: a 64-bit number, therefore a string
	Root   string `json:"root"` // hex
}

// BlobRef names a file of the published folder's blob/sha256 by its digest.
type BlobRef struct {
	SHA256  string `json:"sha256"`
	Version string `json:"version"`
}

// AdoptedNorm is an own promise the institution made by a norm.adopted entry. It binds complaints received from From on.
type AdoptedNorm struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	From   string `json:"from"`
}

// Ratio is a figure's value. BasisPoints is left out when Denominator is 0: nothing of nothing is not 100 %.
type Ratio struct {
	Numerator   int64  `json:"numerator"`
	Denominator int64  `json:"denominator"`
	Undecided   int64  `json:"undecided"`
	BasisPoints *int64 `json:"bp,omitempty"`
}

// Figure is one figure with its definition, so that a report can be read without the definitions file.
type Figure struct {
	Definition Definition `json:"definition"`
	Value      Ratio      `json:"value"`
	// Note is a code when the figure is n/a for a reason of its own, such as norm_not_adopted; else empty.
	Note  string `json:"note"`
	Apart Apart  `json:"apart"`
	// OutageOverlap counts breaches whose time ran through an outage. They stay breaches.
	OutageOverlap int64    `json:"outage_overlap"`
	ByLevel       []Row    `json:"by_level"`
	ByDepartment  []Row    `json:"by_department"`
	Weeks         []Row    `json:"weeks"`
	Details       []Detail `json:"details"`
}

// Apart counts complaints left out of numerator and denominator because they ended before the step was due.
type Apart struct {
	Withdrawn int64 `json:"withdrawn"`
	Refused   int64 `json:"refused"`
}

// Row is a figure's value for one level, department or ISO week.
type Row struct {
	Key   string `json:"key"`
	Value Ratio  `json:"value"`
}

// Detail is a whole number beside a figure: a count, milliseconds, minutes. Key tells rows of one name apart.
type Detail struct {
	Name  string `json:"name"`
	Key   string `json:"key"`
	Value int64  `json:"value"`
	Unit  string `json:"unit"`
}

// Stock is what is open at as_of, a full grid of level and age in calendar days since receipt.
type Stock struct {
	Bands []string   `json:"bands"`
	Rows  []StockRow `json:"rows"`
}

// StockRow is one cell of the grid. A complaint may be overdue under the law and under the norm at once.
type StockRow struct {
	Level       string `json:"level"`
	Band        string `json:"band"`
	Open        int64  `json:"open"`
	OverdueLaw  int64  `json:"overdue_law"`
	OverdueNorm int64  `json:"overdue_norm"`
}

// Breach sums one clock over the period.
type Breach struct {
	Clock         string `json:"clock"`
	Basis         string `json:"basis"` // law | norm
	Due           int64  `json:"due"`
	Breached      int64  `json:"breached"`
	OutageOverlap int64  `json:"outage_overlap"`
}

// Binding says which limit of completion came first, for complaints whose earliest one lies in the period.
type Binding struct {
	LawFirst  int64 `json:"law_first"`
	NormFirst int64 `json:"norm_first"`
	Same      int64 `json:"same"`
}

// Excluded is what no figure looks at.
type Excluded struct {
	Merged   int64 `json:"merged"`
	Imported int64 `json:"imported"`
	// ReceiptUnknown are complaints the log knows acts on but not the recording of: their receipt stands in an older log
	// that was not given.
	ReceiptUnknown int64 `json:"receipt_unknown"`
}

// Entries says how much of the log the figures rest on. NotRead names kinds the definitions do not read: nothing is
// skipped silently.
type Entries struct {
	Read    int64       `json:"read"`
	NotRead []KindCount `json:"not_read"`
}

// KindCount is a number of entries of one kind.
type KindCount struct {
	Kind    string `json:"kind"`
	Entries int64  `json:"entries"`
}

// Figure finds a figure by id; nil when the report has none of that id.
func (r *Report) Figure(id string) *Figure {
	for i := range r.Figures {
		if r.Figures[i].Definition.ID == id {
			return &r.Figures[i]
		}
	}
	return nil
}

// Canonical returns the report in canonical JSON (RFC 8785, restricted to strings, whole numbers below 2^53 and
// booleans, so that audit.ScanCanonical accepts it) without a final newline. Equal reports have equal bytes.
func (r *Report) Canonical() ([]byte, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing report: %w", err)
	}
	out, err := canonical(plain)
	if err != nil {
		return nil, fmt.Errorf("writing report: %w", err)
	}
	return out, nil
}

// ErrReport is wrapped by every refusal of report bytes.
var ErrReport = errors.New("not a canonical report")

// ParseReport reads what Canonical wrote. It refuses unknown members, other formats, and any bytes that are not the
// canonical form of what they say; each refusal wraps ErrReport.
func ParseReport(data []byte) (Report, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var r Report
	if err := dec.Decode(&r); err != nil {
		return Report{}, fmt.Errorf("%w: reading JSON: %w", ErrReport, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Report{}, fmt.Errorf("%w: bytes after the JSON value", ErrReport)
	}
	if r.Format != reportFormat {
		return Report{}, fmt.Errorf("%w: format is not %s", ErrReport, reportFormat)
	}
	again, err := r.Canonical()
	if err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrReport, err)
	}
	if !bytes.Equal(again, data) {
		return Report{}, fmt.Errorf("%w: bytes differ from their canonical form", ErrReport)
	}
	return r, nil
}

// ratio builds a value; n may exceed d where the figure is a rate per case.
func ratio(n, d, undecided int64) Ratio {
	r := Ratio{Numerator: n, Denominator: d, Undecided: undecided}
	if d > 0 {
		bp := (n*20000 + d) / (2 * d) // n/d in 1/10,000, rounded half up
		r.BasisPoints = &bp
	}
	return r
}
