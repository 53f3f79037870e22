package sealtrail.access

# METADATA
# title: R12 separation of duties
# description: |
#   Administrators and key custodians see no complaint at all. The three administrators exclude one another, and duties that must not
#   meet in one person refuse everything while they do. Nobody reviews his own request, appoints himself, or approves his own work.
# custom:
#   rule: R12
#   article: 6.1.12
#   owner: auditadmin
#   reasons: [admin_no_content, duty_conflict, own_request, own_work]
administrators := {"sysadmin", "secadmin", "auditadmin", "custodian"}

# Pairs of duties that one person must not hold at once.
conflicts contains {one, other} if {
	some one in administrators
	some other, _ in data.matrix
	one != other
}

conflicts contains {"auditor", other} if {
	some other in ["intake", "handler", "head", "approver", "compliance", "records"]
}

conflicts contains {"quality", other} if some other in ["handler", "head", "approver"]

conflicts contains {"handler", "approver"}

nothing contains [role, "duty_conflict"] if {
	count(input.roles) > 1
	some one in input.roles
	some other in input.roles
	one != other
	{one, other} in conflicts
	some role in input.roles
}

barred[role] contains group if {
	some role in administrators
	some group in data.sealtrail.views.content
}

nothing contains [role, "admin_no_content"] if {
	data.domain.actions[input.action].record == true
	some role in input.roles
	role in administrators
}

nothing contains [role, "admin_no_content"] if {
	input.action in {"create", "search"}
	some role in input.roles
	role in administrators
}

meta_only contains [role, "own_request"] if {
	input.action in {"grant_review", "breakglass_review", "people"}
	input.facts.assigned == true
	some role in input.roles
}

meta_only contains [role, "own_work"] if {
	input.action == "transition"
	input.step == "approval"
	input.facts.assigned == true
	some role in input.roles
}
