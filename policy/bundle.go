package policy

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// maxBundleFile bounds one file of a bundle (1 MiB): the embedded chapter's largest is a hundredth of it.
const maxBundleFile = 1 << 20

// bundle is the parsed content of a bundle directory.
type bundle struct {
	files   map[string][]byte // path -> bytes, everything that the digest covers
	modules map[string]*ast.Module
	tests   map[string]*ast.Module
	data    map[string]any
	digest  string
	archive []byte
}

// readBundle reads and parses every .rego, .json and .yaml file of the tree. Other files are ignored and not covered by the digest.
func readBundle(fsys fs.FS) (*bundle, error) {
	b := newBundle()
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch path.Ext(name) {
		case ".rego", ".json", ".yaml":
			return b.add(fsys, name)
		default:
			return nil
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading bundle: %w", err)
	}
	if err := b.seal(); err != nil {
		return nil, err
	}
	return b, nil
}

func newBundle() *bundle {
	return &bundle{files: map[string][]byte{}, modules: map[string]*ast.Module{}, tests: map[string]*ast.Module{}, data: map[string]any{}}
}

// seal makes archive and digest once every file is in.
func (b *bundle) seal() (err error) {
	if len(b.modules) == 0 {
		return fmt.Errorf("reading bundle: no rego module")
	}
	if b.archive, err = archive(b.files); err != nil {
		return err
	}
	sum := sha256.Sum256(b.archive)
	b.digest = hex.EncodeToString(sum[:])
	return nil
}

// unarchive reads the archive of a bundle, as the published folder keeps it. The archive has one spelling: another is refused.
func unarchive(raw []byte) (*bundle, error) {
	b := newBundle()
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading bundle: %w", err)
		}
		file, err := io.ReadAll(io.LimitReader(r, maxBundleFile+1))
		if err != nil {
			return nil, fmt.Errorf("reading bundle: %w", err)
		}
		if err := b.addFile(h.Name, file); err != nil {
			return nil, fmt.Errorf("reading bundle: %w", err)
		}
	}
	if err := b.seal(); err != nil {
		return nil, err
	}
	if !bytes.Equal(b.archive, raw) {
		return nil, fmt.Errorf("reading bundle: not the archive that its files give")
	}
	return b, nil
}

func (b *bundle) add(fsys fs.FS, name string) error {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	return b.addFile(name, raw)
}

func (b *bundle) addFile(name string, raw []byte) error {
	if len(raw) > maxBundleFile {
		return fmt.Errorf("%s: larger than %d bytes", name, maxBundleFile)
	}
	b.files[name] = raw
	if path.Ext(name) != ".rego" {
		return b.addData(name, raw)
	}
	m, err := ast.ParseModuleWithOpts(name, string(raw), ast.ParserOptions{ProcessAnnotation: true})
	if err != nil {
		return err
	}
	if strings.HasSuffix(name, "_test.rego") {
		b.tests[name] = m
		return nil
	}
	b.modules[name] = m
	return nil
}

// addData merges the file's top-level keys; a key in two files is an error, so that no file can quietly override another.
func (b *bundle) addData(name string, raw []byte) error {
	var doc map[string]any
	if err := util.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for k, v := range doc {
		if _, twice := b.data[k]; twice {
			return fmt.Errorf("%s: document %q is in another file too", name, k)
		}
		b.data[k] = v
	}
	return nil
}

// archive writes the files as a deterministic USTAR tar: sorted by path, mode 0644, no owner, time 0. Same files, same bytes.
func archive(files map[string][]byte) ([]byte, error) {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, n := range names {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: n, Mode: 0o644, Size: int64(len(files[n])), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("archiving bundle: %w", err)
		}
		if _, err := w.Write(files[n]); err != nil {
			return nil, fmt.Errorf("archiving bundle: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archiving bundle: %w", err)
	}
	return out.Bytes(), nil
}

// decode copies one document of the bundle into a typed value, refusing unknown keys of neither: the JSON schemas do that in Check.
func (b *bundle) decode(key string, into any) error {
	doc, ok := b.data[key]
	if !ok {
		return fmt.Errorf("document %q is missing", key)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("document %q: %w", key, err)
	}
	if err := util.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("document %q: %w", key, err)
	}
	return nil
}
