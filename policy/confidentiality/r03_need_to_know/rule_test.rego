package sealtrail.access_test

import data.sealtrail.access

test_r03_stranger_sees_nothing if {
	d := access.decision with input as with_facts(asks("handler", "read", "handle"), {"assigned": false, "unit": false})
	not d.allow
	d.reason == "no_need_to_know"
	d.groups.meta == "deny"
}

test_r03_unit_sees_masked_only if {
	unit := {"assigned": false, "unit": true}
	read := access.decision with input as with_facts(asks("handler", "read", "handle"), unit)
	read.allow
	reveal := access.decision with input as with_facts(asks("handler", "reveal", "handle"), unit)
	not reveal.allow
	reveal.reason == "not_assigned"
	reveal.groups.identity == "mask"
}

test_r03_unit_takes_but_does_not_handle if {
	unit := {"assigned": false, "unit": true}
	request := with_facts(asks("handler", "transition", "handle"), unit)
	taken := access.decision with input as object.union(request, {"step": "receive"})
	taken.allow
	handled := access.decision with input as object.union(request, {"step": "handling"})
	not handled.allow
}

test_r03_sensitivity_as_a_relation if {
	far := {"assigned": false, "unit": false}
	d := access.decision with input as object.union(with_facts(asks("compliance", "reveal", "handle"), far), {"sensitivity": "whistle"})
	d.allow
	d.groups.whistle == "reveal"
}

test_r03_review_needs_the_unit if {
	d := access.decision with input as with_facts(asks("head", "grant_review", "approve"), {"assigned": false, "unit": false})
	not d.allow
}
