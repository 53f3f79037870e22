package custody

import (
	"errors"
	"fmt"
	"io"
)

// ErrFilesUnavailable means: the store of sealed files cannot be reached, or there is
// none. 503.
var ErrFilesUnavailable = errors.New("the file store is not available")

// ErrFilesFull means: the store of sealed files has no room. 507.
var ErrFilesFull = errors.New("the file store is full")

// ErrTransfersBusy means: as many files are under way as one process serves. 503.
var ErrTransfersBusy = errors.New("too many files are under way")

// ErrIdle means: the caller sent or took nothing for too long. 408.
var ErrIdle = errors.New("the transfer stood still")

// RangeError means: the file has no byte of the range that was asked for. 416.
type RangeError struct{ Size int64 }

func (e *RangeError) Error() string { return fmt.Sprintf("the file has %d bytes", e.Size) }

// FileView describes an attachment or a recording. Its name is sealed with it.
type FileView struct {
	ID        string `json:"id"`
	Field     string `json:"field" enum:"attachments,recordings"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size" doc:"Bytes of the content"`
	SHA256    string `json:"sha256" doc:"Digest of the stored ciphertext, as the log has it"`
}

// FileList is what a caller may know of a complaint's files.
type FileList struct {
	ID       string       `json:"id"`
	Revision uint64       `json:"revision"`
	Files    []FileView   `json:"files"`
	Denied   []string     `json:"denied,omitempty" doc:"Fields whose files this caller may not know of"`
	Decision DecisionView `json:"decision"`
	Audit    AuditRef     `json:"audit"`
}

// FilesRequest lists the files of a complaint. It needs no key and no store.
type FilesRequest struct{ ID, Purpose string }

// AttachRequest adds one file.
type AttachRequest struct {
	ID, Purpose string
	Revision    uint64 // the revision the caller saw; 412 if it moved on
	Field       string // attachments or recordings
	ContentType string // what the caller says that it is; the content has to fit
	Name        string // its name, which is sealed with it; may be empty
}

// Attached answers an AttachRequest.
type Attached struct {
	File     FileView `json:"file"`
	Revision uint64   `json:"revision" doc:"The complaint's new revision"`
	Audit    AuditRef `json:"audit"`
}

// OpenFileRequest opens one file, or a range of it.
type OpenFileRequest struct {
	ID, Purpose string
	File        string
	Reason      string
	Range       *ByteRange // nil: all of it
}

// ByteRange is a range of bytes as HTTP writes it.
type ByteRange struct {
	From int64 // first byte; with Last < 0 to the end of the file
	Last int64 // last byte, included
	// Suffix, if not 0, asks for that many last bytes; From and Last are unused.
	Suffix int64
}

// resolve fits the range to a file.
func (r *ByteRange) resolve(size int64) (offset, length int64, err error) {
	switch {
	case r == nil:
		return 0, size, nil
	case r.Suffix > 0:
		offset = max(0, size-r.Suffix)
	case r.Last >= 0 && r.Last < r.From || r.From >= size || r.From < 0:
		return 0, 0, &RangeError{size}
	case r.Last >= 0:
		return r.From, min(r.Last, size-1) - r.From + 1, nil
	default:
		offset = r.From
	}
	if offset >= size {
		return 0, 0, &RangeError{size}
	}
	return offset, size - offset, nil
}

// OpenedFile is a file, or a range of it, being read. Whoever got it reads Body
// until io.EOF and closes it: only then does the log hear that all of it left.
// Every byte of Body was authenticated; an error of Body that wraps ErrIntegrity
// is a finding that is an entry already.
type OpenedFile struct {
	FileView
	Name   string // from inside the file; empty if it was given none
	Offset int64
	Length int64 // of Body
	Audit  AuditRef
	Body   io.ReadCloser
}
