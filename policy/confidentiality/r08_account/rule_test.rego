package sealtrail.access_test

import data.sealtrail.access

test_r08_unfit_sees_nothing if {
	d := access.decision with input as with_facts(asks("handler", "reveal", "handle"), {"fit": false})
	not d.allow
	d.reason == "unfit"
	d.groups.meta == "deny"
}

test_r08_missing_fact_is_unfit if {
	d := access.decision with input as object.remove(asks("intake", "create", "handle"), ["facts"])
	not d.allow
}
