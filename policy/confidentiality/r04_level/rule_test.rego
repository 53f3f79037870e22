package sealtrail.access_test

import data.sealtrail.access

test_r04_level_above_duty if {
	d := access.decision with input as with_facts(asks("handler", "reveal", "handle"), {"cleared": false})
	not d.allow
	d.reason == "level_too_high"
	d.groups.meta == "reveal"
	d.groups.identity == "deny"
}

test_r04_list_shows_metadata_of_every_level if {
	d := access.decision with input as with_facts(asks("handler", "list", "handle"), {"cleared": false})
	d.allow
}

test_r04_missing_fact_refuses if {
	request := asks("handler", "read", "handle")
	d := access.decision with input as object.union(
		object.remove(request, ["facts"]),
		{"facts": object.remove(favourable, ["cleared"])},
	)
	d.groups.identity == "deny"
}
