package intake

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
)

// SourceCFPB is the source code of complaints from the Consumer Complaint
// Database of the CFPB.
const SourceCFPB = "cfpb"

// CFPB reads a CSV file of the CFPB's Consumer Complaint Database, plain or
// gzip, with the column names of the public download or in snake case, in any
// order. Products, issues, channels and states are mapped to our codes; the
// row's date is kept as asserted history. A row without a published narrative
// gets its issue as narrative. With Options.Identities the XXXX slots are
// filled with made-up values and the identity fields with a made-up person,
// the same for the same seed and complaint.
//
// Rows that cannot be read or filed go to the rejects with their line; a quote
// that is never closed costs its own row only, not the rest of the file.
func CFPB(r io.Reader, o Options) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		im := newImport(o, yield)
		s := &rowSplitter{im: im}
		if im.lines(r, s.line) && s.open {
			s.flush()
		}
	}
}

// rowSplitter joins the physical lines of one CSV row: a row goes on while a
// quote is open.
type rowSplitter struct {
	im     *importing
	header []string
	// buf holds the row that began on line first and has reached line last.
	buf         []byte
	first, last int
	quotes      int
	open        bool
}

func (s *rowSplitter) line(line []byte, n int) bool {
	if s.open && s.quotes%2 == 1 && startsRow(line) {
		// The open quote was never closed: give up the row before this one.
		if !s.giveUp("csv_malformed") {
			return false
		}
	}
	if !s.open {
		if len(bytes.TrimSpace(line)) == 0 {
			return true
		}
		s.buf, s.first, s.quotes, s.open = s.buf[:0], n, 0, true
	} else {
		s.buf = append(s.buf, '\n')
	}
	s.buf, s.last = append(s.buf, line...), n
	s.quotes += bytes.Count(line, []byte{'"'})
	switch {
	case len(s.buf) > maxLine:
		return s.giveUp("line_too_long")
	case s.quotes%2 == 1:
		return true
	}
	return s.flush()
}

// startsRow recognises "1234567,2024-05-31,": the id and date that begin a row
// and never a line of a narrative.
func startsRow(line []byte) bool {
	digits := 0
	for digits < len(line) && line[digits] >= '0' && line[digits] <= '9' {
		digits++
	}
	rest := line[digits:]
	return digits >= 5 && len(rest) > 11 && rest[0] == ',' && rest[5] == '-' && rest[8] == '-' && rest[11] == ','
}

func (s *rowSplitter) giveUp(code string) bool {
	s.open = false
	if s.header == nil || !s.im.wants(s.last) {
		return true
	}
	return s.im.reject(s.first, code, nil)
}

// flush parses the row collected so far.
func (s *rowSplitter) flush() bool {
	s.open = false
	cells, err := csv.NewReader(bytes.NewReader(s.buf)).Read()
	if s.header == nil {
		return s.takeHeader(cells, err)
	}
	if !s.im.wants(s.last) {
		return true
	}
	switch {
	case err != nil:
		return s.im.reject(s.first, "csv_malformed", nil)
	case len(cells) != len(s.header):
		return s.im.reject(s.first, "csv_columns", nil)
	}
	row := make(map[string]string, len(cells))
	for i, name := range s.header {
		row[name] = cells[i]
	}
	draft, problems := mapCFPB(row, s.im.o.Identities)
	return s.im.row(draft, problems, s.first, s.last)
}

// ErrNotCFPB says that the first line of the file is not a header with the
// columns that the mapping needs.
var ErrNotCFPB = errors.New("not a CFPB complaints file")

// takeHeader ends the import if the mapping cannot work.
func (s *rowSplitter) takeHeader(cells []string, err error) bool {
	s.header = columnNames(cells)
	for _, name := range []string{"complaint_id", "date_received", "product", "issue", "submitted_via"} {
		if err == nil && !slices.Contains(s.header, name) {
			err = fmt.Errorf("column %s is missing", name)
		}
	}
	if err != nil {
		s.im.yield(Row{}, fmt.Errorf("reading the header: %w: %w", ErrNotCFPB, err))
		return false
	}
	return true
}

// columnNames turns the public column names into the ones we use.
func columnNames(cells []string) []string {
	rename := map[string]string{
		"consumer_complaint_narrative": "narrative", "sub-product": "sub_product", "sub-issue": "sub_issue",
	}
	names := make([]string, len(cells))
	for i, c := range cells {
		name := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(strings.TrimPrefix(c, "\ufeff"))), " ", "_")
		if to, ok := rename[name]; ok {
			name = to
		}
		names[i] = name
	}
	return names
}

