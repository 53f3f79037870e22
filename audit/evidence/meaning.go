package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/sealtrail/sealtrail/audit"
)

// Kinds of entries that the format gives a meaning (rules 11, 12 and 14).
const (
	kindRequested = "erasure.requested"
	kindApproved  = "erasure.approved"
	kindShredded  = "erasure.shredded"
	kindActivated = "bundle.activated"
	kindStamped   = "time.stamped"
)

// tells reports whether an item is one of those whose commitments and decisions a bundle accounts for.
func tells(part string) bool { return part == PartTrail || part == PartHit || part == PartOutcome }

// openings is step 8.
func (c *checking) openings() {
	type key struct {
		Place
		path string
	}
	known := map[key]bool{}
	c.rep.States = map[State]int{}
	for i := range c.Openings {
		o := &c.Openings[i]
		known[key{o.Place, o.Path}] = true
		c.rep.States[o.State]++
		c.opening(o)
	}
	for i := range c.Items {
		x := &c.Items[i]
		if c.entries[i] == nil || !tells(x.Part) {
			continue
		}
		for _, path := range slices.Sorted(maps.Keys(c.entries[i].Body.Commit)) {
			if path != audit.StatePath && !known[key{x.Place, path}] {
				c.rep.find(StepOpenings, "commitment_unlisted", about{path: path, place: &x.Place})
			}
		}
	}
	c.rep.note(StepOpenings, "disclosed %d, withheld %d, erased %d, missing %d", "已开启 %d,未提供 %d,已删除 %d,缺失 %d",
		c.rep.States[Disclosed], c.rep.States[Withheld], c.rep.States[Erased], c.rep.States[Missing])
	c.rep.ok(StepOpenings)
}

func (c *checking) opening(o *Opening) {
	i := c.at[o.Place]
	a := about{path: o.Path, place: &o.Place}
	if c.entries[i] == nil || o.Path == audit.StatePath || c.entries[i].Body.Commit[o.Path] == "" {
		c.rep.find(StepOpenings, "opening_unknown", a)
		return
	}
	a.want = c.entries[i].Body.Commit[o.Path]
	switch o.State {
	case Missing:
		c.rep.find(StepOpenings, "commitment_missing", a)
	case Erased:
		if !c.erasedBy(i, c.at[*o.Proof]) {
			c.rep.find(StepOpenings, "erased_unproved", a)
		}
	case Disclosed:
		if a.got = audit.Commit(o.Path, o.Salt, []byte(o.Value)); a.got != a.want {
			c.rep.find(StepOpenings, "commitment", a)
		}
	case Withheld:
	}
}

// event returns the entry of an item if it is an event of that kind.
func (c *checking) event(i int, kind string) *audit.Body {
	if e := c.entries[i]; e != nil && e.Body.Kind == kind && e.Body.Stage == audit.StageEvent {
		return &e.Body
	}
	return nil
}

// erasedBy reports whether an item is the shredding, approved by another, that explains a hole in the item before it: rule 11.
func (c *checking) erasedBy(item, shredding int) bool {
	s := c.event(shredding, kindShredded)
	if s == nil || s.Subject != c.entries[item].Body.Subject || !before(c.Items[item].Place, c.Items[shredding].Place) {
		return false
	}
	by, _ := s.Facts.Text("requested_by")
	approver, _ := s.Facts.Text("approved_by")
	erasure, _ := s.Facts.Text("erasure")
	if by == "" || approver == "" || by == approver || erasure == "" {
		return false
	}
	same := func(i int, kind string, behind int) *audit.Body {
		b := c.event(i, kind)
		if b == nil || !before(c.Items[i].Place, c.Items[behind].Place) {
			return nil
		}
		if id, _ := b.Facts.Text("erasure"); id != erasure {
			return nil
		}
		return b
	}
	for i := range c.Items {
		approved := same(i, kindApproved, shredding)
		for j := range c.Items {
			if approved == nil {
				break
			}
			asked := same(j, kindRequested, i)
			if asked != nil && (c.Items[i].Log != c.Items[j].Log || asked.Actor.ID != approved.Actor.ID) {
				return true
			}
		}
	}
	return false
}

