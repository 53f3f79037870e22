package custody

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/logquery"
)

// LogSearch asks for entries of the log.
type LogSearch struct {
	Purpose  string
	Text     string // see package logquery
	PageSize int    // 1-200, default 50
	After    string // cursor of the former page; empty: first page
	// Codes refuses a query that may name somebody: its text came in an address.
	Codes bool
}

// LogEntry is one entry with all that is clear in it.
type LogEntry struct {
	Entry    uint64    `json:"entry,string"`
	Log      string    `json:"log" doc:"Origin of its log"`
	Index    uint64    `json:"index,string"`
	LeafHash string    `json:"leaf_hash"`
	At       time.Time `json:"at" doc:"The service's clock"`
	SeqAt    time.Time `json:"seq_at" doc:"The sequencer's clock"`
	Stage    string    `json:"stage"`
	Kind     string    `json:"kind"`

	Actor    string `json:"actor" doc:"Alias"`
	Name     string `json:"name,omitempty" doc:"Who stands behind the alias: for auditor, DPO and compliance, and as long as it is not erased"`
	Roles    string `json:"roles,omitempty"`
	OnBehalf string `json:"on_behalf,omitempty"`
	Auth     string `json:"auth,omitempty"`

	Subject  string            `json:"subject"`
	Revision uint64            `json:"revision,omitempty,string"`
	Purpose  string            `json:"purpose,omitempty"`
	Fields   []string          `json:"fields,omitempty"`
	Decision *LogDecision      `json:"decision,omitempty"`
	Request  string            `json:"request,omitempty"`
	Net      string            `json:"net,omitempty"`
	Facts    map[string]any    `json:"facts,omitempty"`
	Commit   map[string]string `json:"commit,omitempty"`
}

