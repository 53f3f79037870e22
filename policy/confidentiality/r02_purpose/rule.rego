package sealtrail.access

# METADATA
# title: R2 purpose is required and bound to the role
# description: |
#   Every access names a purpose of the closed list, and the purpose must be one of the role's.
# custom:
#   rule: R2
#   article: 6.1.2
#   owner: compliance
#   reasons: [purpose_not_for_role, purpose_required, purpose_unknown]
nothing contains "purpose_not_for_role" if not data.matrix[input.role].purposes[input.purpose]
