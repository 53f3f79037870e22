package sealtrail.access

# METADATA
# title: R17 the regulator liaison
# description: |
#   The liaison reads named cases masked and opens nothing himself: what the supervisor gets in clear leaves as an approved disclosure (R18).
# custom:
#   rule: R17
#   article: 6.1.17
#   owner: compliance
#   reasons: [liaison_by_disclosure]
masked_only contains "liaison_by_disclosure" if {
	input.role == "liaison"
	input.action in {"reveal", "amend"}
}
