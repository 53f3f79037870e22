package sealtrail.access_test

import data.sealtrail.access

test_r05_implicated_sees_nothing if {
	d := access.decision with input as with_facts(asks("head", "reveal", "approve"), {"implicated": true, "granted": true})
	not d.allow
	d.reason == "recused"
	d.groups.meta == "deny"
}

test_r05_unknown_counts_as_implicated if {
	request := asks("handler", "read", "handle")
	d := access.decision with input as object.union(
		object.remove(request, ["facts"]),
		{"facts": object.remove(favourable, ["implicated"])},
	)
	not d.allow
	"recused" in d.reasons
}

test_r05_not_asked_without_a_record if {
	d := access.decision with input as with_facts(asks("intake", "create", "handle"), {"implicated": true})
	d.allow
}