// inForce is step 9.
func (c *checking) inForce() {
	decided := c.links(func(i int) bool {
		e := c.entries[i]
		return e != nil && tells(c.Items[i].Part) && e.Body.Decision != nil && e.Body.Decision.Bundle != ""
	})
	trail := c.links(func(i int) bool { return c.entries[i] != nil && c.entries[i].Body.Subject == PolicySubject })
	if len(decided) == 0 || len(trail) == 0 {
		c.rep.note(StepPolicy, "not checked: no decision, or no activation of a policy bundle here", "未检查:没有决定,或没有策略包生效记录")
		return
	}
	for _, l := range decided {
		if active := activeAt(trail, l.Place); active != l.entry.Body.Decision.Bundle {
			c.rep.find(StepPolicy, "policy_not_active", about{place: &l.Place, want: active, got: l.entry.Body.Decision.Bundle})
		}
	}
	chain(trail, func(l link, _ string) { c.rep.find(StepPolicy, "policy_trail", about{place: &l.Place}) })
	h := c.headOf(PolicySubject)
	if h == nil {
		c.rep.note(StepPolicy, "not checked: nothing shows that these are all activations", "未检查:没有证明生效记录已全部列出")
		return
	}
	code, at := c.head(h, trail)
	if code != "" {
		c.rep.find(StepPolicy, "policy_heads", about{place: &h.Place})
		return
	}
	beyond := 0
	for _, l := range decided {
		if l.Log > at.log || l.Log == at.log && l.Index >= at.size {
			beyond++
		}
	}
	if beyond > 0 {
		c.rep.note(StepPolicy, "for %d entries behind size %d another activation in between is not excluded", "%d 条在规模 %d 之后,不排除其间另有策略包生效", beyond, at.size)
	}
	c.rep.ok(StepPolicy)
}

// activeAt returns the digest of the policy bundle that was active at a place; empty if none was.
func activeAt(trail []link, at Place) (digest string) {
	for _, l := range trail {
		if b := &l.entry.Body; before(l.Place, at) && b.Kind == kindActivated && b.Stage == audit.StageEvent {
			digest, _ = b.Facts.Text("digest")
		}
	}
	return digest
}

// blobs is step 10.
func (c *checking) blobs() {
	needed, allowed := map[string]Place{}, map[string]bool{}
	for i, e := range c.entries {
		if e == nil {
			continue
		}
		if d := e.Body.Decision; d != nil && d.Bundle != "" {
			allowed[d.Bundle] = true
			if _, first := needed[d.Bundle]; !first && tells(c.Items[i].Part) {
				needed[d.Bundle] = c.Items[i].Place
			}
		}
		if digest, _ := e.Body.Facts.Text("digest"); isHex(digest, 64) {
			allowed[digest] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Blobs)) {
		sum := sha256.Sum256(c.Blobs[name])
		if got := hex.EncodeToString(sum[:]); got != name {
			c.rep.find(StepBlobs, "blob_altered", about{path: blobName(name), want: name, got: got})
		}
		if !allowed[name] {
			c.rep.find(StepBlobs, "blob_unnamed", about{path: blobName(name)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if _, there := c.Blobs[name]; !there {
			place := needed[name]
			c.rep.find(StepBlobs, "blob_missing", about{path: blobName(name), place: &place})
		}
	}
	if len(c.Blobs)+len(needed) > 0 {
		c.rep.ok(StepBlobs)
	} else {
		c.rep.note(StepBlobs, "not checked: no file is named", "未检查:没有记录引用文件")
	}
}

// stamps is step 11.
func (c *checking) stamps() {
	if len(c.Stamps) == 0 {
		c.rep.note(StepStamps, "not checked: there is no time stamp", "未检查:没有时间戳")
		return
	}
	for _, s := range c.Stamps {
		c.stamp(s)
	}
	c.rep.note(StepStamps, "not checked here: the authority's own signature on the token (openssl ts -verify)", "此处未检查:时间戳机构对令牌的签名(openssl ts -verify)")
}

func (c *checking) stamp(s Stamp) {
	sum := sha256.Sum256(s.Token)
	token := hex.EncodeToString(sum[:])
	a := about{path: stampName(s), got: token}
	for i := range c.Items {
		if c.entries[i] == nil || c.entries[i].Body.Kind != kindStamped {
			continue
		}
		f := c.entries[i].Body.Facts
		origin, _ := f.Text("origin")
		size, _ := f.Int("size")
		digest, _ := f.Text("token_sha256")
		if origin != c.Logs[s.Log].Origin || uint64(size) != s.Size || digest != token {
			continue
		}
		root, _ := f.Text("root")
		path, there := c.proofFrom(s.Log, s.Size)
		if s.Size == c.heads[s.Log].Size {
			path, there = nil, true
		}
		stamped := audit.Checkpoint{Size: s.Size, Root: hash(root)}
		if !isHex(root, 64) || !there || !consistent(stamped, c.heads[s.Log], path) {
			c.rep.find(StepStamps, "stamp_root", about{path: a.path, place: &c.Items[i].Place, got: root})
			return
		}
		at, _ := f.Text("time")
		c.rep.note(StepStamps, "size %d existed at %s, as the token says that an entry of the log names", "规模 %d 于 %s 已存在(依日志记录所载令牌)", s.Size, at)
		return
	}
	c.rep.find(StepStamps, "stamp_unlogged", a)
}
