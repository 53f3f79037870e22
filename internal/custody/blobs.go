package custody

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/filestore"
	"github.com/sealtrail/sealtrail/internal/store"
)

// orphanAge is how old a blob must be before it can be one that no record will
// ever name: far longer than any upload may take.
const orphanAge = 24 * time.Hour

// sweepPage is how many blobs are looked up in one query.
const sweepPage = 500

// dropWithin bounds the removal of one blob after the fact.
const dropWithin = 5 * time.Second

// blobName is where a file lies: institution, complaint, file, generation.
func blobName(institution string, f store.FileRef) string {
	return institution + "/" + f.Complaint + "/" + f.File + "/" + strconv.FormatUint(uint64(f.Generation), 10)
}

// blobRef is the inverse of blobName; ok is false for a name that is not ours.
func blobRef(institution, name string) (f store.FileRef, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 4 || parts[0] != institution || !isUUID(parts[1]) || !isUUID(parts[2]) {
		return f, false
	}
	generation, err := strconv.ParseUint(parts[3], 10, 32)
	return store.FileRef{Complaint: parts[1], File: parts[2], Generation: uint32(generation)}, err == nil
}

// fileKeyID names a file's data key.
func fileKeyID(institution string, f store.FileRef) keyring.RecordID {
	return keyring.RecordID{Institution: institution, Record: f.File, Generation: f.Generation, Kind: keyring.KindFile}
}

// dropFiles removes what is left of files whose keys were destroyed: their
// leases and their blobs. It is told after the fact and cannot fail: what it
// cannot remove now no key opens, and SweepFiles removes it later.
func (d *Door) dropFiles(ctx context.Context, record string, files []complaint.File) {
	for _, f := range files {
		ref := store.FileRef{Complaint: record, File: f.ID, Generation: f.Generation}
		d.cfg.Keys.Void(fileKeyID(d.cfg.Institution, ref))
		d.dropBlob(ctx, ref)
	}
}

// dropBlob removes one blob, also when the caller has gone.
func (d *Door) dropBlob(ctx context.Context, f store.FileRef) {
	if d.cfg.Files == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropWithin)
	defer cancel()
	if err := d.cfg.Files.Delete(ctx, blobName(d.cfg.Institution, f)); err != nil {
		d.cfg.Logger.WarnContext(ctx, "sealed file not removed yet", slog.String("cause", fileCause(err)))
	}
}

// fileCause names an error of the file store for the log, without a name.
func fileCause(err error) string {
	switch {
	case errors.Is(err, filestore.ErrFull):
		return "full"
	case errors.Is(err, filestore.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, filestore.ErrNotFound):
		return "missing"
	}
	return "other"
}

// Swept is what a sweep of the file store did.
type Swept struct {
	Seen       int // blobs of this institution
	Removed    int // blobs that nothing refers to
	Unfinished int // uploads that broke off
}

// SweepFiles removes blobs that are older than a day and that no record names:
// what an upload left that was never committed, and files of erased records. It
// removes ciphertext of which no key is stored, so nothing is lost by it, and it
// can be broken off at any time.
func (d *Door) SweepFiles(ctx context.Context) (Swept, error) {
	var done Swept
	if d.cfg.Files == nil {
		return done, nil
	}
	before := d.now().Add(-orphanAge)
	var err error
	if done.Unfinished, err = d.cfg.Files.Tidy(ctx, before); err != nil {
		return done, fmt.Errorf("sweeping unfinished uploads: %w", err)
	}
	var page []store.FileRef
	flush := func() error {
		if len(page) == 0 {
			return nil
		}
		orphans, err := d.cfg.Store.Orphans(ctx, d.cfg.Institution, page)
		if err != nil {
			return storeError(err)
		}
		for _, i := range orphans {
			if err := d.cfg.Files.Delete(ctx, blobName(d.cfg.Institution, page[i])); err != nil {
				return err
			}
			done.Removed++
		}
		page = page[:0]
		return nil
	}
	err = d.cfg.Files.List(ctx, func(blob filestore.Info) error {
		ref, ours := blobRef(d.cfg.Institution, blob.Name)
		if !ours {
			return nil
		}
		if done.Seen++; !blob.Modified.Before(before) {
			return nil
		}
		if page = append(page, ref); len(page) < sweepPage {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return done, fmt.Errorf("sweeping sealed files: %w", err)
	}
	return done, nil
}
