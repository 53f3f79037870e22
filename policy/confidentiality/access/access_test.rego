# Helpers and tests of the decision as a whole.
package sealtrail.access_test

import data.sealtrail.access

# favourable: every fact in the subject's favour.
favourable := {
	"fit": true,
	"implicated": false,
	"assigned": true,
	"unit": true,
	"cleared": true,
	"granted": false,
	"breakglass": false,
	"held": false,
	"retained": false,
	"seconded": false,
}

# asks is a request of one role; what is not said is ordinary.
asks(role, action, purpose) := {
	"role": role,
	"roles": [role],
	"action": action,
	"purpose": purpose,
	"stage": "open",
	"sensitivity": "ordinary",
	"step": "none",
	"facts": favourable,
}

with_facts(request, facts) := object.union(request, {"facts": facts})

test_handler_reads_masked if {
	d := access.decision with input as asks("handler", "read", "handle")
	d.allow
	d.reason == "released"
	d.groups.meta == "reveal"
	d.groups.identity == "mask"
	d.groups.whistle == "deny"
}

test_handler_reveals_own_work if {
	d := access.decision with input as asks("handler", "reveal", "handle")
	d.allow
	d.groups.identity == "reveal"
	d.groups.respondent == "mask"
}

test_released_under_a_grant if {
	d := access.decision with input as with_facts(asks("handler", "reveal", "handle"), {"assigned": false, "granted": true})
	d.allow
	d.reason == "released_grant"
}

test_nothing_in_particular_missing if {
	d := access.decision with input as asks("head", "reveal", "handle")
	not d.allow
	d.reason == "action_not_for_role"
}

test_field_not_released_when_a_ceiling_took_all if {
	entry := {"mask": ["identity"], "reveal": ["identity"]}
	row := object.union(data.matrix.application, {"purposes": {"handle": entry}})
	d := access.decision with input as with_facts(asks("application", "reveal", "handle"), {"granted": true})
		with data.matrix as object.union(data.matrix, {"application": row})
	not d.allow
	d.reason == "field_not_released"
}

test_second_role_adds if {
	both := object.union(asks("intake", "read", "handle"), {"roles": ["intake", "handler"]})
	d := access.joined with input as both
	d.allow
	d.groups.handling == "mask"
	d.groups.whistle == "deny"
	d.rules == {"R9"}
	d.articles == {"6.1.9"}
}

test_join_takes_the_widest if {
	request := object.union(
		with_facts(asks("legal", "reveal", "legal"), {"assigned": false}),
		{"roles": ["legal", "intake"]},
	)
	d := access.joined with input as request
	not d.allow
	d.groups.identity == "mask"
	e := access.joined with input as object.union(request, {"sensitivity": "privileged"})
	e.allow
	e.groups.identity == "reveal"
}
