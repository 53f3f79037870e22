package sealtrail.access_test

import data.sealtrail.access

test_r17_liaison_reads_masked if {
	d := access.decision with input as asks("liaison", "read", "regulator_report")
	d.allow
	{group | some group, effect in d.groups; effect == "mask"} == {"narrative", "decision", "amount"}
}

test_r17_opens_nothing_even_if_the_matrix_says_so if {
	entry := {"see": ["read"], "mask": ["narrative"], "reveal": ["narrative"], "amend": ["narrative"], "do": []}
	row := object.union(data.matrix.liaison, {"purposes": {"regulator_report": entry}})
	every action in ["reveal", "amend"] {
		d := access.decision with input as with_facts(asks("liaison", action, "regulator_report"), {"granted": true})
			with data.matrix as object.union(data.matrix, {"liaison": row})
		not d.allow
		d.reason == "liaison_by_disclosure"
	}
}

test_r17_discloses_what_was_approved if {
	d := access.decision with input as with_facts(asks("liaison", "disclose", "regulator_report"), {"granted": true})
	d.allow
	d.groups.narrative == "reveal"
	d.groups.identity == "deny"
}
