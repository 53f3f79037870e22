package sealtrail.access_test

import data.sealtrail.access

test_r14_redacted_narrative_only if {
	d := access.decision with input as asks("quality", "read", "quality")
	{group | some group, effect in d.groups; effect == "mask"} == {"narrative"}
}

test_r14_absolute if {
	everything := {"granted": true, "breakglass": true}
	d := access.decision with input as with_facts(asks("quality", "reveal", "quality"), everything)
	not d.allow
	d.reason == "quality_redacted_only"
	d.groups.identity == "deny"
	data.reasons[d.reason].next == "ask_handler_for_redacted"
}

test_r14_stands_above_the_matrix if {
	entry := {"mask": ["identity", "narrative"], "reveal": ["identity", "narrative"]}
	row := object.union(data.matrix.quality, {"purposes": {"quality": entry}})
	d := access.decision with input as with_facts(asks("quality", "reveal", "quality"), {"granted": true})
		with data.matrix as object.union(data.matrix, {"quality": row})
	not d.allow
	d.groups.identity == "deny"
	d.groups.narrative == "mask"
}
