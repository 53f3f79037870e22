package sealtrail.access

# METADATA
# title: R22 break-glass
# description: |
#   An open break-glass lifts need-to-know (R3) and level (R4) for one record, under the purpose breakglass only. It never lifts recusal,
#   training, undertaking, account, separation of duties or C3. It raises an alarm and is reviewed within 24 hours by somebody else.
# custom:
#   rule: R22
#   article: 6.1.22
#   owner: dpo
#   reasons: [breakglass_not_open, breakglass_unreviewed, released_breakglass]
broken_glass if {
	input.facts.breakglass == true
	input.purpose == "breakglass"
}

meta_only contains "breakglass_not_open" if {
	input.purpose == "breakglass"
	input.action in {"read", "reveal"}
	not input.facts.breakglass
}

duty.breakglass_open contains {"do": "alarm", "article": "6.1.22"}

duty.breakglass_open contains {"do": "review_within_24h", "article": "6.1.22"}

obligation contains {"do": "alarm", "article": "6.1.22"} if broken_glass

obligation contains {"do": "review_within_24h", "article": "6.1.22"} if broken_glass
