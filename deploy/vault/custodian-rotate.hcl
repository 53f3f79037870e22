# What a custodian needs for `sealtraild key rotate`, once:
#   vault token create -orphan -no-default-policy -policy=sealtrail-@INSTITUTION@.rotate -use-limit=1 -ttl=15m
# A new version makes nothing unreadable and reads nothing.

path "transit/keys/@INSTITUTION@-record/rotate" {
  capabilities = ["update"]
}
