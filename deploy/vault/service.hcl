# What the Sealtrail service of one institution may do in Vault, and no more.
# @INSTITUTION@ is replaced by the institution's name (bootstrap.sh, or
# `sealtraild institution add`).
#
# "update" without "create": with create, transit would make a missing key by
# itself on the first encrypt, with a configuration nobody chose.

# Wrap and unwrap data keys, one Vault-derived key per record.
path "transit/encrypt/@INSTITUTION@-record" {
  capabilities = ["update"]
}
path "transit/decrypt/@INSTITUTION@-record" {
  capabilities = ["update"]
}

# Bring wrapped keys to the newest version of the master key. To make that
# version (rotate) is an operator's: the service may follow, never lead.
path "transit/rewrap/@INSTITUTION@-record" {
  capabilities = ["update"]
}

# Blind indexes: the index key never leaves Vault. Epoch 1 has the key
# <inst>-index, epoch n the key <inst>-index.<n>. The names of institutions hold
# no dot, so "<inst>-index." begins no other institution's key.
path "transit/hmac/@INSTITUTION@-index" {
  capabilities = ["update"]
}
path "transit/hmac/@INSTITUTION@-index/sha2-256" {
  capabilities = ["update"]
}
path "transit/hmac/@INSTITUTION@-index.*" {
  capabilities = ["update"]
}

# Sign checkpoints of the log.
path "transit/sign/@INSTITUTION@-log" {
  capabilities = ["update"]
}

# Read the keys' configuration, so that a change of it is noticed. A key's
# material is not part of the answer.
path "transit/keys/@INSTITUTION@-record" {
  capabilities = ["read"]
}
path "transit/keys/@INSTITUTION@-index" {
  capabilities = ["read"]
}
path "transit/keys/@INSTITUTION@-index.*" {
  capabilities = ["read"]
}
path "transit/keys/@INSTITUTION@-log" {
  capabilities = ["read"]
}

# Notice that the audit device is gone or another one. The list of devices is
# closed to the service; it may ask for the hash of this one word, which tells
# whether the device is there. Another text is refused: its hash would let
# whoever has this token look up values in Vault's audit file.
path "sys/audit-hash/file" {
  capabilities       = ["update"]
  allowed_parameters = {
    "input" = ["sealtrail"]
  }
}

# Its own token: look at it, renew it, hand it back.
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/renew-self" {
  capabilities = ["update"]
}
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
