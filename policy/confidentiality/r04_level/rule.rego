package sealtrail.access

# METADATA
# title: R4 level of the complaint
# description: |
#   Content of a complaint is for persons whose duty reaches its level; an unclassified complaint counts as the highest (major).
# custom:
#   rule: R4
#   article: 6.1.4
#   owner: compliance
#   reasons: [level_too_high]
meta_only contains "level_too_high" if {
	data.matrix[input.role].leveled == true
	not input.facts.cleared
	"cleared" in data.domain.actions[input.action].facts
	not broken_glass
}
