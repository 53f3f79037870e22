package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/exitcode"
)

// explained is one entry with its proof, as -o json gives it.
type explained struct {
	Origin     string   `json:"origin"`
	Index      uint64   `json:"index"`
	Size       uint64   `json:"size"`
	Sentence   string   `json:"sentence"`
	LeafSHA256 string   `json:"leaf_hash"`
	BodySHA256 string   `json:"body_sha256"`
	Proof      []string `json:"proof"`
	Root       string   `json:"root"`
	Included   bool     `json:"included"`
	Signature  string   `json:"signature"` // ok, failed or not_checked
	Leaf       string   `json:"leaf"`
	// Erased is there where the entry's record is erased: the entries that say so, each with its own proof.
	Erased []*explained `json:"erased,omitempty"`
	// States says what became of each commitment, by path.
	States map[string]evidence.State `json:"states,omitempty"`

	view audit.LeafView
}

// explainCommand is "trailcheck explain": one entry in words, and the proof that the signed root holds it, or a misbehaviour file.
func explainCommand(_ context.Context, c *console, args []string) exitcode.Code {
	f := newFlags(c, "explain", "DIR INDEX | FILE", verify.Text{
		EN: "DIR is one log folder; INDEX counts from 0. FILE is a misbehaviour file, as a witness or publisher leaves it below evidence/.",
		ZH: "DIR 为单个日志目录;INDEX 从 0 起。FILE 为见证方或发布方在 evidence/ 下留存的异常行为文件。"})
	var keys list
	f.Var(&keys, "key", "the log's verifier key, or a `file` with it; without it the signature is not checked")
	rest, code, ok := f.parse(c, args, 1, 2)
	if !ok {
		return code
	}
	if len(rest) == 1 {
		if info, err := os.Stat(rest[0]); err == nil && info.IsDir() {
			return c.fail(fmt.Errorf("%w: which entry? explain DIR INDEX", errUsage))
		}
		return explainFile(c, f, rest[0], keys)
	}
	index, err := strconv.ParseUint(rest[1], 10, 64)
	if err != nil {
		return c.fail(fmt.Errorf("%w: INDEX is a whole number from 0", errUsage))
	}
	e, err := explain(rest[0], index, keys)
	if err != nil {
		if errors.Is(err, audit.ErrNotCanonical) || errors.Is(err, audit.ErrBundle) || errors.Is(err, audit.ErrCheckpoint) {
			c.complain(verify.Text{EN: err.Error(), ZH: err.Error()})
			return exitcode.Integrity
		}
		return c.fail(err)
	}
	e.Sentence = sentence(c.lang, &e.view)
	for _, said := range e.Erased {
		said.Sentence = sentence(c.lang, &said.view)
	}
	if f.output == "json" {
		err = writeJSON(c.out, e)
	} else {
		p := printer{w: c.out, lang: c.lang}
		p.explained(e)
		err = p.err
	}
	switch {
	case err != nil:
		return c.fail(err)
	case !e.included() || e.Signature == string(verify.Failed):
		return exitcode.Integrity
	}
	return exitcode.OK
}

// included reports whether the root holds the entry and those that say what became of its record.
func (e *explained) included() bool {
	for _, said := range e.Erased {
		if !said.Included {
			return false
		}
	}
	return e.Included
}

func explain(dir string, index uint64, keys list) (*explained, error) {
	fsys := os.DirFS(dir)
	raw, err := fs.ReadFile(fsys, audit.CheckpointPath)
	if err != nil {
		if logs, lerr := verify.Logs(fsys); lerr == nil && len(logs) > 0 {
			return nil, fmt.Errorf("%w: several logs here: name one, e.g. %s", errUsage, filepath.Join(dir, filepath.FromSlash(logs[0])))
		}
		return nil, fmt.Errorf("reading %s: %w", path.Join(dir, audit.CheckpointPath), err)
	}
	n, err := audit.SplitNote(raw)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w", err)
	}
	cp, err := audit.ParseCheckpoint(n.Text)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w", err)
	}
	if index >= cp.Size {
		return nil, fmt.Errorf("%w: entry %d of a log of %d entries", errNotFound, index, cp.Size)
	}
	e := &explained{Origin: cp.Origin, Index: index, Size: cp.Size, Root: hex.EncodeToString(cp.Root[:]), Signature: string(verify.NotChecked)}
	if len(keys) > 0 {
		if e.Signature, err = checkSignature(raw, keys); err != nil {
			return nil, err
		}
	}
	if err := e.read(fsys, cp); err != nil {
		return nil, err
	}
	if err := e.whatBecame(fsys, cp); err != nil {
		return nil, err
	}
	e.commitments()
	return e, nil
}