// LogDecision is what an entry says of its decision, the true reason included.
type LogDecision struct {
	Result  string `json:"result" enum:"allow,deny"`
	Rule    string `json:"rule,omitempty"`
	Article string `json:"article,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Bundle  string `json:"bundle,omitempty"`
	ID      string `json:"id,omitempty"`
}

// LogPage is one page of a search of the log, pinned to the size that the log
// had at its first page.
type LogPage struct {
	Items []LogEntry `json:"items"`
	Log   int        `json:"log" doc:"Year of the newest log that was searched"`
	Size  uint64     `json:"size,string" doc:"Size of that log: what came later is in no page"`
	Next  string     `json:"next_page_token,omitempty"`
	Audit AuditRef   `json:"audit"`
}

// logCursor is where a page begins, and what the search was pinned to.
type logCursor struct {
	Year  int    `json:"y"`
	Index uint64 `json:"i"`
	Log   int    `json:"l"`
	Size  uint64 `json:"s"`
	Now   int64  `json:"t"` // microseconds: what 7d counts back from
}

// SearchLog finds entries of the log by what is clear in them, the newest first.
// It is an entry itself; who or what was searched for is in it as a commitment.
func (d *Door) SearchLog(ctx context.Context, c Caller, r LogSearch) (*LogPage, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	s, err := d.askLog(ctx, c, r)
	if err != nil {
		return nil, err
	}
	s.query.Limit = pageSize(r.PageSize)
	found, err := d.cfg.Log.Search(ctx, s.query)
	if err != nil {
		return nil, d.searchError(ctx, s.asked, err)
	}
	page := &LogPage{Items: make([]LogEntry, 0, len(found.Hits)), Log: s.pinned.Log, Size: s.pinned.Size}
	for i := range found.Hits {
		item, err := d.logEntry(ctx, s.asked, &found.Hits[i])
		if err != nil {
			return nil, err
		}
		page.Items = append(page.Items, item)
	}
	if found.More {
		next := s.pinned
		next.Year, next.Index = found.Next.Year, found.Next.Index
		page.Next = next.encode()
	}
	body, _ := s.entry(r, audit.Facts{"hits": len(page.Items), "page": s.page})
	receipt, err := d.record(ctx, body)
	if err != nil {
		return nil, err
	}
	page.Audit = receiptRef(receipt)
	return page, nil
}

// logAsked is an allowed search.
type logAsked struct {
	*asked
	parsed logquery.Query
	query  pglog.Query
	pinned logCursor
	page   int // 1 for the first page, 2 for any other
}

// askLog parses, decides and translates.
func (d *Door) askLog(ctx context.Context, c Caller, r LogSearch) (*logAsked, error) {
	s := &logAsked{page: 1}
	var err error
	if r.After != "" {
		if s.pinned, err = decodeLogCursor(r.After); err != nil {
			return nil, err
		}
		s.page = 2
	}
	now := d.now()
	if s.page > 1 {
		now = time.UnixMicro(s.pinned.Now).UTC()
	}
	if s.parsed, err = logquery.Parse(r.Text, now); err != nil {
		return nil, queryError(err)
	}
	if r.Codes && s.parsed.Personal() {
		return nil, invalid("/q", "query_in_address")
	}
	if s.asked, err = d.ask(ctx, c, question{action: "log", purpose: r.Purpose}); err != nil {
		return nil, err
	}
	if s.page == 1 {
		at, err := d.cfg.Log.SearchFrom(ctx)
		if err != nil {
			return nil, logError(err)
		}
		s.pinned = logCursor{Year: at.Year, Index: at.Index, Log: at.Year, Size: at.Index, Now: now.UnixMicro()}
	}
	if s.query, err = d.translate(ctx, s.asked, s.parsed); err != nil {
		return nil, err
	}
	s.query.Before = pglog.Place{Year: s.pinned.Year, Index: s.pinned.Index}
	veil, err := d.curtain(ctx, c.Person, s.subject.Roles)
	if err != nil {
		return nil, err
	}
	standsAside, err := d.standsAside(ctx, s.asked)
	if err != nil {
		return nil, err
	}
	s.query.Keep = func(_ *pglog.EntryState, b *audit.Body) (bool, error) {
		if b.At.Before(s.parsed.Since) || !s.parsed.Until.IsZero() && !b.At.Before(s.parsed.Until) {
			return false, nil
		}
		if standsAside(b.Subject) {
			return false, nil
		}
		hidden, err := veil.hides(ctx, b)
		return !hidden, err
	}
	return s, nil
}

// standsAside says of which subjects the searcher must see nothing, because she
// is whom they are about (R5). It would tip her off.
func (d *Door) standsAside(ctx context.Context, a *asked) (func(subject string) bool, error) {
	if len(a.subject.StaffToken) == 0 {
		return func(string) bool { return false }, nil
	}
	list, err := d.cfg.Store.Implicating(ctx, d.cfg.Institution, a.subject.StaffToken)
	if err != nil {
		return nil, storeError(err)
	}
	return func(subject string) bool {
		id, ok := strings.CutPrefix(subject, "complaint:")
		return ok && slices.Contains(list, id)
	}, nil
}

// entry is what the log says of the search: its keys clear, its text committed
// to. The salt opens that.
func (s *logAsked) entry(r LogSearch, facts audit.Facts) (audit.Body, [16]byte) {
	facts["filters"], facts["size"] = s.parsed.Keys(), int(s.pinned.Size)
	b := s.intent("access.log", nil, facts)
	b.Stage, b.Subject = audit.StageEvent, "query:"+s.caller.Request
	n := newNote("q", r.Text)
	b.Commit = n.commit()
	return b, n.salt
}

// searchError makes a stored entry that is not what was sequenced a finding.
func (d *Door) searchError(ctx context.Context, a *asked, err error) error {
	if !errors.Is(err, pglog.ErrTampered) {
		return passed(err)
	}
	b := a.body(audit.StageEvent, "access.integrity", audit.Facts{"action": a.action, "what": "entry.changed", "table": "audit.entry"})
	b.Decision = nil
	if _, unrecorded := d.record(ctx, b); unrecorded != nil {
		return unrecorded
	}
	return fmt.Errorf("%w: %w", ErrIntegrity, err)
}

// passed keeps an error of the door's own that came back through the log.
func passed(err error) error {
	for _, own := range []error{ErrUnrecorded, ErrStoreUnavailable, ErrIntegrity} {
		if errors.Is(err, own) {
			return err
		}
	}
	return logError(err)
}

func queryError(err error) error {
	e, ok := errors.AsType[*logquery.Error](err)
	if !ok {
		return err
	}
	code := map[string]string{logquery.CodeMissingKey: "query_missing_key", logquery.CodeUnknownKey: "query_unknown_key", logquery.CodeEmptyValue: "query_empty_value",
		logquery.CodeUnclosedQuote: "query_unclosed_quote", logquery.CodeTwice: "query_duplicate_key", logquery.CodeTooMany: "query_too_many"}[e.Code]
	if code == "" {
		code = e.Code
	}
	pointer := "/q"
	if e.Key != "" {
		pointer += "/" + e.Key
	}
	p := problemAt(pointer, code)
	p.Position = e.Position
	return &InvalidError{[]intake.Problem{p}}
}

// translate turns words into terms of the index.
func (d *Door) translate(ctx context.Context, a *asked, q logquery.Query) (pglog.Query, error) {
	var out pglog.Query
	for _, condition := range q.Conditions {
		var group []string
		for _, value := range condition.Values {
			terms, err := d.terms(ctx, a, condition.Key, value)
			if err != nil {
				return out, err
			}
			group = append(group, terms...)
		}
		if condition.Not {
			out.None = append(out.None, group...)
		} else {
			out.All = append(out.All, group)
		}
	}
	if days := pglog.Calendar(q.Since, q.Until); days != nil {
		out.All = append(out.All, days)
	}
	return out, nil
}

// terms are those of one value: an entry with any of them has it.
func (d *Door) terms(ctx context.Context, a *asked, key, value string) ([]string, error) {
	one := func(name string) ([]string, error) { return []string{pglog.Term(name, value)}, nil }
	switch key {
	case logquery.Actor:
		return d.personTerms(ctx, a, value, pglog.TermActor)
	case logquery.Action:
		return actionTerms(value), nil
	case logquery.Subject:
		if person, ok := strings.CutPrefix(value, "person:"); ok {
			return d.personTerms(ctx, a, person, pglog.TermSubject, pglog.TermAbout)
		}
		if isUUID(strings.ToLower(value)) {
			value = subjectOf(strings.ToLower(value))
		}
		return one(pglog.TermSubject)
	case logquery.Decision:
		return one(pglog.TermDecision)
	case logquery.Field:
		return one(pglog.TermField)
	case logquery.Purpose:
		return one(pglog.TermPurpose)
	case logquery.Rule:
		return one(pglog.TermRule)
	case logquery.Article:
		return one(pglog.TermArticle)
	case logquery.Reason:
		return one(pglog.TermReason)
	case logquery.Role:
		return one(pglog.TermRole)
	case logquery.Request:
		return one(pglog.TermRequest)
	case logquery.Stage:
		return one(pglog.TermStage)
	}
	return nil, invalid("/q", "query_unknown_key")
}

// actionTerms reads access.reveal (a kind), access.* (all kinds of that part) or
// reveal (an action of the policy: done, or refused).
func actionTerms(value string) []string {
	if class, ok := strings.CutSuffix(value, ".*"); ok {
		return []string{pglog.Term(pglog.TermClass, class)}
	}
	if strings.Contains(value, ".") {
		return []string{pglog.Term(pglog.TermKind, value)}
	}
	return []string{pglog.Term(pglog.TermKind, "access."+value), pglog.Term(pglog.TermAct, value)}
}

// personTerms names a person by her aliases of every year. Who may not resolve
// aliases may not search by names either: the hits would resolve them.
func (d *Door) personTerms(ctx context.Context, a *asked, value string, names ...string) ([]string, error) {
	aliases := []string{value}
	if !strings.HasPrefix(value, "a-") {
		if !a.oversees() {
			return nil, invalid("/q/actor", "query_alias_only")
		}
		known, err := d.cfg.Log.Aliases(ctx, value)
		if err != nil {
			return nil, logError(err)
		}
		aliases = append(known, value) // of somebody who never acted: nothing is found
	}
	var terms []string
	for _, alias := range aliases {
		for _, name := range names {
			if name == pglog.TermSubject {
				terms = append(terms, pglog.Term(name, "person:"+alias))
				continue
			}
			terms = append(terms, pglog.Term(name, alias))
		}
	}
	return terms, nil
}

// logEntry shows a hit.
func (d *Door) logEntry(ctx context.Context, a *asked, h *pglog.Hit) (LogEntry, error) {
	b := &h.Parsed
	e := LogEntry{Entry: h.ID, Log: h.Origin, Index: h.Index, LeafHash: hex.EncodeToString(h.LeafHash[:]), At: b.At, SeqAt: h.SeqAt, Stage: string(b.Stage),
		Kind: b.Kind, Actor: b.Actor.ID, Roles: strings.Join(b.Actor.Roles, ","), OnBehalf: b.Actor.OnBehalf, Auth: b.Actor.Auth, Subject: b.Subject,
		Revision: b.Revision, Purpose: b.Purpose, Fields: b.Fields, Request: b.Request, Net: b.Net, Facts: b.Facts, Commit: b.Commit}
	if b.Decision != nil {
		e.Decision = &LogDecision{Result: b.Decision.Result, Rule: b.Decision.Rule, Article: b.Decision.Article, Reason: b.Decision.Reason,
			Bundle: b.Decision.Bundle, ID: b.Decision.ID}
	}
	if !a.oversees() {
		return e, nil
	}
	name, err := d.nameOf(ctx, b.Actor.ID)
	if err != nil {
		return e, err
	}
	if name != b.Actor.ID {
		e.Name = name
	}
	return e, nil
}

func (c logCursor) encode() string {
	raw, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func decodeLogCursor(s string) (c logCursor, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || json.Unmarshal(raw, &c) != nil || c.Year == 0 || c.Now == 0 {
		return c, invalid("/page_token", "malformed")
	}
	return c, nil
}

// exportLimit is the most entries of one export: some 60 MB.
var exportLimit = 50_000 // a variable for tests

// LogExport is exactly what a search shows, at one size of the log.
type LogExport struct {
	Lines    []LogEntry
	Manifest LogManifest
}

// LogManifest says what an export is, so that somebody with the published log
// can find each line in it, and with the salt that the log knows of the query.
type LogManifest struct {
	Format string   `json:"format"`
	Query  string   `json:"query"`
	Salt   string   `json:"salt" doc:"Opens the commitment q of the entry"`
	Log    int      `json:"log"`
	Size   uint64   `json:"size,string"`
	Root   string   `json:"root" doc:"Merkle root of that log at that size"`
	Count  int      `json:"count"`
	SHA256 string   `json:"sha256" doc:"Of all lines before this one"`
	Audit  AuditRef `json:"audit"`
}

// logExportFormat names the format and its version.
const logExportFormat = "sealtrail-log-export/v1"

// exportDeadline bounds an export: reading and hashing exportLimit entries, and
// a root that may have to be computed.
const exportDeadline = 25 * time.Second

// ExportLog gives all that a search finds, pinned to a size: 0 is the newest
// that is searchable. encode makes the bytes whose digest the manifest holds.
func (d *Door) ExportLog(ctx context.Context, c Caller, r LogSearch, size uint64, encode func([]LogEntry) ([]byte, error)) ([]byte, *LogManifest, error) {
	ctx, cancel := context.WithTimeout(ctx, exportDeadline)
	defer cancel()
	r.After = ""
	s, err := d.askLog(ctx, c, r)
	if err != nil {
		return nil, nil, err
	}
	if size > s.pinned.Size {
		return nil, nil, invalid("/size", "out_of_range")
	}
	if size > 0 {
		s.pinned.Size, s.query.Before.Index = size, size
	}
	lines, more, err := d.everyHit(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	if more { // that there are so many is an answer too
		body, _ := s.entry(r, audit.Facts{"hits": len(lines), "exported": false})
		if _, err := d.record(ctx, body); err != nil {
			return nil, nil, err
		}
		return nil, nil, invalid("/q", "query_too_large")
	}
	raw, err := encode(lines)
	if err != nil {
		return nil, nil, fmt.Errorf("writing an export: %w", err)
	}
	root, err := d.cfg.Log.RootAt(ctx, pglog.Place{Year: s.pinned.Log, Index: s.pinned.Size})
	if err != nil {
		return nil, nil, passed(err)
	}
	body, salt := s.entry(r, audit.Facts{"hits": len(lines), "exported": true})
	receipt, err := d.record(ctx, body)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(raw)
	return raw, &LogManifest{Format: logExportFormat, Query: r.Text, Salt: hex.EncodeToString(salt[:]), Log: s.pinned.Log, Size: s.pinned.Size,
		Root: hex.EncodeToString(root[:]), Count: len(lines), SHA256: hex.EncodeToString(sum[:]), Audit: receiptRef(receipt)}, nil
}

// everyHit is all that a search finds; more says that there is more than an
// export holds.
func (d *Door) everyHit(ctx context.Context, s *logAsked) (lines []LogEntry, more bool, err error) {
	s.query.Limit = min(2000, exportLimit)
	lines = []LogEntry{}
	for {
		found, err := d.cfg.Log.Search(ctx, s.query)
		if err != nil {
			return nil, false, d.searchError(ctx, s.asked, err)
		}
		for i := range found.Hits {
			line, err := d.logEntry(ctx, s.asked, &found.Hits[i])
			if err != nil {
				return nil, false, err
			}
			lines = append(lines, line)
		}
		if !found.More {
			return lines, false, nil
		}
		if len(lines) >= exportLimit {
			return lines, true, nil
		}
		s.query.Before = found.Next
	}
}
