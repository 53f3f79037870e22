package custody

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/stream"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/filestore"
	"github.com/sealtrail/sealtrail/internal/store"
)

// releaseEvery is how often a file that is being read asks whether its key may
// still be borrowed: a sealed Vault, a new policy or a destroyed key ends it.
const releaseEvery = 5 * time.Second

// OpenFile opens a file, or a range of it, as an access of its own: it takes one
// from the person's hourly budget and a reason, which is kept sealed. The order:
//
//	decide, budget, intent, lend the record's key and verify that the row lists
//	this very file, lend the file's key, compare length and head of what is
//	stored, authenticate its last chunk, and only then the first byte.
//
// What is missing, cut, or another file's gives no byte; a chunk that is not
// what was sealed gives none of it, and ends the answer.
func (d *Door) OpenFile(ctx context.Context, c Caller, r OpenFileRequest) (*OpenedFile, error) {
	if len([]rune(strings.TrimSpace(r.Reason))) < minReason {
		return nil, invalid("/reason", "required")
	}
	if err := d.transfers.begin(); err != nil {
		return nil, err
	}
	v := &viewing{Door: d, request: r}
	body, err := v.run(ctx, c)
	if err != nil {
		v.lease.Release()
		d.transfers.end()
		return nil, err
	}
	return &OpenedFile{FileView: viewOf(v.file), Name: v.name, Offset: v.offset, Length: v.length, Audit: receiptRef(v.receipt), Body: body}, nil
}

// viewing is one file on its way to a caller.
type viewing struct {
	*Door
	a              *asked
	request        OpenFileRequest
	file           complaint.File
	ref            store.FileRef
	offset, length int64
	name           string
	receipt        pglog.Receipt
	lease          *keyring.Lease
	opener         *stream.Opener
}

// run does everything before the first byte. Only what is read after it may take
// longer than the deadline.
func (v *viewing) run(ctx context.Context, c Caller) (*fileBody, error) {
	short, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	// 1 ask, 2 budget
	if err := v.ask(short, c); err != nil {
		return nil, err
	}
	// 3 record, 4 the row, with the reason kept before anything is disclosed
	if err := v.intend(short); err != nil {
		return nil, err
	}
	// 5 the file's own key, 6 what is stored
	err := v.lend(short)
	if err == nil {
		err = v.examine(short)
	}
	if err == nil {
		err = v.usedBreakGlass(short, v.a)
	}
	if err != nil {
		return nil, v.failed(short, err)
	}
	// 7 stream: not under the deadline
	at, n := v.opener.Span(fileHeadSize+v.offset, v.length)
	src, err := v.cfg.Files.Get(ctx, blobName(v.cfg.Institution, v.ref), at, n)
	if err != nil {
		return nil, v.failed(short, v.stored(err))
	}
	return &fileBody{v: v, ctx: ctx, src: src, plain: v.opener.Range(src, fileHeadSize+v.offset, v.length), checked: v.cfg.Now()}, nil
}

func (v *viewing) ask(ctx context.Context, c Caller) (err error) {
	r := v.request
	if v.a, err = v.askRecord(ctx, c, question{action: "reveal", purpose: r.Purpose, id: r.ID}); err != nil {
		return err
	}
	i := slices.IndexFunc(v.a.row.Files, func(f complaint.File) bool { return f.ID == r.File })
	if i < 0 {
		return v.noSuchFile(ctx)
	}
	v.file = v.a.row.Files[i]
	v.ref = store.FileRef{Complaint: v.a.row.ID, File: v.file.ID, Generation: v.file.Generation}
	v.a.fields = []string{v.file.Field}
	if len(v.a.denied(v.a.fields)) > 0 {
		return v.refuse(ctx, v.a)
	}
	if v.cfg.Files == nil {
		return ErrFilesUnavailable
	}
	if v.offset, v.length, err = r.Range.resolve(v.file.Size); err != nil {
		if _, unrecorded := v.record(ctx, v.a.body(audit.StageEvent, "access.read", audit.Facts{"masked": 0})); unrecorded != nil {
			return unrecorded
		}
		return err
	}
	return v.spend(ctx, v.a)
}

