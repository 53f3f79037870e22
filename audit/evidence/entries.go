package evidence

import (
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
)

// contents is step 5.
func (c *checking) contents() {
	c.entries = make([]*audit.Leaf, len(c.Items))
	for i := range c.Items {
		x := &c.Items[i]
		c.at[x.Place] = i
		if x.State == Missing {
			c.rep.find(StepEntries, "entry_missing", about{place: &x.Place, want: hex.EncodeToString(x.Hash[:])})
		}
		c.inclusion(x)
		if x.State == Disclosed {
			c.entries[i] = c.entry(x)
		}
	}
	ids := map[string]bool{}
	for i := range c.Items {
		if e := c.entries[i]; e != nil && (c.Items[i].Part == PartTrail || c.Items[i].Part == PartHit) {
			ids["e"+strconv.FormatUint(e.ID, 10)] = true
		}
	}
	for i := range c.Items {
		if x := &c.Items[i]; c.entries[i] != nil && !c.fitsPart(x.Part, c.entries[i], ids) {
			c.rep.find(StepEntries, "part", about{path: entryName(x.Place), place: &x.Place, want: x.Part})
		}
	}
	c.inTime()
	if len(c.Items) > 0 {
		c.rep.ok(StepEntries)
	} else {
		c.rep.note(StepEntries, "there is no entry", "没有记录")
	}
}

// inTime holds the entries to their order in time, from one year's log to the next too: what year a log is of nothing else shows.
func (c *checking) inTime() {
	var last *audit.Leaf
	for i := range c.Items {
		e, x := c.entries[i], &c.Items[i]
		if e == nil {
			continue
		}
		if last != nil && e.SeqAt.Before(last.SeqAt) {
			c.rep.find(StepEntries, "time_order", about{path: entryName(x.Place), place: &x.Place})
		}
		last = e
	}
}

// inclusion proves that the log holds the leaf of an item.
func (c *checking) inclusion(x *Item) {
	path, ok := parseProof(x.Proof, x.Index, c.Logs[x.Log].Checkpoint)
	if !ok {
		c.rep.find(StepEntries, "proof_malformed", about{path: proofName(x.Place), place: &x.Place})
		return
	}
	head := c.heads[x.Log]
	if audit.VerifyInclusion(x.Index, head.Size, x.Hash, path, head.Root) != nil {
		c.rep.find(StepEntries, "inclusion", about{path: proofName(x.Place), place: &x.Place, want: hex.EncodeToString(head.Root[:])})
	}
}

// entry reads a disclosed item; nil if its bytes are not the ones proved.
func (c *checking) entry(x *Item) *audit.Leaf {
	own := audit.LeafHash(x.Leaf)
	a := about{path: entryName(x.Place), place: &x.Place, want: hex.EncodeToString(x.Hash[:]), got: hex.EncodeToString(own[:])}
	e, err := audit.ParseLeaf(x.Leaf)
	if err != nil {
		c.rep.find(StepEntries, "not_canonical", a)
		return nil
	}
	if own != x.Hash {
		c.rep.find(StepEntries, "entry_altered", a)
		return nil
	}
	if e.Index != x.Index {
		c.rep.find(StepEntries, "index", about{path: a.path, place: &x.Place, got: strconv.FormatUint(e.Index, 10)})
	}
	if e.Log != c.Logs[x.Log].Origin {
		c.rep.find(StepEntries, "origin", about{path: a.path, place: &x.Place, want: c.Logs[x.Log].Origin, got: e.Log})
	}
	if e.Body.Institution != c.Institution {
		c.rep.find(StepEntries, "institution", about{path: a.path, place: &x.Place, want: c.Institution, got: e.Body.Institution})
	}
	return &e
}

// fitsPart compares an entry with what it is listed as.
func (c *checking) fitsPart(part string, e *audit.Leaf, ids map[string]bool) bool {
	b := &e.Body
	switch part {
	case PartTrail:
		return b.Subject == c.Subject
	case PartPolicy:
		return b.Subject == PolicySubject
	case PartHeads:
		return b.Subject == audit.HeadsSubject && b.Kind == audit.HeadsKind && b.Stage == audit.StageEvent
	case PartOutcome:
		intents, _ := b.Facts.List("intents")
		return b.Stage == audit.StageOutcome && slices.ContainsFunc(intents, func(s string) bool { return ids[s] })
	}
	return true
}

