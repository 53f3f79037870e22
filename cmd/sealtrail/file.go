package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/mediatype"
)

type fileCmd struct {
	Add  fileAddCmd  `cmd:"" help:"Seal and attach a file to a complaint."`
	List fileListCmd `cmd:"" help:"List a complaint's attachments and recordings."`
	Get  fileGetCmd  `cmd:"" help:"Open a file in clear."`
}

type fileAddCmd struct {
	ID       string `arg:"" help:"Complaint id."`
	File     string `arg:"" type:"existingfile" help:"The file." placeholder:"FILE"`
	Type     string `help:"Media type; default by the name's ending." placeholder:"TYPE"`
	Name     string `help:"Name to seal with it; default the file's." placeholder:"NAME"`
	Revision uint64 `help:"Revision that the change is based on; default the present one." placeholder:"N"`
}

// endings are those that a type's code does not say.
func endings() map[string]string {
	return map[string]string{"jpg": "jpeg", "tif": "tiff", "txt": "text"}
}

// typeOf guesses a file's type by its name.
func typeOf(name string) (mediatype.Type, bool) {
	ending := strings.TrimPrefix(strings.ToLower(filepath.Ext(name)), ".")
	if code, ok := endings()[ending]; ok {
		ending = code
	}
	for _, t := range mediatype.Types() {
		if t.Code == ending {
			return t, true
		}
	}
	return mediatype.Type{}, false
}

// Run attaches.
func (c *fileAddCmd) Run(s *session) error {
	kind, ok := mediatype.Find(c.Type)
	if c.Type == "" {
		kind, ok = typeOf(c.File)
	}
	if !ok {
		return &usageError{s.word("不接收此类文件", "files of this type are not taken"), s.word("用 --type 指定类型,例如 application/pdf", "name the type with --type, e.g. application/pdf")}
	}
	if c.Name == "" {
		c.Name = filepath.Base(c.File)
	}
	header, err := s.revision(c.ID, c.Revision)
	if err != nil {
		return err
	}
	content, err := os.Open(c.File)
	if err != nil {
		return &usageError{"opening the file: " + err.Error(), ""}
	}
	defer content.Close()
	header["Content-Type"] = kind.Type
	header["Content-Disposition"] = mime.FormatMediaType("attachment", map[string]string{"filename": c.Name})
	header["Expect"] = "100-continue" // what is refused is not sent
	resp, err := s.client.transfer(s, request{method: http.MethodPost, path: complaintPath(c.ID, "/files"), purpose: true,
		query: url.Values{"field": {kind.Field}}, header: header}, content)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &awayError{err}
	}
	a := &answer{body: body, header: resp.Header}
	return s.show(a, func(w io.Writer) error {
		var added struct {
			File     fileLine
			Revision uint64
		}
		if err := a.into(&added); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t%s\t%d\n%s\t%d\n", added.File.ID, added.File.MediaType, added.File.Size, s.word("版本", "revision"), added.Revision)
		return nil
	})
}

// fileLine is a file as far as a table shows it.
type fileLine struct {
	ID        string `json:"id"`
	Field     string `json:"field"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
}

type fileListCmd struct {
	ID string `arg:"" help:"Complaint id."`
}

// Run lists.
func (c *fileListCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: complaintPath(c.ID, "/files"), purpose: true})
	if err != nil {
		return err
	}
	return s.show(a, func(w io.Writer) error {
		var list struct {
			Files []fileLine `json:"files"`
		}
		if err := a.into(&list); err != nil {
			return err
		}
		fmt.Fprintln(w, s.word("文件\t类别\t类型\t字节\t密文摘要", "FILE\tFIELD\tTYPE\tBYTES\tSHA256 OF THE CIPHERTEXT"))
		for _, f := range list.Files {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", f.ID, f.Field, f.MediaType, f.Size, f.SHA256)
		}
		return nil
	})
}

type fileGetCmd struct {
	ID     string `arg:"" help:"Complaint id."`
	File   string `arg:"" help:"File id."`
	To     string `required:"" help:"Where to write it; a new file, or - for standard output." placeholder:"FILE"`
	Reason string `required:"" help:"Why; sealed in the log." placeholder:"TEXT"`
	Range  string `help:"Bytes to open, e.g. 0-1023, 1024- or -100." placeholder:"RANGE"`
}

// Run opens a file. What could not be read to its end is not kept.
func (c *fileGetCmd) Run(s *session) (err error) {
	header := map[string]string{"Sealtrail-Reason": url.PathEscape(c.Reason)}
	if c.Range != "" {
		header["Range"] = "bytes=" + c.Range
	}
	out := io.Writer(s.out)
	if c.To != "-" {
		// Before anything is disclosed: a name that cannot be written costs no access.
		file, made := os.OpenFile(c.To, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if made != nil {
			return &usageError{s.word("新建文件: ", "making the file: ") + made.Error(), s.word("用 --to 指定新文件", "name a new file with --to")}
		}
		out = file
		defer func() {
			if err = errors.Join(err, file.Close()); err != nil {
				err = errors.Join(err, os.Remove(c.To))
			}
		}()
	}
	resp, err := s.client.transfer(s, request{method: http.MethodGet, path: complaintPath(c.ID, "/files/"+url.PathEscape(c.File)), purpose: true, header: header}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(out, resp.Body)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		s.suggest(s.word("服务器中断了传输;若再次发生,请查看该投诉的轨迹(access.integrity)", "the server broke off; if it does so again, look for access.integrity in the complaint's trail"))
		return &awayError{errors.New(s.word("文件不完整", "the file is not whole"))}
	case err != nil:
		return fmt.Errorf("writing the file: %w", err)
	}
	fmt.Fprintf(s.err, s.word("%d 字节,审计条目 %s\n", "%d bytes, audit entry %s\n"), n, resp.Header.Get("Audit-Entry"))
	return nil
}

// stallAfter is how long a transfer may stand still. The file as a whole has no
// limit: --timeout is that of a request without a file.
const stallAfter = 60 * time.Second

// transfer sends one request with a file in it, or whose answer is one. The
// caller closes the answer's body. Errors are those of do.
func (c *client) transfer(ctx context.Context, r request, content *os.File) (*http.Response, error) {
	if err := c.ready(false); err != nil {
		return nil, err
	}
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	if content != nil {
		info, err := content.Stat()
		if err != nil {
			return nil, &usageError{"looking at the file: " + err.Error(), ""}
		}
		req.Body, req.ContentLength = io.NopCloser(content), info.Size()
	}
	ctx, cancel := context.WithCancel(ctx)
	idle := time.AfterFunc(stallAfter, cancel)
	unhurried := *c.http
	unhurried.Timeout = 0
	if t, ok := c.http.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.ExpectContinueTimeout = 5 * time.Second
		unhurried.Transport = t
	}
	if req.Body != nil {
		req.Body = moving{req.Body, idle}
	}
	resp, err := unhurried.Do(req.WithContext(ctx))
	if err != nil {
		cancel()
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the URL: it names a record
		}
		return nil, &awayError{err}
	}
	if resp.StatusCode/100 == 2 {
		resp.Body = moving{resp.Body, idle}
		return resp, nil
	}
	defer cancel()
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &awayError{err}
	}
	return nil, parseProblem(resp, body)
}

// moving puts off the end of a transfer as long as bytes move.
type moving struct {
	io.ReadCloser
	idle *time.Timer
}

func (m moving) Read(p []byte) (int, error) {
	m.idle.Reset(stallAfter)
	return m.ReadCloser.Read(p)
}
