package publish_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sealtrail/sealtrail/audit/publish"
)

func TestHandlerServesOnlyTheLog(t *testing.T) {
	t.Parallel()
	blob := "blob/sha256/" + strings.Repeat("ab", 32)
	files := fstest.MapFS{}
	for _, name := range []string{"checkpoint", "checkpoints/7", "tile/0/000", "tile/0/x001/x234/067.p/8", "tile/entries/000", "tile/entries/000.p/3", blob,
		"evidence/fork-3.txt", "secret", "tile/0/000.tmp-1"} {
		files[name] = &fstest.MapFile{Data: []byte(name)}
	}
	h := publish.Handler(files)
	for path, want := range map[string]struct {
		status      int
		contentType string
		kind        publish.Resource
	}{
		"checkpoint":               {200, "text/plain; charset=utf-8", publish.ResourceCheckpoint},
		"checkpoints/7":            {200, "text/plain; charset=utf-8", publish.ResourceCheckpoint},
		"checkpoints/8":            {404, "", publish.ResourceCheckpoint},
		"checkpoints/07":           {404, "", publish.ResourceNone},
		"tile/0/000":               {200, "application/octet-stream", publish.ResourceTile},
		"tile/0/x001/x234/067.p/8": {200, "application/octet-stream", publish.ResourceTile},
		"tile/64/000":              {404, "", publish.ResourceNone},
		"tile/entries/000":         {200, "application/octet-stream", publish.ResourceBundle},
		"tile/entries/000.p/3":     {200, "application/octet-stream", publish.ResourceBundle},
		blob:                       {200, "application/octet-stream", publish.ResourceBlob},
		"evidence/fork-3.txt":      {404, "", publish.ResourceNone},
		"secret":                   {404, "", publish.ResourceNone},
		"tile/0/000.tmp-1":         {404, "", publish.ResourceNone},
		"":                         {404, "", publish.ResourceNone},
		"tile/../secret":           {404, "", publish.ResourceNone},
	} {
		if got := publish.ResourceOf(path); got != want.kind {
			t.Errorf("ResourceOf(%q) = %q, want %q", path, got, want.kind)
		}
		out := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = "/" + path
		h.ServeHTTP(out, r)
		if out.Code != want.status || want.status == 200 && (out.Body.String() != path || out.Header().Get("Content-Type") != want.contentType) {
			t.Errorf("GET %q = %d %q %q", path, out.Code, out.Header().Get("Content-Type"), out.Body)
		}
	}
	out := httptest.NewRecorder()
	h.ServeHTTP(out, httptest.NewRequest(http.MethodPut, "/checkpoint", nil))
	if out.Code != http.StatusMethodNotAllowed {
		t.Errorf("PUT = %d", out.Code)
	}
}
