package custody

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// LogFiles reads the published files of this institution's logs.
type LogFiles interface {
	// LogFile reads one file of a year's log. The error wraps fs.ErrNotExist for
	// a log or a file that is not there.
	LogFile(ctx context.Context, year int, path string) ([]byte, error)
}

// LogFile is a published file as it is served.
type LogFile struct {
	Contents []byte
	Text     bool     // a checkpoint: it may hold other bytes tomorrow
	Audit    AuditRef // of what needed a decision
}

// readsLog is the purpose for which the log's entries are read as files, where
// the caller names none: clients of tlog-tiles cannot.
const readsLog = "audit"

// LogFile gives a published file of a year's log. Checkpoints and hash tiles
// hold nothing about anybody and are every caller's; bundles of entries and the
// blobs that they name are for who may read the log, and are an entry before
// they leave.
func (d *Door) LogFile(ctx context.Context, c Caller, purpose string, year int, path string) (*LogFile, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	kind := publish.ResourceOf(path)
	if c.Institution != d.cfg.Institution || kind == publish.ResourceNone || d.cfg.LogFiles == nil {
		return nil, ErrNotFound
	}
	f := &LogFile{Text: kind == publish.ResourceCheckpoint}
	if kind == publish.ResourceCheckpoint || kind == publish.ResourceTile {
		var err error
		f.Contents, err = d.logFile(ctx, year, path)
		return f, err
	}
	if purpose == "" {
		purpose = readsLog
	}
	a, err := d.ask(ctx, c, question{action: "log", purpose: purpose})
	if err != nil {
		return nil, err
	}
	if f.Contents, err = d.logFile(ctx, year, path); err != nil {
		return nil, err
	}
	told := a.intent("access.log", nil, logFileFacts(kind, path, f.Contents))
	told.Stage, told.Subject = audit.StageEvent, "query:"+c.Request
	receipt, err := d.record(ctx, told)
	if err != nil {
		return nil, err
	}
	f.Audit = receiptRef(receipt)
	return f, nil
}

func (d *Door) logFile(ctx context.Context, year int, path string) ([]byte, error) {
	contents, err := d.cfg.LogFiles.LogFile(ctx, year, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, ErrStoreUnavailable
	}
	return contents, nil
}

// logFileFacts say what was taken: of a bundle, which one and how many entries.
func logFileFacts(kind publish.Resource, path string, contents []byte) audit.Facts {
	facts := audit.Facts{"exported": true, "filters": []string{string(kind)}}
	if kind != publish.ResourceBundle {
		return facts
	}
	if entries, err := audit.DecodeBundle(contents); err == nil {
		facts["hits"] = len(entries)
	}
	if index, err := strconv.Atoi(bundleIndex(path)); err == nil {
		facts["page"] = index
	}
	return facts
}

// bundleIndex is the number of a bundle as its path spells it: x001/x234/067.
func bundleIndex(path string) string {
	path, _, _ = strings.Cut(strings.TrimPrefix(path, "tile/entries/"), ".p/")
	return strings.NewReplacer("x", "", "/", "").Replace(path)
}
