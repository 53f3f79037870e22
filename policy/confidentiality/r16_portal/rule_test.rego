package sealtrail.access_test

import data.sealtrail.access

test_r16_own_complaint if {
	d := access.decision with input as asks("portal", "reveal", "subject_request")
	d.allow
	d.groups.narrative == "reveal"
	d.groups.respondent == "deny"
	d.groups.handling == "deny"
	"assignee" in d.hidden
}

test_r16_somebody_elses if {
	facts := {"assigned": false, "granted": true}
	d := access.decision with input as with_facts(asks("portal", "read", "subject_request"), facts)
	not d.allow
	d.groups.meta == "deny"
}

test_r16_barred_whatever_the_matrix_says if {
	access.barred.portal == {"respondent", "handling", "whistle", "c3"}
}
