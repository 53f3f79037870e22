package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// Evidencing is the door's part about evidence bundles.
type Evidencing interface {
	Evidence(context.Context, custody.Caller, custody.EvidenceRequest) (*custody.Evidence, error)
}

// EvidenceInput asks for the handling trail of one complaint, or for what a
// search of the log finds, as a file.
type EvidenceInput struct {
	Complaint string `json:"complaint,omitempty" doc:"Whose trail the bundle shows; or query"`
	Query     string `json:"query,omitempty" maxLength:"500" doc:"Search of the log, as for searching entries: the bundle holds what it finds, 2000 entries at most"`
	Openings  bool   `json:"openings,omitempty" doc:"Also the reasons that people gave; for who may reveal what handling found"`
	Since     []int  `json:"since,omitempty" doc:"Tree sizes of this year's log at which you kept a checkpoint: the bundle then proves that the log goes on from there"`
}

type evidenceOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	AuditEntry  string `header:"Audit-Entry"`
	Body        []byte
}

func (s *service) evidence() {
	body := newBody[EvidenceInput](nil)
	whole := &huma.Response{Description: "The bundle: docs/formats/evidence-bundle.md",
		Content: map[string]*huma.MediaType{"application/zip": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
	add(s, operation{id: "makeEvidence", method: http.MethodPost, path: "/v1/audit/bundles", tag: "audit", long: true, body: requestBody[EvidenceInput](s),
		summary:     "The handling trail of a complaint, or what a search of the log finds, as a file that anybody can check offline",
		description: "Answers application/zip. Making it is an entry of the very trail that it shows.", responses: map[string]*huma.Response{"200": whole}},
		func(ctx context.Context, x *exchange, in *purposeOnly) (*evidenceOutput, error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			b, err := body.read(x)
			if err != nil {
				return nil, err
			}
			if (b.Complaint == "") == (b.Query == "") {
				return nil, x.place(codeInvalid, "/complaint", "required")
			}
			r := custody.EvidenceRequest{Query: b.Query, Complaint: IDParam{ID: b.Complaint}.complaintID(), Purpose: purpose, Openings: b.Openings}
			for i, size := range b.Since {
				if size < 1 {
					return nil, x.place(codeInvalid, "/since/"+strconv.Itoa(i), "malformed")
				}
				r.Since = append(r.Since, uint64(size))
			}
			made, err := s.cfg.Door.Evidence(ctx, x.caller, r)
			if err != nil {
				return nil, err
			}
			var file bytes.Buffer
			if err := made.Write(&file); err != nil {
				return nil, err
			}
			return &evidenceOutput{ContentType: "application/zip", Disposition: `attachment; filename="` + made.Name + `"`,
				AuditEntry: strconv.FormatUint(made.Audit.Entry, 10), Body: file.Bytes()}, nil
		})
}
