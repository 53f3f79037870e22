package custody

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sealtrail/sealtrail/crypto/disclosure"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/policy"
)

// withheldUnavailable: this service has no store of files.
const withheldUnavailable = "unavailable"

// files puts the attachments and recordings of a disclosed record behind it, if
// their group was asked for. Each is an intent of its own. A file that is broken
// is named as withheld and does not keep the others back.
func (p *production) files(ctx context.Context, w *disclosure.Writer, k *kept) (withheld int, err error) {
	for _, f := range k.a.row.Files {
		about, _ := complaint.FieldByName(f.Field)
		if !slices.Contains(p.row.Groups, about.Group) {
			continue
		}
		code, err := "", p.askAboutFiles(ctx, k)
		switch {
		case err != nil:
			if code = withheldCode(err); code == "" {
				return withheld, err
			}
		case !slices.Contains(k.a.row.Files, f):
			code = withheldErased // since the record was opened
		case k.a.decision.Effect(f.Field) != policy.Reveal:
			code = withheldRefused
		case p.door.cfg.Files == nil:
			code = withheldUnavailable
		default:
			err := p.again(ctx, func(context.Context) error { return p.file(ctx, w, k, f) })
			if err != nil && !errors.Is(err, ErrIntegrity) {
				return withheld, err
			}
			if err != nil {
				code = withheldIntegrity
			}
		}
		if code == "" {
			continue
		}
		withheld++
		if err := w.Withheld(k.id+"/"+f.ID, code); err != nil {
			return withheld, err
		}
	}
	return withheld, nil
}

// file opens one file of a record whose row was verified a moment ago. It is
// read twice: the first time to authenticate all of it, because what has left
// cannot be called back when a chunk in its middle turns out to be broken.
func (p *production) file(ctx context.Context, w *disclosure.Writer, k *kept, f complaint.File) error {
	d := p.door
	short, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	one := *k.a
	one.fields, one.lent = []string{f.Field}, nil
	v := &viewing{Door: d, a: &one, file: f, ref: store.FileRef{Complaint: one.row.ID, File: f.ID, Generation: f.Generation}, length: f.Size}
	facts := p.facts(one.fields)
	facts["file"], facts["sha256"], facts["bytes"] = f.ID, f.SHA256, f.Size
	var err error
	if v.receipt, err = d.record(short, one.intent("access.disclosed", one.fields, facts)); err != nil {
		return err
	}
	if err = d.bound(&one, v.receipt, one.fields); err != nil {
		return err
	}
	if err = v.lend(short); err == nil {
		err = v.examine(short)
	}
	defer func() { v.lease.Release() }()
	if err == nil {
		err = v.copyTo(ctx, func(content io.Reader) error { _, err := io.Copy(io.Discard, content); return err })
	}
	if err != nil {
		return v.failed(ctx, err)
	}
	into := disclosure.File{Record: one.row.ID, ID: f.ID, Field: f.Field, MediaType: f.MediaType, Name: v.name, Size: f.Size}
	if err = v.copyTo(ctx, func(content io.Reader) error { return w.File(into, content) }); err != nil {
		v.said(ctx, "partial")
		return fmt.Errorf("putting a file into a package: %w", err)
	}
	v.said(ctx, "answered")
	return nil
}

// copyTo gives all of the file's authenticated content to use.
func (v *viewing) copyTo(ctx context.Context, use func(io.Reader) error) error {
	at, n := v.opener.Span(fileHeadSize, v.length)
	src, err := v.cfg.Files.Get(ctx, blobName(v.cfg.Institution, v.ref), at, n)
	if err != nil {
		return v.stored(err)
	}
	err = use(v.opener.Range(src, fileHeadSize, v.length))
	if err = errors.Join(err, src.Close()); err != nil {
		return v.stored(err)
	}
	return nil
}
