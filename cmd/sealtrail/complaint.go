package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
)

type complaintCmd struct {
	Create     createCmd     `cmd:"" help:"File one complaint from a JSON file."`
	Get        getCmd        `cmd:"" help:"Read one complaint, masked."`
	List       listCmd       `cmd:"" help:"List complaints, the next due first."`
	Search     searchCmd     `cmd:"" help:"Find complaints by phone, ID, card, account, e-mail or staff id."`
	Amend      amendCmd      `cmd:"" help:"Replace sealed fields."`
	Transition transitionCmd `cmd:"" help:"Move a complaint through its lifecycle."`
	Trail      trailCmd      `cmd:"" help:"Who saw or did what, why, under which article."`
}

type createCmd struct {
	File string `short:"f" required:"" type:"path" help:"JSON file with the complaint; - is standard input." placeholder:"FILE"`
	Key  string `help:"Idempotency key; default random. Use the same when repeating." placeholder:"KEY"`
}

// Run files one complaint.
func (c *createCmd) Run(s *session) error {
	raw, err := s.readFile(c.File)
	if err != nil {
		return err
	}
	if !json.Valid(raw) {
		return &usageError{s.word("文件不是 JSON", "the file holds no JSON"), ""}
	}
	if c.Key == "" {
		c.Key = randomKey()
	}
	a, err := s.client.do(s, request{method: http.MethodPost, path: "/v1/complaints", purpose: true, body: json.RawMessage(raw),
		header: map[string]string{"Idempotency-Key": c.Key}})
	if err != nil {
		return err
	}
	return s.show(a, s.members(a))
}

// readFile reads a file, or standard input when it is named "-".
func (s *session) readFile(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(s.in)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, &usageError{"reading the file: " + err.Error(), ""}
	}
	return raw, nil
}

func complaintPath(id, rest string) string { return "/v1/complaints/" + url.PathEscape(id) + rest }

type getCmd struct {
	ID   string `arg:"" help:"Complaint id."`
	View string `enum:"masked,meta" default:"masked" help:"meta leaves every sealed field out."`
}

// Run reads one complaint.
func (c *getCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: complaintPath(c.ID, ""), purpose: true, query: url.Values{"view": {c.View}}})
	if err != nil {
		return err
	}
	return s.showView(a)
}

// view is a complaint as far as a table shows it.
type view struct {
	ID          string            `json:"id"`
	ComplaintNo string            `json:"complaint_no"`
	Revision    uint64            `json:"revision"`
	Meta        map[string]string `json:"meta"`
	Fields      []struct {
		Name  string `json:"name"`
		State string `json:"state"`
		Value string `json:"value"`
	} `json:"fields"`
	Due []struct {
		Clock       string `json:"clock"`
		Basis       string `json:"basis"`
		RolledDueAt string `json:"rolled_due_at"`
		Binding     bool   `json:"binding"`
		MetAt       string `json:"met_at"`
	} `json:"due"`
	Decision struct {
		Rule    string `json:"rule"`
		Article string `json:"article"`
	} `json:"decision"`
	Audit struct {
		Entry string `json:"entry"`
	} `json:"audit"`
}

func (s *session) showView(a *answer) error {
	return s.show(a, func(w io.Writer) error {
		var v view
		if err := a.into(&v); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%s %d\n", v.ComplaintNo, v.ID, s.word("版本", "revision"), v.Revision)
		fmt.Fprint(w, "\f")
		keys := make([]string, 0, len(v.Meta))
		for k := range v.Meta {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			fmt.Fprintf(w, "  %s\t%s\n", k, v.Meta[k])
		}
		fmt.Fprint(w, "\f")
		for _, f := range v.Fields {
			fmt.Fprintf(w, "  %s\t%s\t%s\n", f.Name, f.State, f.Value)
		}
		fmt.Fprint(w, "\f")
		for _, d := range v.Due {
			if d.MetAt == "" {
				fmt.Fprintf(w, "  %s %s\t%s\t%s\t%s\n", s.word("期限", "due"), d.Clock, toTheSecond(d.RolledDueAt), d.Basis, s.binding(d.Binding))
			}
		}
		fmt.Fprintf(w, s.word("\f  规则 %s(条款 %s)  审计条目 %s\n", "\f  rule %s (article %s)  audit entry %s\n"), v.Decision.Rule, v.Decision.Article, v.Audit.Entry)
		return nil
	})
}

