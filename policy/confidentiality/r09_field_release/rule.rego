package sealtrail.access

# METADATA
# title: R9 release by field
# description: |
#   A decision releases named groups of fields, never the record. Some groups and records are withheld whatever the matrix says:
#   reports of staff crime are for compliance, legally privileged handling is for legal, an application sees metadata only. A restricted
#   record (封存) is neither listed nor found nor shown, but for legal matters, audit and the regulator; an archived one is not written. Only
#   the records officer's own steps (archive, restrict, lift the restriction) go on. Holding, releasing and erasing concern every record
#   alike and show no content, so a report of staff crime is no exception there.
# custom:
#   rule: R9
#   article: 6.1.9
#   owner: compliance
#   reasons: [field_not_released, privileged_withheld, released, stage_archived, stage_restricted, whistle_compliance_only]
barred.application contains group if some group in data.sealtrail.views.content

barred[role] contains "whistle" if {
	some role, _ in data.matrix
	role != "compliance"
}

# withheld: what a sensitivity takes from a role, beyond barred.
withheld.privileged[role] contains group if {
	some role, _ in data.matrix
	role != "legal"
	some group in ["handling", "whistle"]
}

note contains "privileged_withheld" if {
	input.sensitivity == "privileged"
	input.role != "legal"
}

nothing contains "whistle_compliance_only" if {
	input.sensitivity == "whistle"
	not input.role in {"compliance", "portal", "auditor", "dpo"}
	not keeping_act
}

# keeping_act: what is done to a record as a whole, by roles that learn nothing of its content from it.
keeping_act if input.action in {"keep", "hold", "hold_release", "erase_request", "leave"}

keeping_act if input.step == "records"

meta_only contains "whistle_compliance_only" if {
	input.sensitivity == "whistle"
	input.role in {"auditor", "dpo"}
	input.action in {"read", "reveal", "amend", "transition"}
}

# A search hit is decided as a read and a row of a list as list, so what is not read is not found either.
nothing contains "stage_restricted" if {
	input.stage == "restricted"
	input.action in {"read", "list", "reveal", "amend", "transition", "disclose"}
	not input.purpose in {"legal", "audit", "regulator_report"}
	input.step != "records"
	not still_known
}

# Whoever approves the erasure, and the complainant, still learn that a restricted record is there. Neither searches for these purposes.
still_known if {
	input.role == "dpo"
	input.purpose == "approve"
	input.action in {"read", "reveal"}
}

still_known if {
	input.role == "portal"
	input.action in {"read", "reveal"}
}

meta_only contains "stage_restricted" if {
	input.stage == "restricted"
	still_known
}

meta_only contains "stage_restricted" if {
	input.stage == "restricted"
	input.action in {"amend", "transition"}
	input.step != "records"
}

masked_only contains "stage_archived" if {
	input.stage == "archived"
	input.action in {"amend", "transition"}
	input.step != "records"
}

duty.read contains {"do": "release_listed_fields_only", "article": "6.1.9"}

duty.reveal contains {"do": "release_listed_fields_only", "article": "6.1.9"}

duty.disclose contains {"do": "release_listed_fields_only", "article": "6.1.9"}
