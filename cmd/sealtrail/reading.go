package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

type auditSearchCmd struct {
	Query string `arg:"" optional:"" help:"key:value words: actor action decision field purpose rule article subject request stage reason role since until; 操作人 动作 决定 字段 目的 规则 条款 对象 请求. Commas mean or, a minus in front means not."`
	Since string `help:"Like since: in the query: 7d, 24h, 2026-11-01." placeholder:"TIME"`
	Until string `help:"Like until: in the query." placeholder:"TIME"`
	Saved string `help:"Run a search that was kept under this name." placeholder:"NAME"`
	Limit int    `default:"50" help:"Most entries to show."`
}

// text is the whole query.
func (c *auditSearchCmd) text(s *session) (string, error) {
	text := c.Query
	if c.Saved != "" {
		saved, err := s.savedQuery(c.Saved)
		if err != nil {
			return "", err
		}
		text = strings.TrimSpace(saved.Query + " " + text)
	}
	if c.Since != "" {
		text += " since:" + c.Since
	}
	if c.Until != "" {
		text += " until:" + c.Until
	}
	return strings.TrimSpace(text), nil
}

// logPage is what the client needs of a page.
type logPage struct {
	Items []map[string]any `json:"items"`
	Log   int              `json:"log"`
	Size  string           `json:"size"`
	Next  string           `json:"next_page_token"`
	Audit json.RawMessage  `json:"audit"`
}

// Run pages until it has as many entries as were asked for.
func (c *auditSearchCmd) Run(s *session) error {
	text, err := c.text(s)
	if err != nil {
		return err
	}
	var all logPage
	for token := ""; len(all.Items) < c.Limit; {
		body := map[string]any{"q": text, "page_size": min(200, c.Limit-len(all.Items))}
		if token != "" {
			body["page_token"] = token
		}
		a, err := s.client.do(s, request{method: http.MethodPost, path: "/v1/audit/entries:search", purpose: true, body: body})
		if err != nil {
			return err
		}
		var page logPage
		if err := a.into(&page); err != nil {
			return err
		}
		all.Items, all.Log, all.Size, all.Next, all.Audit = append(all.Items, page.Items...), page.Log, page.Size, page.Next, page.Audit
		if token = page.Next; token == "" {
			break
		}
	}
	if all.Items == nil {
		all.Items = []map[string]any{}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("writing the entries: %w", err)
	}
	return s.show(&answer{body: raw}, func(w io.Writer) error { return s.entries(w, all) })
}