// link is one item of a trail: what is known of it.
type link struct {
	*Item
	entry *audit.Leaf // nil: withheld
}

// links returns the items that take tells, in their order.
func (c *checking) links(take func(i int) bool) (out []link) {
	for i := range c.Items {
		if take(i) {
			out = append(out, link{&c.Items[i], c.entries[i]})
		}
	}
	return out
}

func (c *checking) trailLinks() []link {
	return c.links(func(i int) bool { return c.Items[i].Part == PartTrail })
}

// chain holds a trail to its numbers and former leaves and returns how many withheld items nothing but their number ties to it.
func chain(trail []link, find func(l link, code string)) (loose int) {
	var before [32]byte
	for k, l := range trail {
		switch {
		case l.entry == nil:
			if k+1 == len(trail) || trail[k+1].entry == nil {
				loose++
			}
		case l.entry.TrailN != uint64(k+1):
			find(l, "trail_gap")
		case l.entry.TrailPrev != before:
			find(l, "trail_broken")
		}
		before = l.Hash
	}
	return loose
}

// trail is step 6.
func (c *checking) trail() {
	if q := c.Query; q != nil {
		for i := range c.Items {
			if x := &c.Items[i]; x.Part == PartHit && x.Log == q.Log && x.Index >= q.Size {
				c.rep.find(StepTrail, "hit_beyond", about{place: &x.Place, want: strconv.FormatUint(q.Size, 10)})
			}
		}
		c.rep.note(StepTrail, "not checked: these are the hits of a query, not a trail", "未检查:这是检索结果,不是处理轨迹")
		return
	}
	trail := c.trailLinks()
	loose := chain(trail, func(l link, code string) { c.rep.find(StepTrail, code, about{place: &l.Place}) })
	if n := withheld(trail); n > 0 {
		c.rep.note(StepTrail, "%d of %d entries are withheld: their place in the tree is proved, their content is not shown", "%d/%d 条未提供内容:其在树中的位置已证明", n, len(trail))
	}
	if loose > 0 {
		c.rep.note(StepTrail, "%d withheld entries are tied to the trail by their number only", "%d 条未提供的记录仅以序号相连", loose)
	}
	c.rep.ok(StepTrail)
}

func withheld(trail []link) (n int) {
	for _, l := range trail {
		if l.entry == nil {
			n++
		}
	}
	return n
}

// committed is what an entry of kind trail.heads says.
type committed struct {
	log  int // whose size it is
	size uint64
	root [32]byte
}

// commitment reads the entry that a head names: rule 8.
func (c *checking) commitment(h *Head) (out committed, ok bool) {
	i, there := c.at[h.Place]
	if !there || c.entries[i] == nil || c.Items[i].Part != PartHeads {
		return out, false
	}
	f := c.entries[i].Body.Facts
	origin, _ := f.Text("origin")
	size, isSize := f["size"].(int64)
	trails, isTrails := f["trails"].(int64)
	root, _ := f.Text("root")
	out.log = slices.IndexFunc(c.Logs, func(l Log) bool { return l.Origin == origin })
	if out.log < 0 || !isSize || !isTrails || size < 0 || trails < 0 || !isHex(root, 64) || uint64(size) > c.heads[out.log].Size {
		return out, false
	}
	out.size, out.root = uint64(size), hash(root)
	if out.log == h.Log {
		return out, h.Index >= out.size && h.Index <= out.size+audit.HeadsReach
	}
	return out, out.log < h.Log
}

