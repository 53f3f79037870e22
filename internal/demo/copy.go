package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// copyLog copies a published log while its publisher may be writing it: files
// on their way are left out, and a file that vanishes begins the copy anew.
func copyLog(to, from string) error {
	var err error
	for range 10 {
		if err = os.RemoveAll(to); err != nil {
			return fmt.Errorf("copying the log: %w", err)
		}
		if err = os.CopyFS(to, settledFiles{os.DirFS(from)}); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("copying the log: %w", err)
	}
	return nil
}

// settledFiles is a folder without its temporary files.
type settledFiles struct{ fs.FS }

// ReadDir lists a folder.
func (s settledFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := fs.ReadDir(s.FS, name)
	kept := all[:0]
	for _, e := range all {
		if !strings.Contains(e.Name(), ".tmp-") {
			kept = append(kept, e)
		}
	}
	return kept, err
}
