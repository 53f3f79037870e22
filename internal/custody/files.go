package custody

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/stream"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/filestore"
	"github.com/sealtrail/sealtrail/internal/mediatype"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

const (
	// defaultMaxFile is the longest file if nothing else is configured: 2 GiB.
	defaultMaxFile = 2 << 30
	// maxFiles is how many files one complaint may have: the list is part of the
	// row and of what its manifest covers.
	maxFiles = 200
	// maxTransfers is how many files one process reads and writes at a time. Each
	// holds a chunk, or with S3 one part of 16 MiB.
	maxTransfers = 32
)

// transfers counts the files under way.
type transfers struct{ n atomic.Int32 }

func (t *transfers) begin() error {
	if t.n.Add(1) > maxTransfers {
		t.n.Add(-1)
		return ErrTransfersBusy
	}
	return nil
}

func (t *transfers) end() { t.n.Add(-1) }

func (d *Door) maxFile() int64 {
	if d.cfg.MaxFile > 0 {
		return d.cfg.MaxFile
	}
	return defaultMaxFile
}

// Files lists the attachments and recordings of a complaint.
func (d *Door) Files(ctx context.Context, c Caller, r FilesRequest) (*FileList, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	a, err := d.askRecord(ctx, c, question{action: "read", purpose: r.Purpose, id: r.ID, metaOnly: true})
	if err != nil {
		return nil, err
	}
	receipt, err := d.record(ctx, a.intent("access.read", nil, audit.Facts{"masked": 0}))
	if err != nil {
		return nil, err
	}
	d.outcome(ctx, a, []pglog.Receipt{receipt}, nil, "answered")
	list := &FileList{ID: a.row.ID, Revision: a.row.Revision, Files: fileViews(a.row, a.decision), Decision: decisionView(a.decision), Audit: receiptRef(receipt)}
	for _, f := range complaint.StreamFields() {
		if a.decision.Effect(f.Name) == policy.Deny {
			list.Denied = append(list.Denied, f.Name)
		}
	}
	return list, nil
}

// fileViews are the files that a decision lets somebody know of.
func fileViews(row *store.Complaint, decision policy.Decision) []FileView {
	views := make([]FileView, 0, len(row.Files))
	for _, f := range row.Files {
		if decision.Effect(f.Field) != policy.Deny {
			views = append(views, viewOf(f))
		}
	}
	return views
}

func viewOf(f complaint.File) FileView {
	return FileView{ID: f.ID, Field: f.Field, MediaType: f.MediaType, Size: f.Size, SHA256: f.SHA256}
}

// attaching is one file on its way into the store.
type attaching struct {
	*Door
	a       *asked
	request AttachRequest
	kind    mediatype.Type
	receipt pglog.Receipt
	file    complaint.File
	ref     store.FileRef
	key     store.Wrapped
}

// Attach seals a file and lists it in its complaint. The order:
//
//	decide, look at the first bytes, intent, lend the record's key and verify the
//	row, mint the file's key, stream to the store, and then one transaction that
//	compares the revision, lists the file under a new manifest, stores its
//	wrapped key and appends the event with the digest of what is stored.
//
// content is read once, in chunks; nothing of it is ever on a disk in clear. How
// long the caller may take is hers to bound (ErrIdle). crash before the commit: a
// blob that no record names and whose key was never stored, removed by
// SweepFiles; after it: the file is there.
func (d *Door) Attach(ctx context.Context, c Caller, r AttachRequest, content io.Reader) (*Attached, error) {
	kind, err := checkAttach(r)
	if err != nil {
		return nil, err
	}
	if err := d.transfers.begin(); err != nil {
		return nil, err
	}
	defer d.transfers.end()
	u := &attaching{Door: d, request: r, kind: kind}
	// 1 ask
	if err := u.ask(ctx, c); err != nil {
		return nil, err
	}
	head, err := readHead(content)
	if err != nil {
		return nil, transferError(err)
	}
	if err := u.judge(head); err != nil {
		return nil, err
	}
	// 2 record, 3 verify and mint
	lease, err := u.prepare(ctx)
	if err != nil {
		return nil, err
	}
	// 4 stream
	err = u.stream(ctx, lease, io.MultiReader(&prefix{head}, content))
	lease.Release()
	if err != nil {
		u.giveUp(ctx)
		return nil, err
	}
	// 5 alter and record, in one transaction
	return u.commit(ctx)
}

