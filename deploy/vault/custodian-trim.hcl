# What closing an epoch needs (`sealtraild key close`), once, for two calls:
#   vault token create -orphan -no-default-policy -policy=sealtrail-@INSTITUTION@.trim -use-limit=2 -ttl=15m
# The token is made after both custodians acted and the delay has passed
# (docs/operate/keys.md). It gives up old versions of the record key for ever.
#
# allowed_parameters: with config alone, the holder could make the key
# exportable instead.

path "transit/keys/@INSTITUTION@-record/config" {
  capabilities       = ["update"]
  allowed_parameters = {
    "min_decryption_version" = []
    "min_encryption_version" = []
  }
}
path "transit/keys/@INSTITUTION@-record/trim" {
  capabilities = ["update"]
}