// noSuchFile records a look for a file that the record does not list. The
// caller may know of the record, so the answer says nothing new.
func (v *viewing) noSuchFile(ctx context.Context) error {
	b := v.a.denial(true)
	b.Facts["reason"] = "not_found"
	b.Decision = decisionRef(v.a.decision, audit.ResultDeny)
	if _, err := v.record(ctx, b); err != nil {
		return err
	}
	return ErrNotFound
}

func (v *viewing) intend(ctx context.Context) (err error) {
	facts := audit.Facts{"file": v.file.ID, "field": v.file.Field, "sha256": v.file.SHA256, "range": v.request.Range != nil, "bytes": v.length,
		"handler": v.a.row.Assignee == v.a.caller.Person, "reason_given": true}
	body := v.a.intent("access.file", v.a.fields, facts)
	note := newNote("reason", v.request.Reason)
	body.Commit = note.commit()
	if v.receipt, err = v.record(ctx, body); err != nil {
		return err
	}
	o, err := v.openRow(ctx, v.a, v.receipt)
	if err != nil {
		return err
	}
	defer o.close()
	return v.keepNote(ctx, v.a, o, v.receipt, note)
}

// openRow verifies a row for an intent that names a file's field: such a field
// is no envelope of the row, so nothing of the row itself is opened.
func (d *Door) openRow(ctx context.Context, a *asked, receipt pglog.Receipt) (*opened, error) {
	if err := d.bound(a, receipt, a.fields); err != nil {
		return nil, err
	}
	o, err := d.lend(ctx, a, receipt)
	if err != nil {
		return nil, d.broken(ctx, a, receipt, err)
	}
	return o, nil
}

// lend borrows the file's key. The row that lists the file is verified by now.
func (v *viewing) lend(ctx context.Context) error {
	key, err := v.cfg.Store.FileKey(ctx, v.cfg.Institution, v.ref)
	if err != nil {
		return storeError(err)
	}
	if key == nil {
		return &field.IntegrityError{Path: v.file.Field, What: "key.missing"}
	}
	return v.borrowFile(ctx, key)
}

// borrowFile lends a wrapped key of the file.
func (v *viewing) borrowFile(ctx context.Context, key *store.Wrapped) (err error) {
	wanted := keyring.LendRequest{ID: fileKeyID(v.cfg.Institution, v.ref), Wrapped: keyring.Wrapped{Blob: key.Blob, KeyVersion: key.Version},
		Reference: reference(v.receipt), Policy: v.a.decision.Sequence()}
	if copy(wanted.Wrapped.Commitment[:], key.Commitment) != len(wanted.Wrapped.Commitment) {
		return &field.IntegrityError{Path: v.file.Field, What: "key.commitment"}
	}
	lease, err := v.lendOne(ctx, wanted)
	if v.lease == nil {
		v.lease = lease
		return err
	}
	lease.Release() // the one that the file is read under is still held
	return err
}

// examine compares what is stored with what the row and the key say of it, and
// reads the file's own head.
func (v *viewing) examine(ctx context.Context) error {
	info, err := v.cfg.Files.Stat(ctx, blobName(v.cfg.Institution, v.ref))
	if err != nil {
		return v.stored(err)
	}
	if info.Size != stream.SealedSize(fileHeadSize+v.file.Size) {
		return v.finding("file.size")
	}
	head, err := v.read(ctx, 0, stream.HeaderSize)
	if err != nil {
		return err
	}
	v.opener, err = stream.NewOpener(head, info.Size, v.lease.Key(), filePlace(v.cfg.Institution, v.ref, v.file.Field, 0))
	if err != nil {
		return v.found(err)
	}
	at, n := v.opener.Last()
	last, err := v.read(ctx, at, n)
	if err == nil {
		err = v.opener.Check(last)
	}
	if err != nil {
		return v.found(err)
	}
	at, n = v.opener.Span(0, fileHeadSize)
	first, err := v.read(ctx, at, n)
	if err != nil {
		return err
	}
	plain, err := io.ReadAll(v.opener.Range(strings.NewReader(string(first)), 0, fileHeadSize))
	if err == nil {
		v.name, err = parseFileHead(plain)
	}
	clear(plain)
	return v.found(err)
}