func mapCFPB(row map[string]string, who *Identities) (Draft, []Problem) {
	received, err := time.Parse(time.DateOnly, row["date_received"])
	if err != nil {
		return Draft{}, []Problem{problem("/received_at", "malformed")}
	}
	// The file has dates only; noon keeps the date in every zone of the country.
	received = received.Add(12 * time.Hour)
	asserted := received
	if sent, err := time.Parse(time.DateOnly, row["date_sent_to_company"]); err == nil {
		asserted = sent.Add(12 * time.Hour)
	}
	business, product := cfpbProduct(row["product"], row["sub_product"])
	kind, reason := cfpbIssue(row["issue"])
	channel, referral := cfpbChannel(row["submitted_via"])
	d := Draft{
		Source: SourceCFPB, SourceID: row["complaint_id"], Channel: channel, ReceivedAt: received,
		ReceivedEvidence: "source_record", AssertedAt: &asserted, Type: kind, BusinessCode: business,
		ProductCode: product, ReasonCode: reason, Branch: cfpbBranch(row["state"]),
		Department: DepartmentOf(business), Referral: referral, Fields: map[string]string{},
	}
	narrative := strings.TrimSpace(row["narrative"])
	if narrative == "" {
		narrative = strings.Trim(row["issue"]+": "+row["sub_issue"], ": ")
	}
	d.Fields["narrative"] = narrative
	if who != nil {
		who.fill(&d)
	}
	return d, nil
}

// DepartmentOf is the department that a business goes to in imported and
// generated complaints. An institution routes by its own rules.
func DepartmentOf(business string) string {
	switch business {
	case "credit_card", "debit_card", "prepaid_card":
		return "cards"
	case "loan":
		return "loans"
	case "wealth", "agency", "insurance":
		return "wealth"
	case "credit_reporting", "personal_information":
		return "credit"
	case "debt_collection":
		return "collections"
	}
	return "retail"
}

// Departments lists what DepartmentOf can return, sorted.
func Departments() []string {
	return []string{"cards", "collections", "credit", "loans", "retail", "wealth"}
}

// rule maps texts that contain a phrase (lower case) to two codes.
type rule struct{ phrase, first, second string }

func firstRule(rules []rule, text string, otherwise rule) rule {
	text = strings.ToLower(text)
	i := slices.IndexFunc(rules, func(r rule) bool { return strings.Contains(text, r.phrase) })
	if i < 0 {
		return otherwise
	}
	return rules[i]
}

// cfpbProduct maps a product to business and product codes; the first phrase
// that fits wins.
func cfpbProduct(product, sub string) (business, code string) {
	r := firstRule([]rule{
		{"credit reporting", "credit_reporting", "credit_report"},
		{"debt collection", "debt_collection", "collection"},
		{"credit management", "debt_collection", "other"},
		{"prepaid card", "credit_card", "credit_card"},
		{"credit card", "credit_card", "credit_card"},
		{"checking or savings", "deposit", "current_account"},
		{"mortgage", "loan", "mortgage"},
		{"vehicle loan", "loan", "vehicle_loan"},
		{"student loan", "loan", "student_loan"},
		{"money transfer", "payment", "transfer"},
		{"payday loan", "loan", "personal_loan"},
	}, product, rule{"", "other", "other"})
	if lower := strings.ToLower(sub + "/" + product); strings.Contains(lower, "prepaid card") && !strings.Contains(lower, "credit card") {
		return "prepaid_card", "prepaid_card"
	}
	return r.first, r.second
}

// cfpbIssue maps an issue to a type and a reason class.
func cfpbIssue(issue string) (kind, reason string) {
	r := firstRule([]rule{
		{"incorrect information", "process", "information_safety"},
		{"improper use", "external", "information_safety"},
		{"investigation", "process", "rules_process"},
		{"credit report or credit score", "service", "facilities_systems"},
		{"identity theft", "system", "information_safety"},
		{"fraud alert", "process", "rules_process"},
		{"debt not owed", "external", "collection_conduct"},
		{"about debt", "process", "disclosure"},
		{"legal action", "service", "collection_conduct"},
		{"false statements", "service", "collection_conduct"},
		{"communication tactics", "service", "collection_conduct"},
		{"threatened", "service", "collection_conduct"},
		{"fees", "product", "pricing"}, {"interest", "product", "pricing"},
		{"fraud", "external", "fund_safety"}, {"unauthorized", "external", "fund_safety"},
		{"purchase", "process", "fund_safety"}, {"charging your account", "process", "fund_safety"},
		{"funds being low", "product", "pricing"},
		{"money was not available", "system", "facilities_systems"},
		{"wallet", "system", "facilities_systems"}, {"using", "system", "facilities_systems"},
		{"advertising", "service", "marketing"}, {"disclosure", "product", "disclosure"},
		{"customer service", "service", "attitude_quality"},
		{"struggling", "product", "contract_terms"}, {"closing", "process", "rules_process"},
		{"opening", "process", "rules_process"}, {"getting", "process", "rules_process"},
		{"applying", "process", "rules_process"}, {"managing", "process", "rules_process"},
		{"payment", "process", "rules_process"}, {"terms", "product", "contract_terms"},
	}, issue, rule{"", "service", "other"})
	return r.first, r.second
}

func cfpbChannel(via string) (channel, referral string) {
	switch strings.ToLower(via) {
	case "web":
		return "web", "none"
	case "phone":
		return "phone", "none"
	case "postal mail", "fax", "email":
		return "mail", "none"
	case "referral", "web referral":
		return "regulator", "other"
	}
	return "other", "none"
}

// cfpbBranch makes a unit code of a state: two letters, anything else is left
// out ("UNITED STATES MINOR OUTLYING ISLANDS" stands in the file too).
func cfpbBranch(state string) string {
	if len(state) != 2 {
		return ""
	}
	return "us-" + strings.ToLower(state)
}
