package sealtrail.access

# METADATA
# title: R10 opening in clear is a separate act
# description: |
#   Only the action reveal shows protected fields in clear and only amend writes them; disclose and leave put them into a package for a
#   recipient (R18); reading shows masks. A reveal states its reason and
#   spends the person's hourly budget; a search spends it too, since a search can guess. A spent budget makes the person unfit until the hour
#   is over.
# custom:
#   rule: R10
#   article: 6.1.10
#   owner: compliance
#   reasons: [budget_spent]
opening_actions := {"reveal", "amend", "disclose", "leave"}

duty.reveal contains {"do": "state_reason", "article": "6.1.10"}

duty.breakglass_open contains {"do": "state_reason", "article": "6.1.10"}

duty.grant_request contains {"do": "state_reason", "article": "6.1.10"}

duty.reveal contains {"do": "spend_budget", "article": "6.1.10"}

duty.search contains {"do": "spend_budget", "article": "6.1.10"}