// read fetches a few bytes of what is stored. Fewer than asked for is a finding:
// the length was right a moment ago.
func (v *viewing) read(ctx context.Context, at, n int64) ([]byte, error) {
	src, err := v.cfg.Files.Get(ctx, blobName(v.cfg.Institution, v.ref), at, n)
	if err != nil {
		return nil, v.stored(err)
	}
	b, err := io.ReadAll(io.LimitReader(src, n))
	if err = errors.Join(err, src.Close()); err != nil {
		return nil, v.stored(err)
	}
	if int64(len(b)) != n {
		return nil, v.finding("file.size")
	}
	return b, nil
}

func (v *viewing) finding(what string) error {
	return &field.IntegrityError{Path: v.file.Field, What: what}
}

// found names what package stream found.
func (v *viewing) found(err error) error {
	switch {
	case errors.Is(err, stream.ErrKey):
		return v.finding("file.key")
	case errors.Is(err, stream.ErrTruncated):
		return v.finding("file.size")
	case errors.Is(err, stream.ErrChunk):
		return v.finding("file.chunk")
	}
	return err
}

// stored gives an error of the store its type: a file that the verified row
// lists and the store has not is a finding, not an outage.
func (v *viewing) stored(err error) error {
	if errors.Is(err, filestore.ErrNotFound) {
		return v.finding("file.missing")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: no answer in time", ErrFilesUnavailable)
	}
	return transferError(err)
}

// failed records what came of the intent and gives the error the door's type.
func (v *viewing) failed(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline)
	defer cancel()
	if errors.Is(err, field.ErrIntegrity) {
		err = v.found(err)
	}
	return v.broken(ctx, v.a, v.receipt, err)
}

// fileBody is what the caller reads. It belongs to one goroutine. It keeps the
// call's context because reading has none of its own.
type fileBody struct {
	v       *viewing
	ctx     context.Context
	src     io.ReadCloser
	plain   io.Reader
	checked time.Time
	err     error // final; io.EOF once all of it was read
	closed  bool
}

// Read implements io.Reader: authenticated bytes only.
func (b *fileBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if err := b.stillLent(); err != nil {
		b.err = b.v.failed(b.ctx, err)
		return 0, b.err
	}
	n, err := b.plain.Read(p)
	switch {
	case err == io.EOF:
		b.err = io.EOF
	case err != nil:
		b.err = b.v.failed(b.ctx, b.v.stored(err))
	}
	return n, b.err
}

// stillLent asks now and then whether the key may still be borrowed.
func (b *fileBody) stillLent() error {
	if b.v.cfg.Now().Sub(b.checked) < releaseEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(b.ctx, deadline)
	defer cancel()
	// As it is stored now: a key that was destroyed meanwhile is not lent again.
	key, err := b.v.cfg.Store.FileKey(ctx, b.v.cfg.Institution, b.v.ref)
	switch {
	case err != nil:
		return storeError(err)
	case key == nil:
		return ErrShredded
	}
	b.checked = b.v.cfg.Now()
	return b.v.borrowFile(ctx, key)
}

// Close says what came of it and returns the keys.
func (b *fileBody) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	err := b.src.Close()
	if b.err == nil || errors.Is(b.err, io.EOF) {
		result := "answered"
		if b.err == nil {
			result = "partial" // the caller left before the end
		}
		b.v.said(b.ctx, result)
	}
	b.v.lease.Release()
	b.v.transfers.end()
	return err
}

// said queues the outcome, which names the file's key as the one that was used.
func (v *viewing) said(ctx context.Context, result string) {
	file := &opened{lease: v.lease}
	v.outcome(context.WithoutCancel(ctx), v.a, []pglog.Receipt{v.receipt}, file, result)
}
