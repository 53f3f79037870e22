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

test_r16_asks_who_looked_at_his_own if {
	own := access.decision with input as asks("portal", "looked", "subject_request")
	own.allow
	{group | some group, effect in own.groups; effect != "deny"} == {"meta"}
	other := access.decision with input as with_facts(asks("portal", "looked", "subject_request"), {"assigned": false})
	not other.allow
	other.groups.meta == "deny"
	trail := access.decision with input as asks("portal", "trail", "subject_request")
	not trail.allow
}

test_r16_who_looked_is_for_the_complainant_and_the_dpo if {
	may := {[role, purpose] |
		some role, row in data.matrix
		some purpose, _ in row.purposes
		d := access.decision with input as asks(role, "looked", purpose)
		d.allow
	}
	may == {["portal", "subject_request"], ["dpo", "subject_request"]}
}
