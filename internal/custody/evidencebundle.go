package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/evidence"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// withheldNotGranted is the reason of whatever the caller may not see
// (docs/formats/evidence-bundle.md, 5 and 10).
const withheldNotGranted = "not_granted"

// keptPath is the one commitment whose opening the service keeps: the reason that
// somebody gave when she opened something.
const keptPath = "reason"

// trailBundle gathers the trail and makes the file of it.
func (g *gathering) trailBundle(ctx context.Context, last uint64, since []uint64) (*evidence.Bundle, error) {
	whole := func(ctx context.Context) ([]*gathered, error) { return g.trail(ctx, g.subject, evidence.PartTrail) }
	if err := g.collect(ctx, last, whole); err != nil {
		return nil, err
	}
	return g.bundle(ctx, &evidence.Bundle{Subject: g.subject}, since)
}

// bundle makes a file of what was gathered.
func (g *gathering) bundle(ctx context.Context, b *evidence.Bundle, since []uint64) (*evidence.Bundle, error) {
	b.Institution, b.MadeAt, b.Blobs = g.door.cfg.Institution, g.door.now(), map[string][]byte{}
	b.Page, b.Readme = g.door.cfg.Published.Page(), []byte(evidenceReadme)
	for _, step := range []func(context.Context, *evidence.Bundle) error{g.showLogs, g.showItems, g.showHeads, g.showOpenings, g.showBlobs} {
		if err := step(ctx, b); err != nil {
			return nil, err
		}
	}
	return b, g.showSince(ctx, b, since)
}

// years are the logs that something was gathered from, oldest first.
func (g *gathering) years() (years []int) {
	for _, i := range g.items {
		if !slices.Contains(years, i.year) {
			years = append(years, i.year)
		}
	}
	for _, also := range []int{g.heads.Of, g.searched} { // the logs whose sizes are spoken of
		if also != 0 && !slices.Contains(years, also) {
			years = append(years, also)
		}
	}
	slices.Sort(years)
	return years
}

func (g *gathering) place(i *gathered) evidence.Place {
	return evidence.Place{Log: slices.Index(g.years(), i.year), Index: i.index}
}

func (g *gathering) showLogs(ctx context.Context, b *evidence.Bundle) error {
	for _, year := range g.years() {
		r, err := g.reader(ctx, year)
		if err != nil {
			return err
		}
		key, err := g.door.cfg.Published.Key(year)
		if err != nil {
			return fmt.Errorf("making evidence: %w", err)
		}
		b.Logs = append(b.Logs, evidence.Log{Origin: r.Checkpoint().Origin, Year: year, Key: key, Size: r.Checkpoint().Size, Checkpoint: r.Signed()})
	}
	return nil
}

func (g *gathering) showItems(ctx context.Context, b *evidence.Bundle) error {
	named := map[string]bool{}
	for _, i := range g.items {
		item := evidence.Item{Place: g.place(i), Part: i.part, State: evidence.Disclosed, Leaf: i.leaf, Hash: i.hash, Path: hashes(i.path)}
		if i.withheld {
			item.State, item.Leaf, item.Reason = evidence.Withheld, nil, withheldNotGranted
		}
		b.Items = append(b.Items, item)
		alias := i.entry.Body.Actor.ID
		if i.withheld || named[alias] || !g.oversees {
			continue
		}
		named[alias] = true
		name, err := g.door.nameOf(ctx, alias)
		if err != nil {
			return err
		}
		if name != alias {
			b.Actors = append(b.Actors, evidence.Actor{Alias: alias, Name: name})
		}
	}
	return nil
}

func hashes(path [][]byte) [][32]byte {
	out := make([][32]byte, len(path))
	for i, h := range path {
		copy(out[i][:], h)
	}
	return out
}

// showHeads proves where the shown trails end.
func (g *gathering) showHeads(_ context.Context, b *evidence.Bundle) error {
	at := evidence.Place{Log: slices.Index(g.years(), g.heads.Year), Index: g.heads.Index}
	for _, subject := range []string{g.subject, policySubject} {
		if subject == "" {
			continue // the result of a query is no trail
		}
		key := audit.HeadKey(subject)
		head, proof := g.heads.File.Prove(key)
		h := evidence.Head{Place: at, Subject: subject, N: head.N, Last: head.Last, Path: proof.Path}
		if proof.Other != nil {
			h.Other = &evidence.OtherHead{Key: proof.Other.Key, N: proof.Other.N, Last: proof.Other.Last}
		}
		b.Heads = append(b.Heads, h)
	}
	return nil
}

