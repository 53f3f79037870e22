package demo

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/sandbox"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

// forgery is a log made anew from a published one, as somebody would who may
// write every row and use the signing key.
type forgery struct {
	leaves [][]byte
	tree   audit.Tree
	heads  map[string]head
}

type head struct {
	n    uint64
	hash [32]byte
}

// forge writes a whole and correctly signed log to dir in which every complaint
// was received a day later than it was: the figures look better for it.
func (s *story) forge(ctx context.Context, dir string) error {
	f := &forgery{heads: map[string]head{}}
	taken := dir + ".from"
	if err := copyLog(taken, s.LogDir()); err != nil {
		return err
	}
	if err := f.rewrite(os.DirFS(taken)); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(dir, "blob"), os.DirFS(filepath.Join(taken, "blob"))); err != nil {
		return fmt.Errorf("copying blobs: %w", err)
	}
	if err := f.publish(dir); err != nil {
		return err
	}
	return s.sign(ctx, f, dir)
}

// rewrite reads every entry, changes one kind of entry, and builds the tree
// anew.
func (f *forgery) rewrite(log fs.FS) error {
	at, err := checkpointOf(log)
	if err != nil {
		return err
	}
	full, rest := audit.TileCount(at.Size, 0)
	for i := range full + 1 {
		width := 0
		if i == full {
			if width = rest; width == 0 {
				break
			}
		}
		bundle, err := fs.ReadFile(log, audit.EntriesPath(i, width))
		if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		entries, err := audit.DecodeBundle(bundle)
		if err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		for _, e := range entries {
			if err := f.add(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkpointOf reads the checkpoint of a log's folder, unverified.
func checkpointOf(log fs.FS) (audit.Checkpoint, error) {
	raw, err := fs.ReadFile(log, audit.CheckpointPath)
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("reading the checkpoint: %w", err)
	}
	signed, err := audit.SplitNote(raw)
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("reading the checkpoint: %w", err)
	}
	at, err := audit.ParseCheckpoint(signed.Text)
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("reading the checkpoint: %w", err)
	}
	return at, nil
}

// add puts one entry behind the others; receipts move by a day.
func (f *forgery) add(raw []byte) error {
	leaf, err := audit.ParseLeaf(raw)
	if err != nil {
		return fmt.Errorf("reading an entry: %w", err)
	}
	body := leaf.RawBody
	if leaf.Body.Kind == "complaint.recorded" {
		b := leaf.Body
		was, _ := b.Facts.Text("received_at")
		at, err := time.Parse(time.RFC3339Nano, was)
		if err != nil {
			return fmt.Errorf("forging an entry: %w", err)
		}
		b.Facts["received_at"] = at.Add(24 * time.Hour).Format(time.RFC3339Nano)
		if body, err = b.Canonical(); err != nil {
			return fmt.Errorf("forging an entry: %w", err)
		}
	}
	h := f.heads[leaf.Body.Subject]
	forged := audit.AssembleLeaf(body, audit.Position{ID: leaf.ID, Index: f.tree.Size(), Log: leaf.Log, SeqAt: leaf.SeqAt, TrailN: h.n + 1, TrailPrev: h.hash})
	hash := audit.LeafHash(forged)
	f.heads[leaf.Body.Subject] = head{h.n + 1, hash}
	f.leaves = append(f.leaves, forged)
	return f.tree.Append(hash)
}

// publish writes tiles and bundles.
func (f *forgery) publish(dir string) error {
	tree := audit.Tree{Full: func(level int, index uint64, data []byte) error {
		return put(dir, audit.TilePath(level, index, 0), data)
	}}
	for _, leaf := range f.leaves {
		if err := tree.Append(audit.LeafHash(leaf)); err != nil {
			return fmt.Errorf("forging the tree: %w", err)
		}
	}
	for level := 0; level*audit.TileHeight < 64; level++ {
		index, data := tree.Partial(level)
		if data == nil {
			continue
		}
		if err := put(dir, audit.TilePath(level, index, len(data)/audit.HashSize), data); err != nil {
			return err
		}
	}
	for start := 0; start < len(f.leaves); start += audit.TileWidth {
		part := f.leaves[start:min(start+audit.TileWidth, len(f.leaves))]
		bundle, err := audit.EncodeBundle(part)
		if err != nil {
			return fmt.Errorf("forging a bundle: %w", err)
		}
		if err := put(dir, audit.EntriesPath(uint64(start/audit.TileWidth), len(part)%audit.TileWidth), bundle); err != nil {
			return err
		}
	}
	return nil
}

// sign signs the forged root with the institution's real log key, through an
// operator's token.
func (s *story) sign(ctx context.Context, f *forgery, dir string) error {
	client, err := vaultserver.NewClient(s.Vault.Addr(), s.Vault.CACert(), s.Vault.RootToken())
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(s.LogKey)
	if err != nil {
		return fmt.Errorf("reading the log's key: %w", err)
	}
	signer, err := transit.NewCheckpointSigner(ctx, transit.Config{Client: client, Institution: sandbox.Institution}, verifier.Name())
	if err != nil {
		return fmt.Errorf("using the log's key: %w", err)
	}
	text := audit.Checkpoint{Origin: verifier.Name(), Size: f.tree.Size(), Root: f.tree.Root()}.Marshal()
	raw, err := signer.Sign(ctx, text)
	if err != nil {
		return fmt.Errorf("signing the forged log: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: string(text)}, signedBy{verifier, raw})
	if err != nil {
		return fmt.Errorf("signing the forged log: %w", err)
	}
	if err := put(dir, audit.CheckpointSizePath(f.tree.Size()), signed); err != nil {
		return err
	}
	return put(dir, audit.CheckpointPath, signed)
}

// signedBy hands a signature that was made elsewhere to note.Sign.
type signedBy struct {
	note.Verifier
	signature []byte
}

func (s signedBy) Sign([]byte) ([]byte, error) { return s.signature, nil }

func put(dir, name string, data []byte) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing the forged log: %w", err)
	}
	return os.WriteFile(path, data, 0o600)
}
