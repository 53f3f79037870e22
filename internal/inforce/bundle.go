package inforce

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

// maxFile bounds one file of a bundle in bytes, as package policy does.
const maxFile = 1 << 20

// errForm is wrapped where an archive is no policy bundle.
var errForm = errors.New("not a policy bundle")

// reason is what a bundle says of one reason code.
type reason struct {
	Rule    string `json:"rule"`
	Article string `json:"article"`
}

// bundle is what an archived policy bundle says of its reasons and articles (docs/formats/policy-bundle.md). Documents are nil where
// they are written in a way that is not read here.
type bundle struct {
	rego     int
	reasons  map[string]reason
	articles map[string]reason
}

// readBundle reads the archive that a bundle's digest names. The error wraps errForm.
func readBundle(archive []byte) (*bundle, error) {
	b := &bundle{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || h.Size > maxFile {
			return nil, fmt.Errorf("%w: no archive of small files", errForm)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("%w: archive ends early", errForm)
		}
		switch path.Ext(h.Name) {
		case ".rego":
			b.rego++
		case ".json":
			b.json(raw)
		case ".yaml":
			b.yaml(string(raw))
		}
	}
	if b.rego == 0 {
		return nil, fmt.Errorf("%w: no rule in it", errForm)
	}
	return b, nil
}

func (b *bundle) json(raw []byte) {
	var doc struct {
		Reasons  map[string]reason `json:"reasons"`
		Articles map[string]reason `json:"articles"`
	}
	if json.Unmarshal(raw, &doc) != nil {
		return // another document, such as the domain with numbers where texts are looked for
	}
	if doc.Reasons != nil {
		b.reasons = doc.Reasons
	}
	if doc.Articles != nil {
		b.articles = doc.Articles
	}
}

// The few lines of YAML in which reasons and articles are written: a document, an entry, a value. Whatever else a file holds is
// passed over; a document without a readable entry counts as unread.
var (
	yamlDocument = regexp.MustCompile(`^([a-z_]+):\s*$`)
	yamlEntry    = regexp.MustCompile(`^  "?([A-Za-z0-9_.]+)"?:\s*$`)
	yamlValue    = regexp.MustCompile(`^    (rule|article): "?([^"#]*?)"?\s*$`)
)

func (b *bundle) yaml(text string) {
	var into map[string]reason
	var entry string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if m := yamlDocument.FindStringSubmatch(line); m != nil {
			into, entry = b.document(m[1]), ""
			continue
		}
		if m := yamlEntry.FindStringSubmatch(line); m != nil {
			entry = m[1]
			continue
		}
		m := yamlValue.FindStringSubmatch(line)
		if m == nil || into == nil || entry == "" {
			continue
		}
		r := into[entry]
		if m[1] == "rule" {
			r.Rule = m[2]
		} else {
			r.Article = m[2]
		}
		into[entry] = r
	}
}

func (b *bundle) document(name string) map[string]reason {
	switch name {
	case "reasons":
		b.reasons = map[string]reason{}
		return b.reasons
	case "articles":
		b.articles = map[string]reason{}
		return b.articles
	}
	return nil
}

// holds compares what an entry says with the bundle: the reason's own rule and article, and the article's own rule.
func (b *bundle) holds(code, rule, article string) bool {
	if a, ok := b.articles[article]; b.articles != nil && article != "" && (!ok || a.Rule != rule) {
		return false
	}
	if code == "" || b.reasons == nil {
		return true
	}
	r, ok := b.reasons[code]
	return ok && r.Rule == rule && r.Article == article
}
