package sealtrail.access

# METADATA
# title: R26 recorded before released
# description: |
#   Every decision, allow or deny, is recorded before anything leaves. Where the trail cannot be written, nothing is shown.
# custom:
#   rule: R26
#   article: 6.1.26
#   owner: auditadmin
#   reasons: [not_recorded]
duty[action] contains {"do": "record_before_release", "article": "6.1.26"} if some action, _ in data.domain.actions