// checkSignature reports whether one of the keys signed the note.
func checkSignature(raw []byte, keys list) (string, error) {
	for _, k := range keys {
		text, err := keyText(k)
		if err != nil {
			return "", err
		}
		for _, line := range splitLines(text) {
			v, err := note.NewVerifier(line)
			if err != nil {
				return "", fmt.Errorf("%w: verifier key: %w", errUsage, err)
			}
			if _, err := note.Open(raw, note.VerifierList(v)); err == nil {
				return string(verify.OK), nil
			}
		}
	}
	return string(verify.Failed), nil
}

// read takes the entry from its bundle and proves it against the checkpoint, from the hash tiles.
func (e *explained) read(fsys fs.FS, cp audit.Checkpoint) error {
	leaf, err := leafAt(fsys, e.Index, cp.Size)
	if err != nil {
		return err
	}
	hash := audit.LeafHash(leaf)
	e.Leaf, e.LeafSHA256 = string(leaf), hex.EncodeToString(hash[:])
	tiles := func(level int, index uint64, width int) ([]byte, error) {
		data, err := fs.ReadFile(fsys, audit.TilePath(level, index, width))
		if errors.Is(err, fs.ErrNotExist) {
			data, err = fs.ReadFile(fsys, audit.TilePath(level, index, 0))
		}
		return data, err
	}
	proof, err := audit.InclusionProof(e.Index, cp.Size, tiles)
	if err != nil {
		return fmt.Errorf("proving entry %d: %w", e.Index, err)
	}
	for _, h := range proof {
		e.Proof = append(e.Proof, hex.EncodeToString(h))
	}
	e.Included = audit.VerifyInclusion(e.Index, cp.Size, hash, proof, cp.Root) == nil
	if err := audit.ScanLeaf(leaf, &e.view); err != nil {
		return fmt.Errorf("reading entry %d: %w", e.Index, err)
	}
	body := sha256.Sum256(e.view.Raw())
	e.BodySHA256 = hex.EncodeToString(body[:])
	return nil
}

// leafAt returns the bytes of one entry.
func leafAt(fsys fs.FS, index, size uint64) ([]byte, error) {
	bundle := index / audit.TileWidth
	full, partial := audit.TileCount(size, 0)
	width := 0
	if bundle == full {
		width = partial
	}
	data, err := fs.ReadFile(fsys, audit.EntriesPath(bundle, width))
	if errors.Is(err, fs.ErrNotExist) && width > 0 {
		data, err = fs.ReadFile(fsys, audit.EntriesPath(bundle, 0))
	}
	if err != nil {
		return nil, fmt.Errorf("reading entry %d: %w", index, err)
	}
	var leaf []byte
	for range index%audit.TileWidth + 1 {
		if leaf, data, err = audit.NextEntry(data); err != nil {
			return nil, fmt.Errorf("reading entry %d: %w", index, err)
		}
	}
	return leaf, nil
}

func (p *printer) explained(e *explained) {
	p.line("%s", e.Sentence)
	p.line("")
	for name, f := range e.view.Facts() {
		p.line("  %-20s %s", name, f.Raw())
	}
	p.line("  %-20s %s", "leaf_hash", e.LeafSHA256)
	p.line("  %-20s %s", "body_sha256", e.BodySHA256)
	p.line("  %-20s %s", "root", e.Root)
	sign, text := "✓", p.say("the signed root over %d entries holds this entry at %d (%d hashes of proof)", "%d 条记录的根哈希包含第 %d 条(证明含 %d 个哈希)")
	if !e.Included {
		sign, text = "✗", p.say("the root over %d entries does NOT hold this entry at %d (%d hashes of proof)", "%d 条记录的根哈希不包含第 %d 条(证明含 %d 个哈希)")
	}
	p.line("%s "+text, sign, e.Size, e.Index, len(e.Proof))
	p.becameOf(e)
	p.states(e)
	switch e.Signature {
	case string(verify.OK):
		p.line("✓ %s", p.say("the root is signed by the given key", "根哈希由所给公钥签名"))
	case string(verify.Failed):
		p.line("✗ %s", p.say("the root is NOT signed by the given key", "根哈希并非由所给公钥签名"))
	default:
		p.line("– %s", p.say("signature not checked: no --key", "签名未检查:未给 --key"))
	}
}
