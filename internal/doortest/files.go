package doortest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// files are those of all records, by file id.
type files struct {
	held map[string]*held
	// Broken, if set, is what a file's content ends in after half of it.
	broken error
}

type held struct {
	complaint string
	view      custody.FileView
	name      string
	content   []byte
}

// BreakFiles makes every file that is opened end in err after half of it.
func (d *Door) BreakFiles(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files.broken = err
}

// Attach implements httpapi.Door. It takes content that begins with %PDF.
func (d *Door) Attach(_ context.Context, c custody.Caller, r custody.AttachRequest, content io.Reader) (*custody.Attached, error) {
	if err := d.enter("attach", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	rec := d.records[r.ID]
	if rec == nil {
		return nil, custody.ErrNotFound
	}
	if rec.revision != r.Revision {
		return nil, custody.ErrStale
	}
	body, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(body, []byte("%PDF")) {
		return nil, &custody.InvalidError{Problems: []intake.Problem{{Pointer: "/Content-Type", Code: "media_type_mismatch"}}}
	}
	sum := sha256.Sum256(body)
	f := &held{complaint: r.ID, name: r.Name, content: body,
		view: custody.FileView{ID: newID(), Field: r.Field, MediaType: r.ContentType, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}}
	if d.files.held == nil {
		d.files.held = map[string]*held{}
	}
	d.files.held[f.view.ID] = f
	rec.revision++
	return &custody.Attached{File: f.view, Revision: rec.revision, Audit: d.audit()}, nil
}

// Files implements httpapi.Door.
func (d *Door) Files(_ context.Context, c custody.Caller, r custody.FilesRequest) (*custody.FileList, error) {
	if err := d.enter("files", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	rec := d.records[r.ID]
	if rec == nil {
		return nil, custody.ErrNotFound
	}
	list := &custody.FileList{ID: r.ID, Revision: rec.revision, Files: []custody.FileView{}, Audit: d.audit()}
	for _, f := range d.files.held {
		if f.complaint == r.ID {
			list.Files = append(list.Files, f.view)
		}
	}
	return list, nil
}

// OpenFile implements httpapi.Door. A quality reviewer is refused.
func (d *Door) OpenFile(_ context.Context, c custody.Caller, r custody.OpenFileRequest) (*custody.OpenedFile, error) {
	if err := d.enter("open", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	f := d.files.held[r.File]
	switch {
	case f == nil || f.complaint != r.ID:
		return nil, custody.ErrNotFound
	case slices.Contains(c.Roles, "quality"):
		return nil, Refusal()
	case r.Reason == "":
		return nil, &custody.InvalidError{Problems: []intake.Problem{{Pointer: "/reason", Code: "required"}}}
	}
	from, to := int64(0), f.view.Size
	if r.Range != nil {
		switch {
		case r.Range.Suffix > 0:
			from = max(0, to-r.Range.Suffix)
		case r.Range.From >= to:
			return nil, &custody.RangeError{Size: to}
		default:
			from = r.Range.From
			if r.Range.Last >= 0 {
				to = min(to, r.Range.Last+1)
			}
		}
	}
	body := io.Reader(bytes.NewReader(f.content[from:to]))
	if d.files.broken != nil {
		body = io.MultiReader(bytes.NewReader(f.content[from:from+(to-from)/2]), failing{d.files.broken})
	}
	return &custody.OpenedFile{FileView: f.view, Name: f.name, Offset: from, Length: to - from, Audit: d.audit(), Body: io.NopCloser(body)}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
