package sealtrail.access

# METADATA
# title: R9 release by field
# description: |
#   A decision releases named groups of fields, never the record. Some groups and records are withheld whatever the matrix says:
#   reports of staff crime are for compliance, legally privileged handling is for legal, an application sees metadata only, a restricted
#   record is opened for legal, audit and regulator only, an archived one is not written.
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
}

meta_only contains "whistle_compliance_only" if {
	input.sensitivity == "whistle"
	input.role in {"auditor", "dpo"}
	input.action in {"read", "reveal", "amend", "transition"}
}

masked_only contains "stage_restricted" if {
	input.stage == "restricted"
	input.action == "reveal"
	not input.purpose in {"legal", "audit", "regulator_report"}
}

masked_only contains "stage_restricted" if {
	input.stage == "restricted"
	input.action in {"amend", "transition"}
}

masked_only contains "stage_archived" if {
	input.stage == "archived"
	input.action in {"amend", "transition"}
}

duty.read contains {"do": "release_listed_fields_only", "article": "6.1.9"}

duty.reveal contains {"do": "release_listed_fields_only", "article": "6.1.9"}
