package evidence

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/sealtrail/sealtrail/audit"
)

// Names of files in a bundle.
const (
	nameReadme = "README.txt"
	nameJSON   = "evidence.json"
	namePage   = "verify.html"
)

func checkpointName(log int) string { return "log/" + strconv.Itoa(log) + "/checkpoint" }

func entryName(p Place) string {
	return "log/" + strconv.Itoa(p.Log) + "/entries/" + strconv.FormatUint(p.Index, 10) + ".json"
}

func proofName(p Place) string {
	return "log/" + strconv.Itoa(p.Log) + "/proofs/" + strconv.FormatUint(p.Index, 10) + ".tlog-proof"
}

func blobName(digest string) string { return audit.BlobPath(digest) }

func stampName(s Stamp) string {
	return "stamp/" + strconv.Itoa(s.Log) + "/" + strconv.FormatUint(s.Size, 10) + ".tsr"
}

// Write writes the bundle as a zip. The same bundle always gives the same bytes. It sorts the bundle's lists. It refuses, wrapping
// [ErrMalformed], what [Open] would refuse; it verifies nothing.
func Write(w io.Writer, b *Bundle) error {
	b.sort()
	files, err := b.files()
	if err != nil {
		return err
	}
	if _, err := assemble(files); err != nil {
		return err
	}
	return writeZip(w, files)
}

// sort brings the lists into the order of the format.
func (b *Bundle) sort() {
	slices.SortStableFunc(b.Items, func(x, y Item) int { return x.compare(y.Place) })
	slices.SortStableFunc(b.Heads, func(x, y Head) int { return cmp.Or(x.compare(y.Place), cmp.Compare(x.Subject, y.Subject)) })
	slices.SortStableFunc(b.Openings, func(x, y Opening) int { return cmp.Or(x.compare(y.Place), cmp.Compare(x.Path, y.Path)) })
	slices.SortStableFunc(b.Consistency, func(x, y Consistency) int { return cmp.Or(cmp.Compare(x.Log, y.Log), cmp.Compare(x.From, y.From)) })
	slices.SortStableFunc(b.Stamps, func(x, y Stamp) int { return cmp.Or(cmp.Compare(x.Log, y.Log), cmp.Compare(x.Size, y.Size)) })
	slices.SortStableFunc(b.Actors, func(x, y Actor) int { return cmp.Compare(x.Alias, y.Alias) })
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Log, q.Log), cmp.Compare(p.Index, q.Index))
}

// files returns everything that the zip holds, by name.
func (b *Bundle) files() (map[string][]byte, error) {
	raw, err := b.wire().marshal()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{nameReadme: b.Readme, nameJSON: raw, namePage: b.Page}
	for i := range b.Logs {
		files[checkpointName(i)] = b.Logs[i].Checkpoint
	}
	for i := range b.Items {
		x := &b.Items[i]
		if x.State == Disclosed {
			files[entryName(x.Place)] = x.Leaf
		}
		proof := x.Proof
		if proof == nil {
			if x.Log < 0 || x.Log >= len(b.Logs) {
				return nil, malformed("json_reference")
			}
			proof = marshalProof(x.Index, x.Path, b.Logs[x.Log].Checkpoint)
		}
		files[proofName(x.Place)] = proof
	}
	for _, s := range b.Stamps {
		files[stampName(s)] = s.Token
	}
	for digest, data := range b.Blobs {
		files[blobName(digest)] = data
	}
	return files, nil
}

const proofHeader = "c2sp.org/tlog-proof@v1\n"

// marshalProof spells a C2SP tlog-proof.
func marshalProof(index uint64, path [][32]byte, checkpoint []byte) []byte {
	out := fmt.Appendf(nil, "%sindex %d\n", proofHeader, index)
	for _, h := range path {
		out = append(base64.StdEncoding.AppendEncode(out, h[:]), '\n')
	}
	return append(append(out, '\n'), checkpoint...)
}

// parseProof is the inverse of marshalProof and accepts nothing else.
func parseProof(raw []byte, index uint64, checkpoint []byte) (path [][]byte, ok bool) {
	rest, ok := bytes.CutPrefix(raw, fmt.Appendf(nil, "%sindex %d\n", proofHeader, index))
	if !ok {
		return nil, false
	}
	for {
		line, after, found := bytes.Cut(rest, []byte("\n"))
		if !found {
			return nil, false
		}
		if rest = after; len(line) == 0 {
			return path, bytes.Equal(rest, checkpoint)
		}
		h := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
		n, err := base64.StdEncoding.Strict().Decode(h, line)
		if err != nil || n != audit.HashSize || bytes.ContainsRune(line, '\r') {
			return nil, false
		}
		path = append(path, h[:n])
	}
}
