package sealtrail.access_test

import data.sealtrail.access

test_r18_needs_an_approved_disclosure if {
	every ask in [asks("head", "disclose", "approve"), asks("legal", "disclose", "legal"), asks("legal", "leave", "legal")] {
		d := access.decision with input as ask
		not d.allow
		d.reason == "disclosure_not_approved"
		d.groups.narrative == "deny"
		approved := access.decision with input as with_facts(ask, {"granted": true})
		approved.allow
		approved.groups.narrative == "reveal"
		{"do": "seal_to_recipient", "article": "6.1.18"} in approved.obligations
		{"do": "watermark", "article": "6.1.18"} in approved.obligations
	}
}

test_r18_request_names_recipient_and_expiry if {
	every ask in [asks("head", "disclose_request", "approve"), asks("legal", "leave_request", "legal")] {
		d := access.decision with input as ask
		d.allow
		{"do": "name_recipient", "article": "6.1.18"} in d.obligations
		{"do": "set_expiry", "article": "6.1.18"} in d.obligations
		{"do": "state_reason", "article": "6.1.18"} in d.obligations
	}
}

# approves: what comes of an approval by somebody who did not ask.
approves(role, action, facts) := d if {
	d := access.decision with input as with_facts(asks(role, action, "approve"), object.union({"assigned": false}, facts))
}

test_r18_the_head_first_and_the_dpo_after if {
	every pair in [["head", "disclose_approve"], ["compliance", "leave_approve"]] {
		first := approves(pair[0], pair[1], {"seconded": false})
		first.allow
		{"do": "second_approval", "article": "6.1.18"} in first.obligations
		again := approves(pair[0], pair[1], {"seconded": true})
		not again.allow
		again.reason == "both_sides_needed"
		early := approves("dpo", pair[1], {"seconded": false})
		not early.allow
		early.reason == "both_sides_needed"
		last := approves("dpo", pair[1], {"seconded": true})
		last.allow
		not {"do": "second_approval", "article": "6.1.18"} in last.obligations
	}
}

test_r18_missing_fact_is_no_assent if {
	request := asks("dpo", "disclose_approve", "approve")
	facts := object.union(object.remove(favourable, ["seconded"]), {"assigned": false})
	d := access.decision with input as object.union(object.remove(request, ["facts"]), {"facts": facts})
	not d.allow
}

test_r18_compliance_in_the_heads_place_for_staff_crime if {
	request := with_facts(asks("compliance", "disclose_approve", "approve"), {"assigned": false})
	ordinary := access.decision with input as request
	not ordinary.allow
	seconded := access.decision with input as with_facts(request, {"assigned": false, "seconded": true})
	not seconded.allow
	whistle := access.decision with input as object.union(request, {"sensitivity": "whistle"})
	whistle.allow
}

test_r18_requester_never_approves if {
	d := access.decision with input as with_facts(asks("dpo", "disclose_approve", "approve"), {"assigned": true, "seconded": true})
	not d.allow
	d.reason == "own_request"
}

test_r18_leaving_takes_everything_along if {
	every sensitivity in data.domain.sensitivities {
		request := with_facts(asks("legal", "leave", "legal"), {"granted": true})
		d := access.decision with input as object.union(request, {"sensitivity": sensitivity})
		d.allow
		{group | some group, effect in d.groups; effect != "reveal"} == set()
	}
}

test_r18_leaving_is_for_legal_whatever_the_matrix_says if {
	entry := object.union(data.matrix.head.purposes.approve, {"leave": ["identity", "whistle"]})
	row := object.union(data.matrix.head, {"purposes": {"approve": entry}})
	d := access.decision with input as with_facts(asks("head", "leave", "approve"), {"granted": true})
		with data.matrix as object.union(data.matrix, {"head": row})
	d.groups.whistle == "deny"
}