// head judges one head against the items of its trail; the code is empty if it holds.
func (c *checking) head(h *Head, trail []link) (code string, out committed) {
	out, ok := c.commitment(h)
	if !ok {
		return "heads_entry", out
	}
	key, proof := audit.HeadKey(h.Subject), audit.HeadProof{Path: h.Path}
	var err error
	if h.N > 0 {
		err = audit.VerifyHead(out.root, audit.Head{Key: key, N: h.N, Last: h.Last}, proof)
	} else {
		if o := h.Other; o != nil {
			proof.Other = &audit.Head{Key: o.Key, N: o.N, Last: o.Last}
		}
		err = audit.VerifyNoHead(out.root, key, proof)
	}
	switch {
	case err != nil:
		return "heads_proof", out
	case h.N != uint64(len(trail)):
		return "heads_n", out
	case len(trail) == 0:
		return "", out
	}
	last := trail[len(trail)-1]
	switch {
	case last.Hash != h.Last:
		return "heads_last", out
	case last.Log > out.log || last.Log == out.log && last.Index >= out.size:
		return "heads_size", out
	}
	return "", out
}

func (c *checking) headOf(subject string) *Head {
	for i := range c.Heads {
		if c.Heads[i].Subject == subject {
			return &c.Heads[i]
		}
	}
	return nil
}

// complete is step 7.
func (c *checking) complete() {
	if c.Query != nil {
		c.rep.note(StepComplete, "not checked: whether the query has other hits, only the whole log shows", "未检查:检索是否另有命中,须以完整日志核对")
		return
	}
	h := c.headOf(c.Subject)
	if h == nil {
		c.rep.find(StepComplete, "heads_missing", about{})
		return
	}
	trail := c.trailLinks()
	code, at := c.head(h, trail)
	if code != "" {
		c.rep.find(StepComplete, code, about{place: &h.Place})
		return
	}
	c.rep.ok(StepComplete)
	origin := c.Logs[at.log].Origin
	c.conclude(say("these %d entries and no others, up to size %d of %s", "截至 %[3]s 第 %[2]d 条,该轨迹仅有这 %[1]d 条记录,别无其他", h.N, at.size, origin))
	c.later(h, at)
	c.openers(trail)
	hidden := withheld(trail)
	var end verify.Text
	if hidden > 0 {
		end = say("; %d entries are withheld, of which this says nothing", ";另有 %d 条未提供,对其不作说明", hidden)
	}
	var said verify.Text
	switch n := len(c.rep.Opened); {
	case n > 0:
		said = say("opened %d times through this service, up to size %d", "截至第 %[2]d 条,经本系统共打开 %[1]d 次", n, at.size)
	case hidden > 0:
		said = say("no entry shown opens this record, up to size %d", "截至第 %d 条,所示记录均未打开该记录", at.size)
	default:
		said = say("nobody opened this record through this service, up to size %d", "截至第 %d 条,没有人经本系统打开过该记录", at.size)
	}
	c.conclude(verify.Text{EN: said.EN + end.EN, ZH: said.ZH + end.ZH})
}

// later says when the ends were committed, and how much of the logs shown lies behind them: an older commitment is as genuine as the
// newest one, and shows less.
func (c *checking) later(h *Head, at committed) {
	behind := c.heads[at.log].Size - at.size
	for _, later := range c.heads[at.log+1:] {
		behind += later.Size
	}
	c.conclude(say("committed at %s, by the service's clock; nothing is said of the %d entries that the logs have behind it", "汇总写于 %s(系统时钟);对日志中其后的 %d 条不作说明",
		c.entries[c.at[h.Place]].SeqAt.UTC().Format(time.RFC3339), behind))
}

func (c *checking) conclude(t verify.Text) {
	c.rep.Result = append(c.rep.Result, t)
	c.rep.add(StepComplete, t)
}

// openers lists the entries by which somebody opened the record.
func (c *checking) openers(trail []link) {
	names := map[string]string{}
	for _, a := range c.Actors {
		names[a.Alias] = a.Name
	}
	for _, l := range trail {
		if l.entry == nil {
			continue
		}
		b := &l.entry.Body
		if !c.opts.Vocabulary.Kinds[b.Kind].Opens || b.Stage == audit.StageOutcome || b.Decision != nil && b.Decision.Result == audit.ResultDeny {
			continue
		}
		c.rep.Opened = append(c.rep.Opened, Opener{Place: l.Place, Alias: b.Actor.ID, Name: names[b.Actor.ID], Roles: b.Actor.Roles, At: b.At, Kind: b.Kind})
	}
}

// before reports whether an item stands before another.
func before(a, b Place) bool { return a.compare(b) < 0 }
