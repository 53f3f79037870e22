package custody

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
)

// OwnRequest asks what the log holds about the caller's own doing and account.
type OwnRequest struct {
	PageSize int
	After    string
}

// OwnEntry is an entry as the person whom it is about may see it.
type OwnEntry struct {
	Entry    uint64    `json:"entry,string"`
	Log      string    `json:"log"`
	Index    uint64    `json:"index,string"`
	LeafHash string    `json:"leaf_hash"`
	At       time.Time `json:"at"`
	Stage    string    `json:"stage"`
	Kind     string    `json:"kind"`
	// Mine: done by herself. Otherwise done by somebody with these roles.
	Mine    bool     `json:"mine"`
	Roles   []string `json:"roles,omitempty"`
	Subject string   `json:"subject,omitempty" doc:"The complaint; absent where she was answered that there is none"`
	Purpose string   `json:"purpose,omitempty"`
	Fields  []string `json:"fields,omitempty"`
	Result  string   `json:"result,omitempty"`
	Rule    string   `json:"rule,omitempty"`
	Article string   `json:"article,omitempty"`
	Reason  string   `json:"reason,omitempty"`
	Request string   `json:"request,omitempty"`

	Facts map[string]string `json:"facts,omitempty"`
}

// OwnPage is one page of it, pinned like a LogPage.
type OwnPage struct {
	Items []OwnEntry `json:"items"`
	Log   int        `json:"log"`
	Size  uint64     `json:"size,string"`
	Next  string     `json:"next_page_token,omitempty"`
	Audit AuditRef   `json:"audit"`
}

// accountKinds begin the kinds of entries that concern an account, whatever they
// are about.
func accountKinds() []string {
	return []string{"person.", "duty.", "training.", "undertaking.", "grant.", "breakglass."}
}

// Own shows a person every entry about her own accesses and about her account,
// of every year, the newest first. No decision covers it (domain.json says why);
// it is an entry nevertheless. Only people have it: what a portal or a program
// does is its operator's.
func (d *Door) Own(ctx context.Context, c Caller, r OwnRequest) (*OwnPage, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if c.Institution != d.cfg.Institution || c.Kind != Human {
		return nil, ErrNotFound
	}
	alias, err := d.cfg.Log.Alias(ctx, c.Person)
	if err != nil {
		return nil, logError(err)
	}
	q, pinned, err := d.ownQuery(ctx, c, r)
	if err != nil {
		return nil, err
	}
	found, err := d.cfg.Log.Search(ctx, q)
	a := &asked{question: question{action: "log"}, caller: c, alias: alias, at: d.now()}
	if err != nil {
		return nil, d.searchError(ctx, a, err)
	}
	mine, err := d.cfg.Log.Aliases(ctx, c.Person)
	if err != nil {
		return nil, logError(err)
	}
	page := &OwnPage{Items: make([]OwnEntry, 0, len(found.Hits)), Log: pinned.Log, Size: pinned.Size}
	for i := range found.Hits {
		page.Items = append(page.Items, ownEntry(&found.Hits[i], mine))
	}
	if found.More {
		pinned.Year, pinned.Index = found.Next.Year, found.Next.Index
		page.Next = pinned.encode()
	}
	b := audit.Body{At: a.at, Stage: audit.StageEvent, Kind: "access.log", Actor: audit.Actor{ID: alias, Auth: c.Auth, OnBehalf: c.OnBehalf},
		Subject: "query:" + c.Request, Request: c.Request, Net: c.Net, Facts: audit.Facts{"own": true, "hits": len(page.Items), "size": int(pinned.Size)}}
	receipt, err := d.record(ctx, b)
	if err != nil {
		return nil, err
	}
	page.Audit = receiptRef(receipt)
	return page, nil
}

// ownQuery looks for what she did, what was done to her account, and what names
// her.
func (d *Door) ownQuery(ctx context.Context, c Caller, r OwnRequest) (q pglog.Query, pinned logCursor, err error) {
	if r.After != "" {
		if pinned, err = decodeLogCursor(r.After); err != nil {
			return q, pinned, err
		}
	} else {
		at, err := d.cfg.Log.SearchFrom(ctx)
		if err != nil {
			return q, pinned, logError(err)
		}
		pinned = logCursor{Year: at.Year, Index: at.Index, Log: at.Year, Size: at.Index, Now: d.now().UnixMicro()}
	}
	mine, err := d.cfg.Log.Aliases(ctx, c.Person)
	if err != nil {
		return q, pinned, logError(err)
	}
	var terms []string
	for _, alias := range mine {
		terms = append(terms, pglog.Term(pglog.TermActor, alias), pglog.Term(pglog.TermSubject, "person:"+alias), pglog.Term(pglog.TermAbout, alias))
	}
	// Her roles count for nothing here: as herself she is kept from what is kept
	// from anybody, but for what she did herself.
	veil, err := d.curtain(ctx, c.Person, nil)
	if err != nil {
		return q, pinned, err
	}
	keep := func(_ *pglog.EntryState, b *audit.Body) (bool, error) {
		if slices.Contains(mine, b.Actor.ID) {
			return true, nil
		}
		account := slices.ContainsFunc(accountKinds(), func(prefix string) bool { return strings.HasPrefix(b.Kind, prefix) })
		person, _ := strings.CutPrefix(b.Subject, "person:")
		if !account && !slices.Contains(mine, person) {
			return false, nil
		}
		hidden, err := veil.hides(ctx, b)
		return !hidden, err
	}
	return pglog.Query{All: [][]string{terms}, Before: pglog.Place{Year: pinned.Year, Index: pinned.Index}, Limit: pageSize(r.PageSize), Keep: keep}, pinned, nil
}

// ownEntry leaves out what she was not told: of a refusal that she heard as "no
// such record" the record, the rule and the reason, which would say that there
// is one and why she must not know; and other people's aliases.
func ownEntry(h *pglog.Hit, mine []string) OwnEntry {
	b := &h.Parsed
	e := OwnEntry{Entry: h.ID, Log: h.Origin, Index: h.Index, LeafHash: hex.EncodeToString(h.LeafHash[:]), At: b.At, Stage: string(b.Stage), Kind: b.Kind,
		Mine: slices.Contains(mine, b.Actor.ID), Roles: b.Actor.Roles, Purpose: b.Purpose, Fields: b.Fields, Request: b.Request}
	if b.Decision != nil {
		e.Result = b.Decision.Result
	}
	if heardNothing(b) {
		if action, ok := b.Facts.Text("action"); ok {
			e.Facts = map[string]string{"action": action}
		}
		return e
	}
	e.Subject = b.Subject
	if b.Decision != nil {
		e.Rule, e.Article, e.Reason = b.Decision.Rule, b.Decision.Article, b.Decision.Reason
	}
	for name, value := range b.Facts {
		if text, ok := value.(string); ok && strings.HasPrefix(text, "a-") && !slices.Contains(mine, text) {
			continue
		}
		if e.Facts == nil {
			e.Facts = map[string]string{}
		}
		e.Facts[name] = fmt.Sprint(value)
	}
	return e
}

// heardNothing says whether an entry is of a refusal that was answered like a
// record that does not exist (asked.denial), or a finding beside one.
func heardNothing(b *audit.Body) bool {
	_, committed := b.Commit["id"]
	return b.Kind == "access.denied" && committed || b.Kind == "access.integrity"
}
