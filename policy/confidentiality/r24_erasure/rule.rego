package sealtrail.access

# METADATA
# title: R24 erasure
# description: |
#   The records officer asks for an erasure and the data protection officer approves it, never the same person. What statutory retention
#   still covers is not erased, whatever the basis of the request: it is restricted meanwhile. Retention that is not known to have ended has
#   not ended. The door checks retention and holds again inside the transaction that destroys the key.
# custom:
#   rule: R24
#   article: 6.1.24
#   owner: dpo
#   reasons: [retention_unexpired]
meta_only contains "retention_unexpired" if {
	input.action == "erase_approve"
	not input.facts.retained == false
}

duty.erase_request contains {"do": "state_basis", "article": "6.1.24"}

duty.erase_approve contains {"do": "recheck_in_transaction", "article": "6.1.24"}

duty.erase_approve contains {"do": "issue_receipt", "article": "6.1.24"}