// checkAttach judges what needs no record.
func checkAttach(r AttachRequest) (mediatype.Type, error) {
	if f, ok := complaint.FieldByName(r.Field); !ok || !f.Stream {
		return mediatype.Type{}, invalid("/field", "unknown_field", streamNames()...)
	}
	kind, ok := mediatype.Find(r.ContentType)
	if !ok || kind.Field != r.Field {
		return mediatype.Type{}, invalid("/Content-Type", "media_type_unknown", takenBy(r.Field)...)
	}
	return kind, nil
}

func streamNames() []string {
	var names []string
	for _, f := range complaint.StreamFields() {
		names = append(names, f.Name)
	}
	return names
}

// takenBy lists the media types that a field takes.
func takenBy(name string) []string {
	var types []string
	for _, t := range mediatype.Types() {
		if t.Field == name {
			types = append(types, t.Type)
		}
	}
	return types
}

func (u *attaching) ask(ctx context.Context, c Caller) (err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	r := u.request
	if u.a, err = u.askRecord(ctx, c, question{action: "amend", purpose: r.Purpose, id: r.ID, fields: []string{r.Field}}); err != nil {
		return err
	}
	switch row := u.a.row; {
	case row.Revision != r.Revision:
		return u.told(ctx, u.a, ErrStale)
	case len(row.Files) >= maxFiles:
		return u.told(ctx, u.a, &ConflictError{Code: "too_many_files", State: row.State})
	case u.cfg.Files == nil:
		return ErrFilesUnavailable
	}
	return nil
}