// entries prints a table of what was found, and what it was pinned to.
func (s *session) entries(w io.Writer, page logPage) error {
	fmt.Fprintln(w, s.word("序号\t时间\t操作人\t动作\t对象\t字段\t目的\t决定\t规则\t请求号", "INDEX\tTIME\tACTOR\tACTION\tSUBJECT\tFIELDS\tPURPOSE\tDECISION\tRULE\tREQUEST"))
	for _, item := range page.Items {
		actor := scalar(item["name"])
		if actor == "" {
			actor = scalar(item["actor"])
		}
		cells := []string{scalar(item["index"]), toTheSecond(scalar(item["at"])), actor, scalar(item["kind"]), scalar(item["subject"]), scalar(item["fields"]),
			scalar(item["purpose"]), scalar(memberOf(item, "decision.result")), scalar(memberOf(item, "decision.rule")), scalar(item["request"])}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	fmt.Fprintf(w, "\f")
	fmt.Fprintf(w, s.word("%d 条,截至日志 %d 的第 %s 条\n", "%d entries, up to size %[3]s of the log of %[2]d\n"), len(page.Items), page.Log, page.Size)
	return nil
}

type auditExportCmd struct {
	auditSearchCmd
	Size   string `help:"Size to pin to, as a search said; default: now." placeholder:"N"`
	Format string `enum:"jsonl,csv" default:"jsonl" help:"jsonl or csv; the last line is the manifest."`
	File   string `short:"f" required:"" type:"path" help:"File to write; it must not exist." placeholder:"FILE"`
}

// Run writes an export. The file appears whole or not at all.
func (c *auditExportCmd) Run(s *session) error {
	text, err := c.text(s)
	if err != nil {
		return err
	}
	body := map[string]any{"q": text, "format": c.Format}
	if c.Size != "" {
		body["size"] = c.Size
	}
	a, err := s.client.do(s, request{method: http.MethodPost, path: "/v1/audit/entries:export", purpose: true, body: body})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	if _, err := f.Write(a.body); err != nil {
		_ = f.Close()
		return fmt.Errorf("writing the export: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing the export: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(a.body)), "\n")
	_, err = fmt.Fprintln(s.out, strings.TrimPrefix(lines[len(lines)-1], "#"))
	return err
}

type auditQueryCmd struct {
	Save   querySaveCmd   `cmd:"" help:"Keep a search under a name, for yourself."`
	List   queryListCmd   `cmd:"" help:"Your kept searches."`
	Delete queryDeleteCmd `cmd:"" help:"Forget one."`
}

type querySaveCmd struct {
	Name  string `arg:"" help:"Name."`
	Query string `arg:"" help:"The search; see audit search."`
}

// Run keeps a search.
func (c *querySaveCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodPost, path: "/v1/audit/queries", purpose: true, body: map[string]string{"name": c.Name, "q": c.Query}})
	if err != nil {
		return err
	}
	return s.show(a, s.members(a))
}

type queryListCmd struct{}

// Run lists searches.
func (c *queryListCmd) Run(s *session) error {
	return s.listOwn("/v1/audit/queries", nil, []column{{"名称", "NAME", "name"}, {"检索", "QUERY", "q"}, {"保存时间", "SAVED", "saved_at"}})
}

// savedQuery is a kept search.
type savedQuery struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Query string `json:"q"`
}

// savedQuery finds one by its name.
func (s *session) savedQuery(name string) (savedQuery, error) {
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/audit/queries"})
	if err != nil {
		return savedQuery{}, err
	}
	var list struct {
		Items []savedQuery `json:"items"`
	}
	if err := a.into(&list); err != nil {
		return savedQuery{}, err
	}
	for _, q := range list.Items {
		if q.Name == name {
			return q, nil
		}
	}
	return savedQuery{}, &usageError{s.word("没有此名称的检索", "you keep no search of that name"), "sealtrail audit query list"}
}

type queryDeleteCmd struct {
	Name string `arg:"" help:"Name."`
}

// Run forgets a search.
func (c *queryDeleteCmd) Run(s *session) error {
	q, err := s.savedQuery(c.Name)
	if err != nil {
		return err
	}
	a, err := s.client.do(s, request{method: http.MethodDelete, path: "/v1/audit/queries/" + url.PathEscape(q.ID), purpose: true})
	if err != nil {
		return err
	}
	return s.show(a, s.members(a))
}

type auditOwnCmd struct {
	PageSize  int    `default:"50" help:"1 to 200."`
	PageToken string `help:"next_page_token of the former page." placeholder:"TOKEN"`
}

// Run shows what the log holds about the caller.
func (c *auditOwnCmd) Run(s *session) error {
	query := url.Values{"page_size": {strconv.Itoa(c.PageSize)}}
	if c.PageToken != "" {
		query.Set("page_token", c.PageToken)
	}
	return s.listOwn("/v1/audit/own", query, []column{{"序号", "INDEX", "index"}, {"时间", "TIME", "at"}, {"本人", "MINE", "mine"}, {"动作", "ACTION", "kind"},
		{"对象", "SUBJECT", "subject"}, {"字段", "FIELDS", "fields"}, {"目的", "PURPOSE", "purpose"}, {"决定", "DECISION", "result"}, {"规则", "RULE", "rule"}})
}

