package sealtrail.access

# METADATA
# title: R8 active account and fitness
# description: |
#   An account that is not active, and any other reason that makes a person unfit (known here or not), shows nothing.
# custom:
#   rule: R8
#   article: 6.1.8
#   owner: secadmin
#   reasons: [account_inactive, unfit]
nothing contains "unfit" if not input.facts.fit