// readHead reads the beginning of the content. Only io.EOF is its end: a caller
// who hung up is none.
func readHead(content io.Reader) ([]byte, error) {
	head := make([]byte, 0, mediatype.HeadSize)
	for len(head) < cap(head) {
		n, err := content.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return head, nil
}

// judge looks at the beginning of the content.
func (u *attaching) judge(head []byte) error {
	switch {
	case len(head) == 0:
		return invalid("/body", "file_empty")
	case !u.kind.Fits(head):
		return invalid("/Content-Type", "media_type_mismatch")
	}
	return nil
}

// prepare makes the intent durable, verifies the row and mints the file's key.
func (u *attaching) prepare(ctx context.Context) (*keyring.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	u.file = complaint.File{ID: newUUID(), Field: u.request.Field, Generation: 1, MediaType: u.kind.Type}
	u.ref = store.FileRef{Complaint: u.a.row.ID, File: u.file.ID, Generation: u.file.Generation}
	var err error
	if u.receipt, err = u.record(ctx, u.a.intent("complaint.file_added", nil, u.facts())); err != nil {
		return nil, err
	}
	o, err := u.open(ctx, u.a, u.receipt, nil)
	if err != nil {
		return nil, err
	}
	o.close()
	lease, wrapped, err := u.mint(ctx, fileKeyID(u.cfg.Institution, u.ref), reference(u.receipt))
	if err != nil {
		return nil, u.broken(ctx, u.a, u.receipt, err)
	}
	u.key = store.Wrapped{Blob: wrapped.Blob, Commitment: wrapped.Commitment[:], Version: wrapped.KeyVersion}
	return lease, nil
}

// facts are what the log says of the file: everything once it is stored.
func (u *attaching) facts() audit.Facts {
	facts := audit.Facts{"file": u.file.ID, "field": u.file.Field, "media_type": u.kind.Code}
	if u.file.SHA256 != "" {
		facts["size"], facts["sha256"] = u.file.Size, u.file.SHA256
	}
	return facts
}

// stream seals the content into the store.
func (u *attaching) stream(ctx context.Context, lease *keyring.Lease, content io.Reader) error {
	limited := &limited{r: content, left: u.maxFile()}
	whole := io.MultiReader(&prefix{fileHead(cleanFileName(u.request.Name))}, limited)
	sealed, err := stream.NewSealingReader(whole, lease.Key(), filePlace(u.cfg.Institution, u.ref, u.file.Field, u.a.row.Suite))
	if err != nil {
		return keyError(err)
	}
	digest := sha256.New()
	n, err := u.cfg.Files.Put(ctx, blobName(u.cfg.Institution, u.ref), io.TeeReader(sealed, digest))
	if err != nil {
		return transferError(err)
	}
	u.file.Size, u.file.SHA256 = limited.n, hex.EncodeToString(digest.Sum(nil))
	if want := stream.SealedSize(fileHeadSize + u.file.Size); n != want {
		return fmt.Errorf("%w: it kept %d of %d bytes", ErrFilesUnavailable, n, want)
	}
	return nil
}

// giveUp ends an attempt of which nothing was committed.
func (u *attaching) giveUp(ctx context.Context) {
	u.cfg.Keys.Void(fileKeyID(u.cfg.Institution, u.ref))
	u.dropBlob(ctx, u.ref)
	u.outcome(context.WithoutCancel(ctx), u.a, []pglog.Receipt{u.receipt}, nil, "cancelled")
}

// commit lists the file. The record's key is borrowed anew, for the upload may
// have taken longer than a lease lives.
func (u *attaching) commit(ctx context.Context) (*Attached, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	o, err := u.open(ctx, u.a, u.receipt, nil)
	if err != nil { // recorded by open
		u.cfg.Keys.Void(fileKeyID(u.cfg.Institution, u.ref))
		u.dropBlob(ctx, u.ref)
		return nil, err
	}
	defer o.close()
	next := *u.a.row
	next.Files = append(slices.Clone(u.a.row.Files), u.file)
	if err := u.retain(ctx, &next, nil); err != nil {
		return nil, err
	}
	pending, err := u.rewrite(ctx, u.a, u.receipt, o, &next, change{kind: "complaint.file_added", facts: u.facts(),
		within: func(ctx context.Context, tx pgx.Tx) error {
			return u.cfg.Store.InsertFileKey(ctx, tx, u.cfg.Institution, u.ref, u.key)
		}})
	if err != nil { // recorded by rewrite
		u.cfg.Keys.Void(fileKeyID(u.cfg.Institution, u.ref))
		// A lost answer leaves open whether it was committed: then the blob stays,
		// and SweepFiles finds out.
		if !errors.Is(err, errUnknown) {
			u.dropBlob(ctx, u.ref)
		}
		return nil, err
	}
	u.outcome(ctx, u.a, []pglog.Receipt{u.receipt}, o, "answered")
	return &Attached{File: viewOf(u.file), Revision: next.Revision, Audit: auditRef(pending)}, nil
}

// filePlace binds a file to its record; suite 0 leaves open which it is.
func filePlace(institution string, f store.FileRef, name string, suite uint8) stream.Place {
	return stream.Place{Institution: institution, Record: f.Complaint, File: f.File, Field: name, Generation: f.Generation, Suite: suite}
}

// transferError gives an error of a transfer the door's own type.
func transferError(err error) error {
	var tooLarge *InvalidError
	switch {
	case errors.As(err, &tooLarge):
		return tooLarge
	case errors.Is(err, filestore.ErrFull):
		return ErrFilesFull
	case errors.Is(err, filestore.ErrUnavailable), errors.Is(err, filestore.ErrExists), errors.Is(err, filestore.ErrNotFound):
		return fmt.Errorf("%w: %s", ErrFilesUnavailable, fileCause(err))
	}
	return fmt.Errorf("transferring a file: %w", err)
}

// limited reads at most so many bytes; one more is an error, not an end.
type limited struct {
	r       io.Reader
	left, n int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		return 0, invalid("/body", "file_too_large")
	}
	l.left, l.n = l.left-int64(n), l.n+int64(n)
	return n, err
}

// prefix is a reader of bytes in memory.
type prefix struct{ b []byte }

func (p *prefix) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b)
	p.b = p.b[n:]
	return n, nil
}
