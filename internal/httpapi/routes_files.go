package httpapi

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/mediatype"
)

// maxReason bounds a reason in characters, as in the body of a reveal.
const maxReason = 500

func (s *service) files() {
	s.addFile()
	s.listFiles()
	s.openFile()
}

type addFileInput struct {
	RecordParam
	IfMatch     string `header:"If-Match" doc:"Required: the ETag that the change is based on"`
	ContentType string `header:"Content-Type" doc:"What the file is; its content has to fit"`
	Disposition string `header:"Content-Disposition" doc:"attachment; filename*=UTF-8''... names the file. The name is sealed with it"`
	Field       string `query:"field" doc:"attachments or recordings"`
}

func (s *service) addFile() {
	content := map[string]*huma.MediaType{}
	for _, t := range mediatype.Types() {
		content[t.Type] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	add(s, operation{id: "addFile", method: http.MethodPost, path: "/v1/complaints/{id}/files", tag: "files", status: http.StatusCreated, stream: true,
		summary: "Seal and attach one file", body: &huma.RequestBody{Required: true, Content: content},
		description: "The body is the file itself, of any length up to the configured limit; it is sealed as it comes. Send Expect: 100-continue: what is refused need not be sent."},
		func(ctx context.Context, x *exchange, in *addFileInput) (*reply[*custody.Attached], error) {
			id, purpose, revision, err := changeInput{in.RecordParam, in.IfMatch}.all(x)
			if err != nil {
				return nil, err
			}
			name, err := in.name(x)
			if err != nil {
				return nil, err
			}
			if f, ok := complaint.FieldByName(in.Field); !ok || !f.Stream {
				return nil, x.member("/field", "attachments", "recordings")
			}
			if x.r.Header.Get("Content-Encoding") != "" {
				return nil, x.newProblem(codeMediaType)
			}
			body := x.incoming()
			a, err := s.cfg.Door.Attach(ctx, x.caller, custody.AttachRequest{ID: id, Purpose: purpose, Revision: revision, Field: in.Field,
				ContentType: in.ContentType, Name: name}, body)
			body.done()
			if err != nil {
				return nil, err
			}
			x.Header().Set("Location", "/v1/complaints/"+id+"/files/"+a.File.ID)
			return newReply(a, a.Revision, a.Audit), nil
		})
}

// name is the file's name, from Content-Disposition.
func (in *addFileInput) name(x *exchange) (string, error) {
	if in.Disposition == "" {
		return "", nil
	}
	_, params, err := mime.ParseMediaType(in.Disposition)
	if name := params["filename"]; err == nil && utf8.ValidString(name) {
		return name, nil
	}
	return "", x.place(codeMalformed, "/Content-Disposition", "malformed")
}

func (s *service) listFiles() {
	add(s, operation{id: "listFiles", method: http.MethodGet, path: "/v1/complaints/{id}/files", tag: "files",
		summary: "List a complaint's attachments and recordings", description: "Needs no key server and no file store. A file's name is sealed with it."},
		func(ctx context.Context, x *exchange, in *RecordParam) (*reply[*custody.FileList], error) {
			id, purpose, err := in.both(x)
			if err != nil {
				return nil, err
			}
			list, err := s.cfg.Door.Files(ctx, x.caller, custody.FilesRequest{ID: id, Purpose: purpose})
			if err != nil {
				return nil, err
			}
			return newReply(list, list.Revision, list.Audit), nil
		})
}

type openFileInput struct {
	RecordParam
	File    string `path:"file" format:"uuid" doc:"File id"`
	Reason  string `header:"Sealtrail-Reason" doc:"Required: why, as percent-encoded UTF-8; sealed in the log"`
	Range   string `header:"Range" doc:"One range of bytes"`
	IfRange string `header:"If-Range" doc:"The ETag of the file of which the range is wanted"`
}

// streamed is an answer that the operation has written by itself.
type streamed struct{}

func (s *service) openFile() {
	part := func(text string) *huma.Response {
		return &huma.Response{Description: text, Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
	}
	add(s, operation{id: "openFile", method: http.MethodGet, path: "/v1/complaints/{id}/files/{file}", tag: "files", stream: true,
		summary:   "Open one file, or a range of it, in clear",
		responses: map[string]*huma.Response{"200": part("The file"), "206": part("The range")},
		description: "Each call is an access of its own, with a reason, and takes one from the hourly budget. Every byte is authenticated before it leaves; " +
			"an answer shorter than its Content-Length met a chunk that is not what was sealed."},
		func(ctx context.Context, x *exchange, in *openFileInput) (*streamed, error) {
			id, purpose, err := in.both(x)
			if err != nil {
				return nil, err
			}
			reason, err := url.PathUnescape(in.Reason)
			if err != nil || !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason {
				return nil, x.place(codeMalformed, "/Sealtrail-Reason", "malformed")
			}
			file := strings.ToLower(in.File)
			f, err := s.cfg.Door.OpenFile(ctx, x.caller, custody.OpenFileRequest{ID: id, Purpose: purpose, File: file, Reason: reason,
				Range: byteRange(in.Range, in.IfRange, fileTag(file))})
			if err != nil {
				return nil, unsatisfied(x, err)
			}
			return x.send(f, in.Range != "")
		})
}

// fileTag is the strong ETag of a file: its content never changes.
func fileTag(id string) string { return `"` + id + `"` }

func unsatisfied(x *exchange, err error) error {
	var none *custody.RangeError
	if errors.As(err, &none) {
		x.Header().Set("Content-Range", contentRange(0, 0, none.Size))
	}
	return err
}

// send writes an opened file. Once the first byte has left, an error can only
// break the answer off: the connection ends before Content-Length is reached.
func (x *exchange) send(f *custody.OpenedFile, part bool) (*streamed, error) {
	defer f.Body.Close()
	h := x.Header()
	h.Set("Content-Type", f.MediaType)
	h.Set("Content-Length", strconv.FormatInt(f.Length, 10))
	h.Set("Content-Disposition", disposition(f))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", fileTag(f.ID))
	h.Set("Audit-Entry", strconv.FormatUint(f.Audit.Entry, 10))
	status := http.StatusOK
	if part && (f.Offset > 0 || f.Length < f.Size) {
		status = http.StatusPartialContent
		h.Set("Content-Range", contentRange(f.Offset, f.Length, f.Size))
	}
	x.WriteHeader(status)
	if err := x.outgoing(f.Body); err != nil {
		if !errors.Is(err, errHungUp) {
			x.code, x.cause = codeOf(err), err
		}
		x.broken = true
	}
	return &streamed{}, nil
}

// disposition makes every browser save the file instead of showing it.
func disposition(f *custody.OpenedFile) string {
	name := f.Name
	if name == "" {
		name = f.ID
	}
	if value := mime.FormatMediaType("attachment", map[string]string{"filename": name}); value != "" {
		return value
	}
	return "attachment"
}
