package evidence

import (
	"encoding/hex"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// key returns the reader's key of a log; nil if there is none.
func (c *checking) key(origin string) note.Verifier {
	for _, k := range c.keys {
		if k.Name() == origin {
			return k
		}
	}
	return nil
}

// signedBy reports whether a line of the key signs the note and no line of it does not.
func signedBy(n audit.SignedNote, key note.Verifier) (good bool) {
	for _, s := range n.Sigs {
		if s.KeyID != key.KeyHash() || s.Name != key.Name() {
			continue
		}
		if !key.Verify(n.Text, s.Sig) {
			return false
		}
		good = true
	}
	return good
}

// signatures is step 2.
func (c *checking) signatures() {
	if len(c.keys) == 0 {
		for _, l := range c.Logs {
			c.rep.note(StepSignature, "not checked: no key. The bundle says of %s: %s", "未检查:未提供公钥。证据包自称日志 %s 的公钥为:%s", l.Origin, l.Key)
		}
		return
	}
	for i := range c.Logs {
		l := &c.Logs[i]
		key := c.key(l.Origin)
		switch {
		case key == nil:
			c.rep.find(StepSignature, "no_key", about{path: checkpointName(i), want: l.Origin})
		case !signedBy(c.notes[i], key):
			c.rep.find(StepSignature, "checkpoint_signature", about{path: checkpointName(i)})
		default:
			c.rep.note(StepSignature, "%s, %d entries, root %s", "%s,%d 条记录,根 %s", l.Origin, l.Size, hex.EncodeToString(c.heads[i].Root[:]))
		}
	}
	c.rep.ok(StepSignature)
}

// witnesses is step 3.
func (c *checking) witnesses() {
	if !c.policy.NeedsWitnesses() {
		c.rep.note(StepWitnesses, "not checked: no witness", "未检查:没有见证方")
		return
	}
	all := c.policy.Witnesses()
	for i := range c.Logs {
		seen := make([]time.Time, len(all))
		count := 0
		for _, s := range c.notes[i].Sigs {
			w := witnessOf(all, s)
			if w < 0 || c.isLogs(s) {
				continue
			}
			v := all[w].Verifier()
			if v.KeyHash() != s.KeyID || v.Name() != s.Name || !v.Verify(c.notes[i].Text, s.Sig) {
				c.rep.find(StepWitnesses, "cosignature", about{path: checkpointName(i), want: v.Name()})
				continue
			}
			if seen[w].IsZero() {
				count++
			}
			if made := audit.CosignatureTime(s.Sig); made.After(seen[w]) {
				seen[w] = made
			}
		}
		newest, ok := c.policy.Newest(func(j int) time.Time { return seen[j] })
		if !ok {
			c.rep.find(StepWitnesses, "not_cosigned", about{path: checkpointName(i), got: strconv.Itoa(count)})
			continue
		}
		c.rep.note(StepWitnesses, "%s: cosigned by %d witnesses, enough of them by %s", "%s:%d 个见证方联署,至 %s 已达所需数量",
			c.Logs[i].Origin, count, newest.UTC().Format(time.RFC3339))
	}
	c.rep.ok(StepWitnesses)
}

// witnessOf returns the witness whose key id, or else whose name, a line bears; -1 for none.
func witnessOf(all []audit.PolicyWitness, s audit.NoteSignature) int {
	for i := range all {
		if all[i].Verifier().KeyHash() == s.KeyID {
			return i
		}
	}
	for i := range all {
		if all[i].Verifier().Name() == s.Name {
			return i
		}
	}
	return -1
}

func (c *checking) isLogs(s audit.NoteSignature) bool {
	for _, k := range c.keys {
		if k.KeyHash() == s.KeyID && k.Name() == s.Name {
			return true
		}
	}
	return false
}

// proofFrom returns the consistency proof from that size of a log.
func (c *checking) proofFrom(log int, size uint64) (path [][]byte, ok bool) {
	for _, p := range c.Consistency {
		if p.Log == log && p.From == size {
			return slicesOf(p.Path), true
		}
	}
	return nil, false
}

func slicesOf(path [][32]byte) [][]byte {
	out := make([][]byte, len(path))
	for i := range path {
		out[i] = path[i][:]
	}
	return out
}

// kept is step 4.
func (c *checking) kept() {
	if len(c.pinned) == 0 {
		c.rep.note(StepPinned, "not checked: no earlier checkpoint", "未检查:没有先前保存的检查点")
		return
	}
	all := true
	for _, p := range c.pinned {
		all = c.keptOne(p) && all
	}
	if all {
		c.rep.ok(StepPinned)
	}
}

// keptOne judges one kept checkpoint; false if it could not be compared.
func (c *checking) keptOne(p pinned) bool {
	key := c.key(p.Origin)
	if key == nil || !signedBy(p.note, key) {
		c.rep.find(StepPinned, "pinned_signature", about{want: p.Origin})
		return true
	}
	log := -1
	for i := range c.Logs {
		if c.Logs[i].Origin == p.Origin {
			log = i
		}
	}
	if log < 0 {
		c.rep.note(StepPinned, "not checked: the kept checkpoint is of %s, which is not in this bundle", "未检查:所存检查点属于 %s,不在此证据包内", p.Origin)
		return false
	}
	head := c.heads[log]
	if p.Size > head.Size {
		c.rep.note(StepPinned, "not checked: the kept checkpoint is of size %d, larger than the bundle's %d", "未检查:所存检查点规模 %d 大于证据包的 %d", p.Size, head.Size)
		return false
	}
	path, there := c.proofFrom(log, p.Size)
	if p.Size == head.Size || p.Size == 0 {
		path, there = nil, true
	}
	if !there {
		c.rep.note(StepPinned, "not checked: the bundle holds no proof from the kept size %d", "未检查:证据包没有自所存规模 %d 起的证明", p.Size)
		return false
	}
	if !consistent(p.Checkpoint, head, path) {
		c.rep.find(StepPinned, "history_changed", about{path: checkpointName(log), want: hex.EncodeToString(p.Root[:]), got: hex.EncodeToString(head.Root[:])})
		return true
	}
	c.rep.note(StepPinned, "the first %d entries are those of the kept checkpoint", "前 %d 条与所存检查点一致", p.Size)
	return true
}

func consistent(from, to audit.Checkpoint, path [][]byte) bool {
	return audit.VerifyConsistency(from.Size, to.Size, from.Root, to.Root, path) == nil
}