// binding marks the earliest of the limits.
func (s *session) binding(is bool) string {
	if is {
		return s.word("← 最早", "← earliest")
	}
	return ""
}

func (s *session) showPage(a *answer) error {
	return s.show(a, func(w io.Writer) error {
		var page struct {
			Items []view `json:"items"`
			Next  string `json:"next_page_token"`
		}
		if err := a.into(&page); err != nil {
			return err
		}
		if len(page.Items) == 0 {
			fmt.Fprintln(w, s.word("没有符合条件且可供您查看的投诉", "no complaint that fits and that you may see"))
			return nil
		}
		fmt.Fprintln(w, s.word("编号\tID\t状态\t等级\t期限", "NO\tID\tSTATE\tLEVEL\tDUE"))
		for _, v := range page.Items {
			due := ""
			for _, d := range v.Due {
				if d.Binding {
					due = toTheSecond(d.RolledDueAt) + " " + d.Clock
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", v.ComplaintNo, v.ID, v.Meta["state"], v.Meta["level"], due)
		}
		if page.Next != "" {
			fmt.Fprintln(w, s.word("下一页", "next page"), "--page-token", page.Next)
		}
		return nil
	})
}

type listCmd struct {
	State      string `help:"Only complaints in this state."`
	Department string `help:"Only this department's."`
	Assignee   string `help:"Only this person's."`
	DueBefore  string `help:"Only those due before this time, e.g. 2026-10-01T00:00:00+08:00." placeholder:"TIME"`
	PageSize   int    `default:"50" help:"1 to 200."`
	PageToken  string `help:"From the former page." placeholder:"TOKEN"`
}

// Run lists complaints.
func (c *listCmd) Run(s *session) error {
	q := url.Values{"page_size": {strconv.Itoa(c.PageSize)}}
	for name, value := range map[string]string{"state": c.State, "department": c.Department, "assignee": c.Assignee, "due_before": c.DueBefore, "page_token": c.PageToken} {
		if value != "" {
			q.Set(name, value)
		}
	}
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/complaints", purpose: true, query: q})
	if err != nil {
		return err
	}
	return s.showPage(a)
}

type searchCmd struct {
	Field     string `required:"" enum:"phone,id_number,bank_card,account_no,email,respondent_staff_id" help:"${enum}"`
	Value     string `help:"The term; without it, it is read from standard input, which keeps it out of the shell's history." placeholder:"TERM"`
	PageSize  int    `default:"50" help:"1 to 200."`
	ValueFile string `type:"path" help:"File with the term." placeholder:"FILE"`
}

// Run searches.
func (c *searchCmd) Run(s *session) error {
	value := c.Value
	if value == "" {
		raw, err := s.readFile(orDash(c.ValueFile))
		if err != nil {
			return err
		}
		value = strings.TrimSpace(string(raw))
	}
	a, err := s.client.do(s, request{method: http.MethodPost, path: "/v1/complaints:search", purpose: true,
		body: map[string]any{"field": c.Field, "value": value, "page_size": c.PageSize}})
	if err != nil {
		return err
	}
	return s.showPage(a)
}

func orDash(name string) string {
	if name == "" {
		return "-"
	}
	return name
}

type revealCmd struct {
	ID     string   `arg:"" help:"Complaint id."`
	Field  []string `required:"" help:"Catalogue name of a field; may be repeated." placeholder:"NAME"`
	Reason string   `help:"Why these fields; sealed in the log." placeholder:"TEXT"`
	Ticket string   `help:"Ticket or case number." placeholder:"NO"`
}

// Run reveals.
func (c *revealCmd) Run(s *session) error {
	body := map[string]any{"fields": c.Field, "reason": c.Reason, "ticket": c.Ticket}
	a, err := s.client.do(s, request{method: http.MethodPost, path: complaintPath(c.ID, "/reveals"), purpose: true, body: body})
	if err != nil {
		return err
	}
	return s.showView(a)
}

type amendCmd struct {
	ID       string            `arg:"" help:"Complaint id."`
	Revision uint64            `help:"Revision that the change is based on; default the present one." placeholder:"N"`
	Set      map[string]string `help:"Field and new value, e.g. --set phone=...; may be repeated." placeholder:"NAME=VALUE"`
	Clear    []string          `help:"Field to empty; may be repeated." placeholder:"NAME"`
	File     string            `short:"f" type:"path" help:"JSON merge patch {\"fields\":{...}} instead; - is standard input." placeholder:"FILE"`
}

// Run amends.
func (c *amendCmd) Run(s *session) error {
	var body any
	if c.File != "" {
		raw, err := s.readFile(c.File)
		if err != nil {
			return err
		}
		if !json.Valid(raw) {
			return &usageError{"the file holds no JSON", ""}
		}
		body = json.RawMessage(raw)
	} else {
		fields := map[string]any{}
		for k, v := range c.Set {
			fields[k] = v
		}
		for _, k := range c.Clear {
			fields[k] = nil
		}
		body = map[string]any{"fields": fields}
	}
	match, err := s.revision(c.ID, c.Revision)
	if err != nil {
		return err
	}
	a, err := s.client.do(s, request{method: http.MethodPatch, path: complaintPath(c.ID, ""), purpose: true, body: body, header: match})
	if err != nil {
		return err
	}
	return s.showView(a)
}

// revision is the If-Match header: the given revision, or the present one.
func (s *session) revision(id string, given uint64) (map[string]string, error) {
	if given > 0 {
		return map[string]string{"If-Match": `"` + strconv.FormatUint(given, 10) + `"`}, nil
	}
	a, err := s.client.do(s, request{method: http.MethodGet, path: complaintPath(id, ""), purpose: true, query: url.Values{"view": {"meta"}}})
	if err != nil {
		return nil, err
	}
	return map[string]string{"If-Match": a.header.Get("ETag")}, nil
}

type transitionCmd struct {
	ID       string            `arg:"" help:"Complaint id."`
	Name     string            `arg:"" help:"Transition, e.g. accept, classify, assign."`
	Revision uint64            `help:"Revision that the act is based on; default the present one." placeholder:"N"`
	Input    map[string]string `short:"i" help:"What the transition requires (docs/glossary.md), e.g. -i level=general; may be repeated." placeholder:"NAME=VALUE"`
}

// Run moves a complaint.
func (c *transitionCmd) Run(s *session) error {
	match, err := s.revision(c.ID, c.Revision)
	if err != nil {
		return err
	}
	body := map[string]any{"name": c.Name}
	if len(c.Input) > 0 {
		body["inputs"] = c.Input
	}
	a, err := s.client.do(s, request{method: http.MethodPost, path: complaintPath(c.ID, "/transitions"), purpose: true, body: body, header: match})
	if err != nil {
		return err
	}
	return s.showView(a)
}

type trailCmd struct {
	ID string `arg:"" help:"Complaint id."`
}

// Run shows the handling trail.
func (c *trailCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: complaintPath(c.ID, "/trail"), purpose: true})
	if err != nil {
		return err
	}
	return s.show(a, func(w io.Writer) error {
		var t struct {
			Items []struct {
				Entry, At, Stage, Kind, Actor, Purpose, Result, Rule, Article string
				Roles, Fields                                                 []string
			} `json:"items"`
		}
		if err := a.into(&t); err != nil {
			return err
		}
		fmt.Fprintln(w, s.word("条目\t时间\t事件\t人员\t角色\t目的\t结果\t规则\t条款\t字段", "ENTRY\tAT\tKIND\tACTOR\tROLES\tPURPOSE\tRESULT\tRULE\tARTICLE\tFIELDS"))
		for _, i := range t.Items {
			fmt.Fprintf(w, "%s\t%s\t%s/%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i.Entry, toTheSecond(i.At), i.Kind, i.Stage, i.Actor, strings.Join(i.Roles, ","),
				i.Purpose, i.Result, i.Rule, i.Article, strings.Join(i.Fields, ","))
		}
		return nil
	})
}