// showOpenings says of every commitment what became of what opens it.
func (g *gathering) showOpenings(ctx context.Context, b *evidence.Bundle) error {
	return g.commitments(func(i *gathered, path string) error {
		o := evidence.Opening{Place: g.place(i), Path: path}
		if note, ok := g.notes[noteKey{i.entry.ID, path}]; ok {
			o.State, o.Salt, o.Value = evidence.Disclosed, note.salt, note.value
			b.Openings = append(b.Openings, o)
			return nil
		}
		kept := false
		if path == keptPath {
			var err error
			if kept, err = g.door.noteKept(ctx, i.entry.ID); err != nil {
				return err
			}
		}
		erased := g.erasedAfter(i)
		asked := path == keptPath && i.part != evidence.PartOutcome && g.answered(i)
		switch o.State = redaction(asked, kept, erased != nil); o.State {
		case evidence.Withheld:
			if o.Reason = withheldNotGranted; !kept {
				o.Reason = evidence.ReasonNotKept
			}
		case evidence.Erased:
			at := g.place(erased)
			o.Proof = &at
		case evidence.Disclosed, evidence.Missing: // nothing more to say
		}
		b.Openings = append(b.Openings, o)
		return nil
	})
}

// erasedAfter is the entry by which the record was erased behind i; nil: none.
func (g *gathering) erasedAfter(i *gathered) *gathered {
	for _, e := range g.items {
		if e.entry.Body.Subject == i.entry.Body.Subject && !e.withheld && e.entry.Body.Kind == "erasure.shredded" && (e.year > i.year || e.year == i.year && e.index > i.index) {
			return e
		}
	}
	return nil
}

// showBlobs adds the policy bundles that the shown entries name.
func (g *gathering) showBlobs(ctx context.Context, b *evidence.Bundle) error {
	for _, i := range g.items {
		d := i.entry.Body.Decision
		if i.withheld || d == nil || d.Bundle == "" || b.Blobs[d.Bundle] != nil || !i.judged() {
			continue
		}
		blob, err := g.blob(ctx, d.Bundle)
		if err != nil {
			return err
		}
		b.Blobs[d.Bundle] = blob
	}
	return nil
}

// judged says whether the policy of an entry is looked at.
func (i *gathered) judged() bool {
	return i.part == evidence.PartTrail || i.part == evidence.PartHit || i.part == evidence.PartOutcome
}

// blob reads a published blob from whichever year's log has it.
func (g *gathering) blob(ctx context.Context, digest string) ([]byte, error) {
	var last error
	for _, year := range slices.Backward(g.years()) {
		store, err := g.door.cfg.Published.Store(year)
		if err != nil {
			return nil, fmt.Errorf("making evidence: %w", err)
		}
		blob, err := store.Get(ctx, audit.BlobPath(digest))
		if err == nil {
			return blob, nil
		}
		last = err
	}
	return nil, fmt.Errorf("making evidence: a policy bundle that an entry names: %w", last)
}

// showSince proves that the newest log extends what the reader saw.
func (g *gathering) showSince(ctx context.Context, b *evidence.Bundle, since []uint64) error {
	years := g.years()
	newest := years[len(years)-1]
	r, err := g.reader(ctx, newest)
	if err != nil {
		return err
	}
	slices.Sort(since)
	for _, size := range slices.Compact(since) {
		path, err := r.Extends(ctx, size)
		if errors.Is(err, publish.ErrNotPublished) {
			continue // its own size, or a later one: the reader is told that it was not checked
		}
		if err != nil {
			return fmt.Errorf("making evidence: %w", err)
		}
		b.Consistency = append(b.Consistency, evidence.Consistency{Log: len(years) - 1, From: size, Path: hashes(path)})
	}
	return nil
}

// evidenceReadme is README.txt of every bundle.
const evidenceReadme = `This file shows who saw or did what on one complaint, and can be checked by anybody, offline.
本文件载明某一投诉的全部处理与查阅记录,任何人均可离线验证。

1. Get the log's public key (log.vkey) from somewhere else than this file: from the institution's website, an auditor, an earlier bundle.
   从本文件以外的渠道取得日志公钥(log.vkey):机构网站、审计人员或先前的证据包。
2. Open verify.html in a browser and give it this zip and the key. No network is used. Or run: trailcheck verify --key log.vkey THIS.zip
   用浏览器打开 verify.html,选择本 zip 与公钥(不联网);或运行:trailcheck verify --key log.vkey 本文件.zip
3. A page inside a bundle could be a forged one. Compare its SHA-256 with the one in the release, or use the page of the release.
   包内页面可能被伪造:请与发行说明中的 SHA-256 比对,或使用发行版自带的页面。

What it cannot show stands at the end of the check (step 12).
验证结果末尾(第 12 步)列明其不能证明的事项。
`
