package sealtrail.access

# METADATA
# title: R14 the quality reviewer sees the redacted narrative
# description: |
#   A quality reviewer sees metadata and the redacted narrative, never identity, contact or account, not even with a grant or
#   break-glass. The way on is to ask the handler for redacted material; asking for access is no way on.
# custom:
#   rule: R14
#   article: 6.1.14
#   owner: compliance
#   reasons: [quality_redacted_only]
barred.quality contains group if {
	some group in data.sealtrail.views.content
	group != "narrative"
}

sealed.quality contains "narrative"

note contains "quality_redacted_only" if {
	input.role == "quality"
	input.purpose == "quality"
	input.action in {"read", "reveal", "amend", "search"}
}
