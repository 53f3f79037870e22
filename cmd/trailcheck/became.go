package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/evidence"
)

// erasing are the kinds of entries that say that a record is gone, as a leaf spells them.
var erasing = [][]byte{[]byte(`"kind":"erasure.shredded"`), []byte(`"kind":"erasure.irrecoverable"`)}

// whatBecame looks whether the log says that the entry's record was erased: what cannot be read any more is then erased, not
// missing, and this is the proof.
func (e *explained) whatBecame(fsys fs.FS, cp audit.Checkpoint) error {
	subject := bytes.Clone(e.view.Subject())
	if !bytes.HasPrefix(subject, []byte("complaint:")) {
		return nil
	}
	full, rest := audit.TileCount(cp.Size, 0)
	for bundle := uint64(0); bundle <= full; bundle++ {
		width := 0
		if bundle == full {
			if width = rest; rest == 0 {
				break
			}
		}
		if err := e.search(fsys, cp, bundle, width, subject); err != nil {
			return err
		}
	}
	return nil
}

// search looks through one bundle. Almost every bundle names no erasure, which its bytes tell at once.
func (e *explained) search(fsys fs.FS, cp audit.Checkpoint, bundle uint64, width int, subject []byte) error {
	data, err := fs.ReadFile(fsys, audit.EntriesPath(bundle, width))
	if errors.Is(err, fs.ErrNotExist) && width > 0 {
		data, err = fs.ReadFile(fsys, audit.EntriesPath(bundle, 0))
	}
	if err != nil {
		return fmt.Errorf("reading the bundle of entry %d: %w", bundle*audit.TileWidth, err)
	}
	if !mentions(data, subject) {
		return nil
	}
	for index := bundle * audit.TileWidth; len(data) > 0 && index < cp.Size; index++ {
		var leaf []byte
		if leaf, data, err = audit.NextEntry(data); err != nil {
			return fmt.Errorf("reading entry %d: %w", index, err)
		}
		if index == e.Index || !mentions(leaf, subject) {
			continue
		}
		said := &explained{Origin: cp.Origin, Index: index, Size: cp.Size, Root: e.Root, Signature: e.Signature}
		if err := said.read(fsys, cp); err != nil {
			return err
		}
		// The bytes only hint: a text may hold them, too.
		kind := string(said.view.Kind())
		if said.view.Stage() == audit.StageEvent && bytes.Equal(said.view.Subject(), subject) && (kind == "erasure.shredded" || kind == "erasure.irrecoverable") {
			e.Erased = append(e.Erased, said)
		}
	}
	return nil
}

func mentions(data, subject []byte) bool {
	for _, kind := range erasing {
		if bytes.Contains(data, kind) {
			return bytes.Contains(data, subject)
		}
	}
	return false
}

// becameOf says that the entry's record is erased, with the proof.
func (p *printer) becameOf(e *explained) {
	if len(e.Erased) == 0 {
		return
	}
	p.line("")
	p.line("%s", p.say("What this entry is about was erased. It is not missing:", "该记录所涉投诉已被删除(并非缺失):"))
	for _, said := range e.Erased {
		sign := "✓"
		if !said.Included {
			sign = "✗"
		}
		p.line("%s %s", sign, said.Sentence)
		p.line("  %-20s %s", "leaf_hash", said.LeafSHA256)
	}
	p.line("")
}

// commitments says what became of what the entry commits to. A published folder opens nothing: a commitment is erased where an entry
// behind this one says that its record was shredded, and withheld otherwise. Missing is for whoever holds the openings to tell.
func (e *explained) commitments() {
	commit, kept := e.view.Body().Commit, map[string]evidence.Kept{}
	erased := slices.ContainsFunc(e.Erased, func(said *explained) bool {
		return string(said.view.Kind()) == "erasure.shredded" && said.Included && said.Index > e.Index
	})
	for path := range commit {
		if !erased {
			kept[path] = evidence.Kept{}
		}
	}
	e.States = evidence.States(commit, kept, erased)
}

func (p *printer) states(e *explained) {
	for _, path := range slices.Sorted(maps.Keys(e.States)) {
		text := p.say("withheld: only its commitment is published; an evidence bundle may show it", "未提供:仅公布其承诺,证据包可予以开启")
		if e.States[path] == evidence.Erased {
			text = p.say("erased, as the entry above proves", "已删除(由上述记录证明)")
		}
		p.line("  %-20s %s", path, text)
	}
}
