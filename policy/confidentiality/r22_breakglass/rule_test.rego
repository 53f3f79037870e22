package sealtrail.access_test

import data.sealtrail.access

far := {"assigned": false, "unit": false, "cleared": false, "breakglass": true}

test_r22_lifts_need_to_know_and_level if {
	d := access.decision with input as with_facts(asks("handler", "reveal", "breakglass"), far)
	d.allow
	d.reason == "released_breakglass"
	{"do": "alarm", "article": "6.1.22"} in d.obligations
	{"do": "review_within_24h", "article": "6.1.22"} in d.obligations
}

test_r22_under_its_own_purpose_only if {
	d := access.decision with input as with_facts(asks("handler", "reveal", "handle"), far)
	not d.allow
}

test_r22_must_be_open if {
	d := access.decision with input as asks("handler", "reveal", "breakglass")
	not d.allow
	d.reason == "breakglass_not_open"
}

test_r22_never_lifts_recusal_or_fitness if {
	every fact in [{"implicated": true}, {"fit": false}] {
		d := access.decision with input as with_facts(asks("handler", "reveal", "breakglass"), object.union(far, fact))
		not d.allow
	}
}

test_r22_opening_alarms if {
	d := access.decision with input as asks("handler", "breakglass_open", "handle")
	d.allow
	{"do": "alarm", "article": "6.1.22"} in d.obligations
}
