package erasures

// hold follows legal holds: one person may place one, two release it.
func (t *taken) hold() {
	if !t.event() {
		return
	}
	id, open := t.text("hold"), t.record().holds
	switch string(t.Kind()) {
	case "hold.placed":
		t.res.counts.Holds++
		open[id] = &hold{}
	case "hold.release_asked":
		if open[id] == nil {
			t.missing("hold_unknown", say("entry %d asks for the release of a hold that nobody placed", "第 %d 条申请解除的保全未曾设置", t.Index))
			return
		}
		open[id].asked = t.actor()
	case "hold.released":
		t.res.counts.Releases++
		t.released(id, open[id])
		delete(open, id)
	}
}

func (t *taken) released(id string, h *hold) {
	switch {
	case h == nil:
		t.missing("hold_unknown", say("entry %d releases a hold that nobody placed", "第 %d 条解除的保全未曾设置", t.Index))
	case h.asked == actor{}:
		t.missing("hold_released_alone", say("entry %d releases a hold whose release nobody asked for", "第 %d 条解除保全,但无人申请", t.Index))
	case h.asked.same(t.actor()):
		t.find(t.Index, "hold_same_person", say("entry %d: who asked for the release of the hold released it", "第 %d 条:申请解除保全与解除保全为同一人", t.Index))
	}
}
