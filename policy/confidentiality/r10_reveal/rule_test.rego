package sealtrail.access_test

import data.sealtrail.access

test_r10_read_never_reveals if {
	d := access.decision with input as asks("handler", "read", "handle")
	{group | some group, effect in d.groups; effect == "reveal"} == {"meta"}
}

test_r10_reveal_states_a_reason_and_spends if {
	d := access.decision with input as asks("handler", "reveal", "handle")
	{o.do | some o in d.obligations} == {"record_before_release", "release_listed_fields_only", "spend_budget", "state_reason"}
}

test_r10_search_spends if {
	d := access.decision with input as asks("handler", "search", "handle")
	d.allow
	{"do": "spend_budget", "article": "6.1.10"} in d.obligations
}
