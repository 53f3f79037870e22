package sealtrail.access

# METADATA
# title: R16 the complainant sees his own complaint
# description: |
#   The portal shows a complainant his own complaint, known by the data subject's token: no respondent, no internal notes, no names of
#   staff. He may ask who looked at it, and learns duties and days, never a person.
# custom:
#   rule: R16
#   article: 6.1.16
#   owner: compliance
#   reasons: [portal_own_only]
barred.portal contains group if some group in ["respondent", "handling", "whistle"]

# No grant opens somebody else's complaint to a complainant.
nothing contains "portal_own_only" if {
	input.role == "portal"
	not input.facts.assigned
	data.domain.actions[input.action].record == true
}

# Fields of group meta that name staff or internal handling.
hidden contains field if {
	input.role == "portal"
	some field in ["assignee", "legal_hold", "regulator_ref", "referral", "group_flag"]
}

note contains "portal_own_only" if {
	input.role == "portal"
	input.action in {"read", "reveal"}
}
