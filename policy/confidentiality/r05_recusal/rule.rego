package sealtrail.access

# METADATA
# title: R5 recusal
# description: |
#   Whoever a complaint is about, and whoever handled it before when it is under review, neither sees nor acts on it. Not knowing whether
#   somebody is implicated counts as implicated. The refusal looks like an unknown record: it must not tip off.
# custom:
#   rule: R5
#   article: 6.1.5
#   owner: compliance
#   reasons: [recused]
nothing contains "recused" if {
	not input.facts.implicated == false
	"implicated" in data.domain.actions[input.action].facts
}
