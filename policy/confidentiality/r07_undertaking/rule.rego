package sealtrail.relations

# METADATA
# title: R7 signed undertaking
# description: |
#   Without a signed undertaking of the current version a person is not fit, and sees nothing.
# custom:
#   rule: R7
#   article: 6.1.7
#   owner: compliance
#   reasons: [undertaking_missing]
unfit contains "undertaking_missing" if "undertaking_missing" in input.subject.unfit
