package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

type holdCmd struct {
	Place      holdPlaceCmd   `cmd:"" help:"Put a complaint under a legal hold."`
	AskRelease holdAskCmd     `cmd:"" name:"ask-release" help:"Ask for the release of a hold."`
	Release    holdReleaseCmd `cmd:"" help:"Release a hold that somebody else asked to have released."`
	List       holdListCmd    `cmd:"" help:"Holds of a complaint."`
}

type holdPlaceCmd struct {
	Complaint string `arg:"" help:"Complaint id."`
	Reason    string `required:"" help:"litigation, investigation, supervision or internal_audit." placeholder:"REASON"`
	Reference string `required:"" help:"File number of the court or authority; no personal data." placeholder:"NO"`
}

// Run places a hold.
func (c *holdPlaceCmd) Run(s *session) error {
	return s.post("/v1/complaints/"+url.PathEscape(c.Complaint)+"/holds", map[string]string{"reason": c.Reason, "reference": c.Reference})
}

type holdAskCmd struct {
	ID string `arg:"" help:"Hold id."`
}

// Run asks for a release.
func (c *holdAskCmd) Run(s *session) error {
	return s.post("/v1/holds/"+url.PathEscape(c.ID)+"/release-request", nil)
}

type holdReleaseCmd struct {
	ID      string `arg:"" help:"Hold id."`
	Confirm string `required:"" help:"The hold id again: what is released can be erased." placeholder:"HOLD"`
}

// Run releases a hold.
func (c *holdReleaseCmd) Run(s *session) error {
	if c.Confirm != c.ID {
		return s.notRepeated("保全编号", "the hold id")
	}
	return s.post("/v1/holds/"+url.PathEscape(c.ID)+"/release", nil)
}

type holdListCmd struct {
	Complaint string `arg:"" help:"Complaint id."`
}

// Run lists holds.
func (c *holdListCmd) Run(s *session) error {
	return s.list("/v1/complaints/"+url.PathEscape(c.Complaint)+"/holds", nil, []column{{"ID", "ID", "id"}, {"状态", "STATE", "state"},
		{"原因", "REASON", "reason"}, {"文号", "REFERENCE", "reference"}, {"设置人", "PLACED BY", "placed_by"}, {"设置时间", "PLACED", "placed_at"}})
}

// column is one column of a table: its head in two languages and its member.
type column struct{ zh, en, member string }

// list shows the items of an answer as a table.
func (s *session) list(path string, query url.Values, columns []column) error {
	return s.table(request{method: http.MethodGet, path: path, query: query, purpose: true}, columns)
}

// listOwn is list for what needs no purpose.
func (s *session) listOwn(path string, query url.Values, columns []column) error {
	return s.table(request{method: http.MethodGet, path: path, query: query}, columns)
}

func (s *session) table(r request, columns []column) error {
	a, err := s.client.do(s, r)
	if err != nil {
		return err
	}
	return s.show(a, func(w io.Writer) error {
		var page struct {
			Items []map[string]any `json:"items"`
		}
		if err := a.into(&page); err != nil {
			return err
		}
		heads := make([]string, len(columns))
		for i, c := range columns {
			heads[i] = s.word(c.zh, c.en)
		}
		fmt.Fprintln(w, strings.Join(heads, "\t"))
		for _, item := range page.Items {
			cells := make([]string, len(columns))
			for i, c := range columns {
				cells[i] = toTheSecond(scalar(memberOf(item, c.member)))
			}
			fmt.Fprintln(w, strings.Join(cells, "\t"))
		}
		return nil
	})
}

// memberOf finds a member by its path, as in "meta.state".
func memberOf(item map[string]any, path string) any {
	name, rest, deeper := strings.Cut(path, ".")
	if inner, ok := item[name].(map[string]any); ok && deeper {
		return memberOf(inner, rest)
	}
	return item[name]
}

type erasureCmd struct {
	Request erasureRequestCmd `cmd:"" help:"Ask for an erasure; the data protection officer decides."`
	Propose erasureProposeCmd `cmd:"" help:"Ask for the erasure of everything whose retention has ended."`
	Approve erasureApproveCmd `cmd:"" help:"Approve erasures that somebody else asked for; they are carried out at once."`
	Refuse  erasureRefuseCmd  `cmd:"" help:"Refuse an erasure."`
	List    erasureListCmd    `cmd:"" help:"Erasures in a state."`
	Show    erasureShowCmd    `cmd:"" help:"An erasure and what became of each record."`
	Receipt erasureReceiptCmd `cmd:"" help:"The receipt, which trailcheck verifies offline."`
	Due     erasureDueCmd     `cmd:"" help:"Complaints whose retention has ended."`
}

type erasureRequestCmd struct {
	Complaint string   `arg:"" help:"Complaint id."`
	Scope     string   `enum:"record,groups,subject" default:"record" help:"${enum}: this record, some groups of its fields, or every record of its complainant."`
	Group     []string `help:"Field group, for scope groups; may be repeated." placeholder:"GROUP"`
	Basis     string   `required:"" help:"retention_ended, subject_request, unlawful or court_order." placeholder:"BASIS"`
}

// Run asks for an erasure.
func (c *erasureRequestCmd) Run(s *session) error {
	body := map[string]any{"complaint": c.Complaint, "scope": c.Scope, "basis": c.Basis}
	if len(c.Group) > 0 {
		body["groups"] = c.Group
	}
	return s.post("/v1/erasures", body)
}

type erasureProposeCmd struct {
	Due bool `required:"" help:"What is due by the end of its retention; there is no other choice yet."`
	Max int  `default:"1000" help:"Ask for at most so many." placeholder:"N"`
}

