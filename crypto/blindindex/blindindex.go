// Package blindindex turns values into the one form that equal values share,
// so that a keyed hash of it can be looked up.
//
// The one idea: two people write the same phone number in ten ways, so the
// rule that makes them equal is part of the stored format. The normalisers are
// versioned ([Version]) and pinned by golden vectors: a changed rule is a new
// version and a new index epoch, never an edit.
//
//	norm, err := blindindex.Normalise(blindindex.Phone, "138 0013 8000") // +8613800138000
//	tokens, err := indexer.Tokens(ctx, []blindindex.Item{{Field: "phone", Epoch: 1, Normalised: norm}})
//
// What an index of such tokens leaks: that two records share a value, how often
// each value occurs inside one (institution, field, epoch), and which one was
// looked for. Never index free text or a field with few values.
//
// The package must never hold a key: tokens of low-entropy values are computed
// inside the key service (package transit), since who has the key can
// enumerate every phone number. Errors name the rule, never the value.
package blindindex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Version of the normalisers. It changes when any golden vector changes.
const Version = 1

// TokenSize is the length of a token in bytes.
const TokenSize = 32

// maxValue bounds the input of every normaliser, in bytes.
const maxValue = 512

// Kind names a normaliser.
type Kind string

// The normalisers.
const (
	// Phone: E.164; without country code a number is Chinese.
	Phone Kind = "phone"
	// IDNumber: Chinese resident ID (15 digits become 18, check digit verified),
	// unified social credit code (check character verified), or another
	// document number (passport, permit), kept in upper case.
	IDNumber Kind = "id_number"
	// Card: 12 to 19 digits with a valid Luhn digit.
	Card Kind = "card"
	// Account: letters and digits in upper case, 4 to 34 of them.
	Account Kind = "account"
	// Email: lower case, domain in IDNA ASCII form.
	Email Kind = "email"
	// StaffID: NFKC, trimmed, upper case.
	StaffID Kind = "staff_id"
)

// Kinds lists the normalisers.
func Kinds() []Kind { return []Kind{Phone, IDNumber, Card, Account, Email, StaffID} }

// ErrInvalid says that a value does not fit its kind. errors.Is finds it in
// every [RuleError].
var ErrInvalid = errors.New("value does not fit its kind")

// RuleError names the rule that a value broke; it never holds the value.
type RuleError struct {
	Kind Kind
	Rule string // for example "length", "check_digit", "date", "form"
}

// Error names kind and rule.
func (e *RuleError) Error() string { return fmt.Sprintf("%s breaks rule %s", e.Kind, e.Rule) }

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *RuleError) Unwrap() error { return ErrInvalid }

// Normalise returns the common form of value, which is ASCII but for Email
// local parts and StaffID. It is idempotent: Normalise of its own result is
// the result. The error wraps ErrInvalid.
//
//sealtrail:secret
func Normalise(kind Kind, value string) ([]byte, error) {
	if len(value) > maxValue {
		return nil, &RuleError{kind, "length"}
	}
	if !utf8.ValidString(value) {
		return nil, &RuleError{kind, "utf8"}
	}
	out, rule := normalise(kind, value)
	if rule == "" {
		// One form only: what would read differently the second time is refused,
		// since a search may be made with the form that a screen shows.
		if again, rule2 := normalise(kind, out); rule2 != "" || again != out {
			rule = "form"
		}
	}
	if rule != "" {
		return nil, &RuleError{kind, rule}
	}
	return []byte(out), nil
}

func normalise(kind Kind, value string) (out, rule string) {
	switch kind {
	case Phone:
		return phone(norm.NFKC.String(value))
	case IDNumber:
		return idNumber(norm.NFKC.String(value))
	case Card:
		return card(norm.NFKC.String(value))
	case Account:
		return account(norm.NFKC.String(value))
	case Email:
		return email(value)
	case StaffID:
		return staffID(value)
	default:
		return "", "unknown_kind"
	}
}

// Item is one token to compute.
type Item struct {
	Field string // catalogue name; tokens of different fields never match
	Epoch uint32 // index epoch; tokens of different epochs never match
	// Normalised is the result of Normalise.
	//
	//sealtrail:secret
	Normalised []byte
	Reference  string // id of the audit entry that stands for this item
}

// Input is what the key service hashes for an item, injective so that a token
// of one institution, field or epoch says nothing about another:
//
//	"stx1" | lp(institution) | lp(field) | u32 epoch | normalised
//
//sealtrail:secret
func Input(institution string, it Item) []byte {
	b := make([]byte, 0, 16+len(institution)+len(it.Field)+len(it.Normalised))
	b = append(b, "stx1"...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(institution)))
	b = append(b, institution...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(it.Field)))
	b = append(b, it.Field...)
	b = binary.BigEndian.AppendUint32(b, it.Epoch)
	return append(b, it.Normalised...)
}
