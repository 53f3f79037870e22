package sealtrail.relations

# METADATA
# title: R6 confidentiality training
# description: |
#   Without valid confidentiality training a person is not fit, and sees nothing.
# custom:
#   rule: R6
#   article: 6.1.6
#   owner: compliance
#   reasons: [training_expired]
unfit contains "training_expired" if "training_expired" in input.subject.unfit
