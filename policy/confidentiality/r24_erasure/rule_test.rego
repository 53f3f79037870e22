package sealtrail.access_test

import data.sealtrail.access

test_r24_records_ask_and_the_dpo_approves if {
	asked := access.decision with input as asks("records", "erase_request", "legal")
	asked.allow
	{"do": "state_basis", "article": "6.1.24"} in asked.obligations
	approved := access.decision with input as with_facts(asks("dpo", "erase_approve", "approve"), {"assigned": false})
	approved.allow
	{"do": "recheck_in_transaction", "article": "6.1.24"} in approved.obligations
	{"do": "issue_receipt", "article": "6.1.24"} in approved.obligations
}

test_r24_retention_wins if {
	d := access.decision with input as with_facts(asks("dpo", "erase_approve", "approve"), {"assigned": false, "retained": true})
	not d.allow
	d.reason == "retention_unexpired"
	d.groups.meta == "reveal"
}

test_r24_not_known_to_have_ended_has_not_ended if {
	request := asks("dpo", "erase_approve", "approve")
	facts := object.union(object.remove(favourable, ["retained"]), {"assigned": false})
	d := access.decision with input as object.union(object.remove(request, ["facts"]), {"facts": facts})
	not d.allow
}

test_r24_requester_never_approves if {
	d := access.decision with input as asks("dpo", "erase_approve", "approve")
	not d.allow
	d.reason == "own_request"
}

test_r24_nobody_else if {
	some role in ["head", "legal", "compliance", "auditor", "sysadmin", "custodian"]
	every action in ["erase_request", "erase_approve"] {
		d := access.decision with input as with_facts(asks(role, action, "approve"), {"assigned": false})
		not d.allow
	}
}
