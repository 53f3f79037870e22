package sealtrail.access

# METADATA
# title: R12 separation of duties
# description: |
#   Administrators and key custodians see no complaint at all, and the service's own upkeep no field. The three administrators exclude one
#   another, and duties that must not meet in one person refuse everything while they do: whoever asks for erasures neither opens content
#   nor approves nor audits. Nobody reviews his own request, appoints himself, or approves his own work.
# custom:
#   rule: R12
#   article: 6.1.12
#   owner: auditadmin
#   reasons: [admin_no_content, duty_conflict, own_request, own_work]
administrators := {"sysadmin", "secadmin", "auditadmin", "custodian"}

# exclusive[one][other]: duties that one person must not hold at once.
exclusive[one] contains other if {
	some one in administrators
	some other, _ in data.matrix
	one != other
}

exclusive.keeper contains other if {
	some other, _ in data.matrix
	other != "keeper"
}

exclusive.auditor contains other if some other in ["intake", "handler", "head", "approver", "compliance", "records", "dpo"]

exclusive.records contains other if some other in ["handler", "head", "approver", "compliance", "legal", "dpo", "liaison"]

exclusive.quality contains other if some other in ["handler", "head", "approver"]

exclusive.handler contains "approver"

nothing contains "duty_conflict" if {
	count(input.roles) > 1
	some one in input.roles
	some other in input.roles
	data.sealtrail.views.conflict[one][other]
}

barred[role] contains group if {
	some role in administrators
	some group in data.sealtrail.views.content
}

barred.keeper contains group if some group in data.sealtrail.views.content

nothing contains "admin_no_content" if {
	input.role in administrators
	not input.action in {"people", "report", "log", "keys"}
}

nothing contains "admin_no_content" if {
	input.role == "keeper"
	input.action != "keep"
}

meta_only contains "own_request" if {
	input.facts.assigned == true
	input.action in {
		"breakglass_review", "disclose_approve", "erase_approve", "grant_review", "hold_release", "investigate_approve", "keys",
		"leave_approve", "people",
	}
}

meta_only contains "own_work" if {
	input.step == "approval"
	input.facts.assigned == true
}
