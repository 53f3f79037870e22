package intake

import (
	"maps"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/complaint"
)

// Draft is a complaint as it arrives: the body of POST /v1/complaints, a line
// of a JSON lines file, a mapped row of a CFPB file or a generated one. Its
// identity is (Source, SourceID): filing the same pair twice is the same
// complaint.
type Draft struct {
	// Source names the system the complaint comes from: a code ("app", "cfpb").
	Source string `json:"source"`
	// SourceID is that system's own id, printable ASCII, at most 128.
	SourceID string `json:"source_id"`
	// Channel is a member of the set channel.
	Channel string `json:"channel"`
	// ReceivedAt is when the complaint reached the institution. Every clock of
	// receipt starts from it.
	ReceivedAt time.Time `json:"received_at"`
	// ReceivedEvidence is a member of received_evidence; empty means typed.
	ReceivedEvidence string `json:"received_evidence,omitempty"`
	// Type, BusinessCode, ProductCode and ReasonCode are code values; empty
	// means not classified yet.
	Type         string `json:"type,omitempty"`
	BusinessCode string `json:"business_code,omitempty"`
	ProductCode  string `json:"product_code,omitempty"`
	ReasonCode   string `json:"reason_code,omitempty"`
	// Branch and Department are unit codes.
	Branch     string `json:"branch,omitempty"`
	Department string `json:"department,omitempty"`
	// Level is empty or unclassified at intake unless the source has classified.
	Level string `json:"level,omitempty"`
	// PartyType, IDType and Referral are code values.
	PartyType string `json:"party_type,omitempty"`
	IDType    string `json:"id_type,omitempty"`
	Referral  string `json:"referral,omitempty"`
	// RegulatorRef is the regulator's own reference; ThirdParty the code of a
	// third institution involved.
	RegulatorRef string `json:"regulator_ref,omitempty"`
	ThirdParty   string `json:"third_party,omitempty"`
	// GroupFlag marks a joint complaint.
	GroupFlag bool `json:"group_flag,omitempty"`
	// AssertedAt marks imported history: when the source asserts that it
	// recorded the complaint. Nil for a complaint filed now.
	AssertedAt *time.Time `json:"asserted_at,omitempty"`
	// Fields holds the sealed fields by catalogue name.
	Fields map[string]string `json:"fields"`
}

// Problem says what is wrong with one place of a draft. It never holds a given
// value and its pointer holds catalogue names only.
type Problem struct {
	// Pointer is a JSON pointer into the draft; for an unknown key it is the
	// parent's.
	Pointer string `json:"pointer"`
	// Position is the one-based place of an unknown key in its parent (in the
	// order of arrival when parsed by DecodeDraft, sorted otherwise); 0 when
	// the pointer says all.
	Position int `json:"position,omitempty"`
	// Code is a reason code of the registry.
	Code string `json:"code"`
	// Allowed lists the members of a closed set, for code unknown_value.
	Allowed []string `json:"allowed,omitempty"`
	ZH      string   `json:"zh"`
	EN      string   `json:"en"`
}

// C3 reports whether the problem is data that must never be stored; kind is a
// member of the set c3_kind.
func (p Problem) C3() (kind string, ok bool) { return strings.CutPrefix(p.Code, "c3_") }

// Field is the catalogue or draft name that the pointer ends in, for the log.
func (p Problem) Field() string { return p.Pointer[strings.LastIndexByte(p.Pointer, '/')+1:] }

// problem makes a Problem with the labels of the registry.
func problem(pointer, code string) Problem {
	r, _ := complaint.Registry().Reason(code)
	return Problem{Pointer: pointer, Code: code, ZH: r.ZH, EN: r.EN}
}

// Clean returns a copy with surrounding white space removed, empty fields
// dropped and the defaults filled in: evidence typed, level unclassified,
// referral none, party self. It changes no other character.
func Clean(d Draft) Draft {
	for _, s := range d.texts() {
		*s = strings.TrimSpace(*s)
	}
	fill := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	fill(&d.ReceivedEvidence, "typed")
	fill(&d.Level, complaint.LevelUnclassified)
	fill(&d.Referral, "none")
	fill(&d.PartyType, "self")
	fields := make(map[string]string, len(d.Fields))
	for name, value := range maps.All(d.Fields) {
		if value = strings.TrimSpace(value); value != "" {
			fields[name] = value
		}
	}
	d.Fields = fields
	return d
}

func (d *Draft) texts() []*string {
	return []*string{
		&d.Source, &d.SourceID, &d.Channel, &d.ReceivedEvidence, &d.Type, &d.BusinessCode, &d.ProductCode,
		&d.ReasonCode, &d.Branch, &d.Department, &d.Level, &d.PartyType, &d.IDType, &d.Referral,
		&d.RegulatorRef, &d.ThirdParty,
	}
}
