package publish

import (
	"errors"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
)

// Resource says what a published path holds, so that a server can decide who may have it: hash tiles and checkpoints travel
// freely, bundles are classified like the entries in them.
type Resource string

// What a path can hold. ResourceNone is every other path, which no handler serves.
const (
	ResourceNone       Resource = ""
	ResourceCheckpoint Resource = "checkpoint"
	ResourceTile       Resource = "tile"
	ResourceBundle     Resource = "bundle"
	ResourceBlob       Resource = "blob"
)

// The paths of C2SP tlog-tiles and our two additions, checkpoints/<size> and blob/sha256/<hex>.
var (
	checkpointPath = regexp.MustCompile(`^(checkpoint|checkpoints/(0|[1-9][0-9]{0,19}))$`)
	tilePath       = regexp.MustCompile(`^tile/([0-9]|[1-5][0-9]|6[0-3])/(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?$`)
	bundlePath     = regexp.MustCompile(`^tile/entries/(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?$`)
	blobPath       = regexp.MustCompile(`^blob/sha256/[0-9a-f]{64}$`)
)

// ResourceOf classifies a path relative to a log's folder, without a leading slash.
func ResourceOf(path string) Resource {
	switch {
	case checkpointPath.MatchString(path):
		return ResourceCheckpoint
	case tilePath.MatchString(path):
		return ResourceTile
	case bundlePath.MatchString(path):
		return ResourceBundle
	case blobPath.MatchString(path):
		return ResourceBlob
	}
	return ResourceNone
}

// Handler serves the folder of one log under the tlog-tiles paths, for GET and HEAD. Every other file of the folder answers 404.
// Who may have what is the caller's business (see [ResourceOf]); the handler asks nobody.
func Handler(log fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		path := strings.TrimPrefix(r.URL.Path, "/")
		kind := ResourceOf(path)
		if kind == ResourceNone {
			http.NotFound(w, r)
			return
		}
		contents, err := fs.ReadFile(log, path)
		if errors.Is(err, fs.ErrNotExist) {
			http.NotFound(w, r)
			return
		}
		if err != nil {
			http.Error(w, "published folder unavailable", http.StatusServiceUnavailable)
			return
		}
		serve(w, r, kind, contents)
	})
}

// serve answers with the content types of tlog-tiles. Only `checkpoint` ever changes.
func serve(w http.ResponseWriter, r *http.Request, kind Resource, contents []byte) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	switch kind {
	case ResourceCheckpoint:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
	case ResourceBundle, ResourceBlob:
		h.Set("Cache-Control", "private, max-age=31536000, immutable")
	default: // hash tiles are anybody's to keep
	}
	if r.Method == http.MethodGet {
		_, _ = w.Write(contents)
	}
}
