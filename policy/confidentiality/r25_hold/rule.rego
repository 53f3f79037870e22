package sealtrail.access

# METADATA
# title: R25 legal hold
# description: |
#   While a legal hold is open what the record holds is neither erased nor overwritten, for any role or purpose; break-glass does not lift
#   it. Handling goes on, and fields may be added: time limits do not pause for a hold. Legal places a hold, and a second legal officer
#   releases it.
# custom:
#   rule: R25
#   article: 6.1.25
#   owner: legal
#   reasons: [legal_hold]
meta_only contains "legal_hold" if {
	input.action in {"amend", "erase_approve"}
	not input.facts.held == false
}

duty.hold contains {"do": "state_reason", "article": "6.1.25"}
