package sealtrail.access

# METADATA
# title: R11 C3 data never
# description: |
#   Card verification numbers, PINs, passwords, one-time codes and track data are refused at intake and shown to nobody. There is no
#   group for them; a matrix that invents one changes nothing.
# custom:
#   rule: R11
#   article: 6.1.11
#   owner: secadmin
#   reasons: [c3_never]
barred[role] contains "c3" if some role, _ in data.matrix
