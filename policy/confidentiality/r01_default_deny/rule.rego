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
nothing contains "no_role" if not data.matrix[input.role]

meta_only contains "action_not_for_role" if {
	verbs := data.sealtrail.views.verb[input.role][input.purpose]
	not verbs[input.action]
}

meta_only contains "step_not_for_role" if {
	input.action == "transition"
	not input.step in data.matrix[input.role].steps
}
