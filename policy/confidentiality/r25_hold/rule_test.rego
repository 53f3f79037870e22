package sealtrail.access_test

import data.sealtrail.access

test_r25_hold_beats_erasure_and_amendment if {
	held := {"assigned": false, "held": true}
	erased := access.decision with input as with_facts(asks("dpo", "erase_approve", "approve"), held)
	not erased.allow
	erased.reason == "legal_hold"
	amended := access.decision with input as with_facts(asks("handler", "amend", "handle"), {"held": true})
	not amended.allow
	amended.reason == "legal_hold"
}

test_r25_not_known_counts_as_held if {
	facts := object.remove(favourable, ["held"])
	d := access.decision with input as object.union(object.remove(asks("handler", "amend", "handle"), ["facts"]), {"facts": facts})
	not d.allow
}

test_r25_handling_goes_on if {
	d := access.decision with input as object.union(with_facts(asks("handler", "transition", "handle"), {"held": true}), {"step": "handling"})
	d.allow
}

test_r25_legal_places_and_another_releases if {
	placed := access.decision with input as asks("legal", "hold", "legal")
	placed.allow
	{"do": "state_reason", "article": "6.1.25"} in placed.obligations
	own := access.decision with input as asks("legal", "hold_release", "legal")
	own.reason == "own_request"
	other := access.decision with input as with_facts(asks("legal", "hold_release", "legal"), {"assigned": false})
	other.allow
}
