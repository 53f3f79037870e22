package erasures

import "strconv"

// epoch follows closings of key epochs: two custodians and a delay.
func (t *taken) epoch() {
	if !t.event() {
		return
	}
	name := t.text("key") + "/" + strconv.FormatInt(t.number("version"), 10)
	c := t.in.closings[name]
	switch string(t.Kind()) {
	case "key.epoch_proposed":
		t.in.closings[name] = &closing{by: t.actor()}
	case "key.epoch_withdrawn":
		delete(t.in.closings, name)
	case "key.epoch_confirmed":
		if c == nil {
			t.missing("epoch_unproposed", say("entry %d confirms a closing that nobody proposed", "第 %d 条确认的密钥周期关闭未曾提议", t.Index))
			c = &closing{}
			t.in.closings[name] = c
		}
		if c.by.same(t.actor()) {
			t.find(t.Index, "epoch_same_person", say("entry %d: who proposed the closing confirmed it", "第 %d 条:关闭密钥周期的提议与确认为同一人", t.Index))
		}
		c.confirmed, c.notBefore = true, t.time("not_before")
	case "key.epoch_closed":
		t.closeEpoch(c)
	}
}

func (t *taken) closeEpoch(c *closing) {
	t.res.counts.Epochs++
	switch {
	case c == nil || !c.confirmed:
		t.missing("epoch_unconfirmed", say("entry %d closes a key epoch that two custodians did not confirm", "第 %d 条关闭密钥周期未经两名保管员确认", t.Index))
	case t.LeafView.At().Add(overlap).Before(c.notBefore):
		t.find(t.Index, "epoch_early", say("entry %d closes a key epoch before its delay was over", "第 %d 条关闭密钥周期早于规定的等待期", t.Index))
	}
	t.in.epochs[t.ID] = &epoch{key: t.text("key"), minAvailable: t.number("min_available"), destroyed: t.text("snapshots_destroyed_before")}
}

// irrecoverable checks the second stage against the first and the closed epoch.
func (t *taken) irrecoverable() {
	if !t.event() {
		return
	}
	t.res.counts.Irrecoverable++
	version := t.number("key_version")
	if s := t.in.records[string(t.Subject())].of(t.text("erasure")); s == nil {
		t.missing("irrecoverable_unknown", say("entry %d calls a record irrecoverable that this erasure did not erase", "第 %d 条称不可恢复,但该删除并未删除此记录", t.Index))
	} else {
		if s.keyVersion != version {
			t.find(t.Index, "irrecoverable_version", say("entry %d names another key version than entry %d", "第 %d 条的密钥版本与第 %d 条不同", t.Index, s.index))
		}
		if s.final {
			t.find(t.Index, "irrecoverable_twice", say("entry %d says again what an entry said before", "第 %d 条重复此前记录", t.Index))
		}
		s.final = true
	}
	if t.number("min_available") <= version {
		t.find(t.Index, "irrecoverable_available", say("entry %d: the key version is still available", "第 %d 条:该密钥版本仍可用", t.Index))
	}
	t.behindEpoch()
}

func (t *taken) behindEpoch() {
	e := t.in.epochs[uint64(t.number("epoch_entry"))]
	switch {
	case e == nil:
		t.missing("irrecoverable_epoch", say("entry %d names an entry that closes no key epoch before it", "第 %d 条所指记录并非此前的密钥周期关闭", t.Index))
	case e.key != t.text("key") || e.minAvailable != t.number("min_available") || e.destroyed != t.text("snapshots_destroyed_before"):
		t.find(t.Index, "irrecoverable_epoch", say("entry %d says something else than the closed key epoch that it names", "第 %d 条与所指密钥周期关闭记录不符", t.Index))
	}
}

// of finds what an erasure destroyed of a record; a nil record has nothing.
func (r *record) of(erasure string) *shred {
	if r == nil {
		return nil
	}
	if r.shred != nil && r.shred.erasure == erasure {
		return r.shred
	}
	for _, s := range r.parts {
		if s.erasure == erasure {
			return s
		}
	}
	return nil
}
