package sealtrail.access

# METADATA
# title: R3 need to know
# description: |
#   A record exists only for those whom the matrix lets see it: its handler, its unit, or roles that work across the institution.
#   Opening fields and doing handling steps needs the nearer relation that the matrix calls opens. An access grant stands in for both.
#   Who has no need to know is answered as if the record did not exist.
# custom:
#   rule: R3
#   article: 6.1.3
#   owner: compliance
#   reasons: [no_need_to_know, not_assigned, not_found, released_grant]
nothing contains "no_need_to_know" if {
	reach != "none"
	not need_to_know_lifted
	not near(data.matrix[input.role].sees)
}

masked_only contains "not_assigned" if {
	reach == "opens"
	not need_to_know_lifted
	not near(data.matrix[input.role].opens)
}

reach := data.domain.actions[input.action].reach if input.action != "transition"

reach := data.steps.reach[input.step] if input.action == "transition"

# stands: the relations in which the person stands to the record.
stands contains "institution"

stands contains "assigned" if input.facts.assigned == true

stands contains "unit" if input.facts.unit == true

stands contains input.sensitivity

near(ways) if {
	some way in ways
	way in stands
}

need_to_know_lifted if input.facts.granted == true

need_to_know_lifted if broken_glass