type lookedCmd struct {
	ID     string `arg:"" help:"Complaint id."`
	Proofs bool   `help:"With the place of each access in the signed log."`
}

// Run shows who looked: duties and days.
func (c *lookedCmd) Run(s *session) error {
	query := url.Values{}
	if c.Proofs {
		query.Set("proofs", "true")
	}
	return s.list("/v1/complaints/"+url.PathEscape(c.ID)+"/looked", query, []column{{"日期", "DATE", "date"}, {"岗位", "DUTY", "duty"}, {"所见", "SAW", "what"}, {"次数", "TIMES", "times"}})
}

type investigationCmd struct {
	Request investigationRequestCmd `cmd:"" help:"Ask for a sealed investigation."`
	Approve investigationApproveCmd `cmd:"" help:"Assent to one that somebody else asked for."`
	Refuse  investigationRefuseCmd  `cmd:"" help:"Refuse one."`
	Close   investigationCloseCmd   `cmd:"" help:"End one: what it kept back appears."`
	Show    investigationShowCmd    `cmd:"" help:"Show one."`
	List    investigationListCmd    `cmd:"" help:"Those that you may know of."`
}

type investigationRequestCmd struct {
	Person    []string `help:"Person of the duty register; may be repeated." placeholder:"PERSON"`
	Complaint []string `help:"Complaint id; may be repeated." placeholder:"ID"`
	Reason    string   `required:"" help:"For the second person; no personal data." placeholder:"TEXT"`
	Days      int      `default:"30" help:"How long, at most 180."`
}

// Run asks.
func (c *investigationRequestCmd) Run(s *session) error {
	body := map[string]any{"reason": c.Reason, "until": time.Now().UTC().AddDate(0, 0, c.Days).Format(time.RFC3339)}
	if len(c.Person) > 0 {
		body["persons"] = c.Person
	}
	if len(c.Complaint) > 0 {
		body["complaints"] = c.Complaint
	}
	return s.post("/v1/investigations", body)
}

type investigationApproveCmd struct {
	ID string `arg:"" help:"Investigation id."`
}

// Run assents.
func (c *investigationApproveCmd) Run(s *session) error {
	return s.post("/v1/investigations/"+url.PathEscape(c.ID)+"/approve", nil)
}

type investigationRefuseCmd struct {
	ID string `arg:"" help:"Investigation id."`
}

// Run refuses.
func (c *investigationRefuseCmd) Run(s *session) error {
	return s.post("/v1/investigations/"+url.PathEscape(c.ID)+"/refuse", nil)
}

type investigationCloseCmd struct {
	ID      string `arg:"" help:"Investigation id."`
	Confirm string `required:"" help:"The investigation id again: everybody will see what it kept back." placeholder:"ID"`
}

// Run ends it.
func (c *investigationCloseCmd) Run(s *session) error {
	if c.Confirm != c.ID {
		return s.notRepeated("调查编号", "the investigation id")
	}
	return s.post("/v1/investigations/"+url.PathEscape(c.ID)+"/close", nil)
}

type investigationShowCmd struct {
	ID string `arg:"" help:"Investigation id."`
}

// Run shows it.
func (c *investigationShowCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/investigations/" + url.PathEscape(c.ID)})
	if err != nil {
		return err
	}
	return s.show(a, s.members(a))
}

type investigationListCmd struct {
	State string `help:"requested, approved, refused or closed; default all." placeholder:"STATE"`
}

// Run lists them.
func (c *investigationListCmd) Run(s *session) error {
	query := url.Values{}
	if c.State != "" {
		query.Set("state", c.State)
	}
	return s.listOwn("/v1/investigations", query, []column{{"ID", "ID", "id"}, {"状态", "STATE", "state"}, {"申请人", "ASKED BY", "requested_by"}, {"截止", "UNTIL", "until"},
		{"人员", "PERSONS", "persons"}, {"投诉", "COMPLAINTS", "complaints"}})
}
