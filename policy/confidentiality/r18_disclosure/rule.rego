package sealtrail.access

# METADATA
# title: R18 disclosure
# description: |
#   Protected fields leave the institution only as a package sealed to the recipient's key, under a disclosure that names recipient and
#   expiry and that others approved: the head of the owning department and the data protection officer, in this order. For a report of staff
#   crime compliance stands in the head's place. Everything of the institution leaves for its own key only, asked for by legal and approved
#   by compliance and then by the data protection officer: three persons. The approved disclosure reaches the decision like an access grant,
#   for its groups, its record and its time; an access grant is none.
# custom:
#   rule: R18
#   article: 6.1.18
#   owner: dpo
#   reasons: [both_sides_needed, disclosure_not_approved]
leavers := {"legal"}

meta_only contains "disclosure_not_approved" if {
	input.action in {"disclose", "leave"}
	not input.facts.granted
}

approving if input.action in {"disclose_approve", "leave_approve"}

# first_assent: the roles whose assent comes first.
default first_assent := false

first_assent if {
	input.action == "disclose_approve"
	input.role == "head"
}

first_assent if {
	input.action == "disclose_approve"
	input.role == "compliance"
	input.sensitivity == "whistle"
}

first_assent if {
	input.action == "leave_approve"
	input.role == "compliance"
}

# The first assent is given once, and the data protection officer's comes after it.
meta_only contains "both_sides_needed" if {
	approving
	first_assent
	input.facts.seconded == true
}

meta_only contains "both_sides_needed" if {
	approving
	not first_assent
	not input.facts.seconded
}

meta_only contains "both_sides_needed" if {
	approving
	not first_assent
	input.role != "dpo"
}

obligation contains {"do": "second_approval", "article": "6.1.18"} if {
	approving
	first_assent
}

duty[action] contains {"do": "name_recipient", "article": "6.1.18"} if some action in ["disclose_request", "leave_request"]

duty[action] contains {"do": "set_expiry", "article": "6.1.18"} if some action in ["disclose_request", "leave_request"]

duty[action] contains {"do": "state_reason", "article": "6.1.18"} if some action in ["disclose_request", "leave_request"]

duty[action] contains {"do": "seal_to_recipient", "article": "6.1.18"} if some action in ["disclose", "leave"]

duty[action] contains {"do": "watermark", "article": "6.1.18"} if some action in ["disclose", "leave"]
