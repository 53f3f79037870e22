package sealtrail.access

# METADATA
# title: R1 default deny
# description: |
#   Nothing is allowed but what the matrix lists: an unknown role, an action that the role does not have for this purpose, a class of
#   transitions that is not the role's. A refusal always names its reason.
# custom:
#   rule: R1
#   article: 6.1.1
#   owner: secadmin
#   reasons: [action_not_for_role, no_role, not_evaluated, step_not_for_role]
nothing contains [role, "no_role"] if {
	some role in input.roles
	not data.matrix[role]
}

meta_only contains [role, "action_not_for_role"] if {
	some role in input.roles
	verbs := data.sealtrail.views.verb[role][input.purpose]
	not verbs[input.action]
}

meta_only contains [role, "step_not_for_role"] if {
	input.action == "transition"
	some role in input.roles
	not input.step in data.matrix[role].steps
}
