package custody_test

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/filestore"
)

// hooked is a file store that calls back when a whole file is read.
type hooked struct {
	filestore.Store
	once sync.Once
	do   func(name string)
}

func (s *hooked) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if length > 100_000 {
		s.once.Do(func() { s.do(name) })
	}
	return s.Store.Get(ctx, name, offset, length)
}

// TestALongPackageAsksAgain: the files of one record may take hours, and what is
// erased meanwhile does not leave with the next one.
func TestALongPackageAsksAgain(t *testing.T) {
	t.Parallel()
	folder := filestore.NewFolder(filepath.Join(t.TempDir(), "files"))
	t.Cleanup(func() { must(t, folder.Close()) })
	files := &hooked{Store: folder}
	h := openArchiveOn(t, taps{config: func(c *custody.Config) { c.Files = files }})
	h.hire("hedda", "head", "cards", h.at.AddDate(40, 0, 0))
	var ids []string
	for n := range 2 {
		c := h.file(n)
		h.walk(c, "assign")
		got, err := h.Attach(t.Context(), h.as("han"), custody.AttachRequest{ID: c.ID, Purpose: "handle", Revision: c.Revision,
			Field: "attachments", ContentType: "application/pdf", Name: "a.pdf"}, bytes.NewReader(pdf(200_000)))
		must(t, err)
		c.Revision = got.Revision
		h.refuse(c)
		ids = append(ids, c.ID)
	}
	h.later(3, 1)
	id, key := recipient(t)
	r := h.asking(ids[0], key)
	r.Scope, r.Basis, r.RecipientName, r.Groups, r.ExpiresAt = "subject", "subject_access", "", []string{"contact", "narrative"}, h.at.Add(time.Hour)
	asked, err := h.RequestDisclosure(t.Context(), h.as("hedda"), r)
	must(t, err)
	_, err = h.SettleDisclosure(t.Context(), h.keeper("dan"), asked.ID, "confirm")
	must(t, err)
	erased := ""
	files.do = func(name string) {
		for _, id := range ids {
			if !strings.Contains(name, id) {
				erased = id
			}
		}
		h.approve(h.request(erased, "record"))
		h.at = h.at.Add(time.Minute)
	}
	pack, err := h.Produce(t.Context(), h.as("hedda"), asked.ID)
	must(t, err)
	var sealed bytes.Buffer
	made, err := pack.Stream(t.Context(), &sealed)
	must(t, err)
	items, _, err := openedPackage(t, sealed.Bytes(), id)
	must(t, err)
	for _, item := range items {
		if item.Record != nil && item.Record.ID == erased {
			t.Errorf("a record erased a minute ago was disclosed: %d fields", len(item.Record.Fields))
		}
	}
	if made.Records != 1 || made.Withheld != 1 {
		t.Errorf("made %+v", made)
	}
	h.settled("access.disclosed")
	if open, twice, _ := h.outcomes("access.disclosed"); open != 0 || twice != 0 {
		t.Errorf("%d intents without outcome, %d with two", open, twice)
	}
}