// Run asks for the erasure of what is due, page by page. What was asked for is
// no longer due, so each round reads the first page.
func (c *erasureProposeCmd) Run(s *session) error {
	for asked := 0; asked < c.Max; {
		page, err := s.due(min(100, c.Max-asked), "")
		if err != nil {
			return err
		}
		if len(page.Items) == 0 {
			break
		}
		for _, item := range page.Items {
			a, err := s.client.do(s, request{method: http.MethodPost, path: "/v1/erasures", purpose: true,
				body: map[string]any{"complaint": item.ID, "scope": "record", "basis": "retention_ended"}})
			if err != nil {
				return err
			}
			if err := s.show(a, s.members(a)); err != nil {
				return err
			}
			asked++
		}
	}
	return nil
}

// duePage is a page of what is due, as far as it is used here.
type duePage struct {
	Items []struct {
		ID string `json:"id"`
	} `json:"items"`
	Next string `json:"next_page_token"`
}

func (s *session) due(size int, token string) (*duePage, error) {
	query := url.Values{"page_size": {fmt.Sprint(size)}}
	if token != "" {
		query.Set("page_token", token)
	}
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/erasures/due", query: query, purpose: true})
	if err != nil {
		return nil, err
	}
	var page duePage
	return &page, a.into(&page)
}

type erasureApproveCmd struct {
	IDs     []string `arg:"" name:"erasure" help:"Erasure ids."`
	Confirm int      `required:"" help:"How many erasures these are: an erasure cannot be undone." placeholder:"N"`
}

// Run approves erasures, one after the other.
func (c *erasureApproveCmd) Run(s *session) error {
	if c.Confirm != len(c.IDs) {
		return &usageError{s.word("--confirm 不是删除的件数", "--confirm is not the number of erasures"), ""}
	}
	for _, id := range c.IDs {
		if err := s.reviewErasure(id, "approve"); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) reviewErasure(id, verdict string) error {
	a, err := s.client.do(s, request{method: http.MethodPost, path: "/v1/erasures/" + url.PathEscape(id) + "/reviews", purpose: true,
		body: map[string]string{"verdict": verdict}})
	if err != nil {
		return err
	}
	return s.showErasure(a)
}

// showErasure shows an erasure with a line for each record.
func (s *session) showErasure(a *answer) error {
	return s.show(a, func(w io.Writer) error {
		if err := s.members(a)(w); err != nil {
			return err
		}
		var e struct {
			Items []map[string]any `json:"records"`
		}
		if err := a.into(&e); err != nil || len(e.Items) == 0 {
			return err
		}
		fmt.Fprintln(w, s.word("\f投诉\t结果\t保留至\t法律保全\t条目\t建议", "\fCOMPLAINT\tRESULT\tUNTIL\tHOLD\tENTRY\tINSTEAD"))
		for _, i := range e.Items {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", scalar(i["complaint"]), scalar(i["result"]), toTheSecond(scalar(i["until"])), scalar(i["hold"]),
				scalar(i["entry"]), scalar(i["suggest"]))
		}
		return nil
	})
}

type erasureRefuseCmd struct {
	ID string `arg:"" help:"Erasure id."`
}

// Run refuses an erasure.
func (c *erasureRefuseCmd) Run(s *session) error { return s.reviewErasure(c.ID, "refuse") }

type erasureListCmd struct {
	State string `enum:"requested,approved,executed,refused" default:"requested" help:"${enum}"`
}

// Run lists erasures.
func (c *erasureListCmd) Run(s *session) error {
	return s.list("/v1/erasures", url.Values{"state": {c.State}}, []column{{"ID", "ID", "id"}, {"范围", "SCOPE", "scope"}, {"投诉", "COMPLAINT", "complaint"},
		{"依据", "BASIS", "basis"}, {"申请人", "REQUESTED BY", "requested_by"}, {"申请时间", "REQUESTED", "requested_at"}})
}

type erasureShowCmd struct {
	ID string `arg:"" help:"Erasure id."`
}

// Run shows an erasure.
func (c *erasureShowCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/erasures/" + url.PathEscape(c.ID), purpose: true})
	if err != nil {
		return err
	}
	return s.showErasure(a)
}

type erasureReceiptCmd struct {
	ID  string `arg:"" help:"Erasure id."`
	Out string `type:"path" help:"File to write; standard output if not given. An existing file is not overwritten." placeholder:"FILE"`
}

// Run fetches a receipt, byte for byte.
func (c *erasureReceiptCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/erasures/" + url.PathEscape(c.ID) + "/receipt", purpose: true})
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err := fmt.Fprintln(s.out, strings.TrimSpace(string(a.body)))
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing the receipt: %w", err)
	}
	_, err = f.Write(a.body)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("writing the receipt: %w", err)
	}
	return nil
}

type erasureDueCmd struct {
	PageSize int    `default:"50" help:"1 to 200." placeholder:"N"`
	Token    string `help:"next_page_token of the former page." placeholder:"TOKEN"`
}

// Run lists what is due.
func (c *erasureDueCmd) Run(s *session) error {
	query := url.Values{"page_size": {fmt.Sprint(c.PageSize)}}
	if c.Token != "" {
		query.Set("page_token", c.Token)
	}
	return s.list("/v1/erasures/due", query, []column{{"ID", "ID", "id"}, {"编号", "NUMBER", "complaint_no"}, {"状态", "STATE", "meta.state"},
		{"保存至", "RETAINED UNTIL", "meta.retention_until"}})
}
