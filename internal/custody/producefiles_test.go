package custody_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/disclosure"
)

// TestPackagesHoldFiles: attachments follow their record, each with an intent;
// one that is broken in its middle is named and keeps nothing else back.
func TestPackagesHoldFiles(t *testing.T) {
	t.Parallel()
	h := openCabinet(t, taps{})
	ctx := t.Context()
	c := h.assigned(1)
	good, bad := h.mustAttach(c, pdf(200_000)), h.mustAttach(c, pdf(300_000))
	last := h.mustAttach(c, pdf(11))
	damage(t, h.dir, bad.File.ID)
	id, key := recipient(t)
	r := h.asking(c.ID, key)
	r.Groups = []string{"contact", "narrative"}
	asked, err := h.RequestDisclosure(ctx, h.as("hedda"), r)
	must(t, err)
	_, err = h.SettleDisclosure(ctx, h.as("dora"), asked.ID, "confirm")
	must(t, err)
	pack, err := h.Produce(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	var sealed bytes.Buffer
	made, err := pack.Stream(ctx, &sealed)
	must(t, err)
	items, reader, err := openedPackage(t, sealed.Bytes(), id)
	must(t, err)
	var current *disclosure.File
	contents, withheld := map[string][]byte{}, map[string]string{}
	for _, item := range items {
		switch {
		case item.File != nil:
			current = item.File
			if current.Name != "张三丰的合同.pdf" || current.MediaType != "application/pdf" || current.Record != c.ID {
				t.Errorf("file %+v", current)
			}
		case item.Chunk != nil:
			contents[current.ID] = append(contents[current.ID], item.Chunk...)
		case item.Withheld != nil:
			withheld[item.Withheld.Name] = item.Withheld.Code
		}
	}
	if !bytes.Equal(contents[good.File.ID], pdf(200_000)) || !bytes.Equal(contents[last.File.ID], pdf(11)) || len(contents) != 2 {
		t.Errorf("%d files came back, of %d and %d bytes", len(contents), len(contents[good.File.ID]), len(contents[last.File.ID]))
	}
	if withheld[c.ID+"/"+bad.File.ID] != "integrity" || len(withheld) != 1 || made.Withheld != 1 || reader.Trailer().Files != 2 {
		t.Errorf("withheld %v, counted %+v", withheld, made)
	}
	kinds := h.stagesOf(c.ID)
	if n := strings.Count(strings.Join(kinds, "\n"), "intent access.disclosed"); n != 4 {
		t.Errorf("%d intents for one record and three files", n)
	}
	if !strings.Contains(strings.Join(kinds, "\n"), "event access.integrity") {
		t.Error("the broken file is no finding")
	}
	// Without the group there are no files.
	asked = h.confirmed(c.ID, key)
	pack, err = h.Produce(ctx, h.as("hedda"), asked.ID)
	must(t, err)
	sealed.Reset()
	_, err = pack.Stream(ctx, &sealed)
	must(t, err)
	if _, reader, err = openedPackage(t, sealed.Bytes(), id); err != nil || reader.Trailer().Files != 0 {
		t.Errorf("files without their group: %v", err)
	}
}

// damage flips a bit in the middle of a stored file.
func damage(t *testing.T, dir, id string) {
	t.Helper()
	found := false
	must(t, filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(name, id) {
			return err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		found = true
		raw[len(raw)/2] ^= 1
		must(t, os.Chmod(name, 0o600))
		return os.WriteFile(name, raw, 0o600)
	}))
	if !found {
		t.Fatal("the stored file was not found")
	}
}
