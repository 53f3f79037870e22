# What the operator who runs `sealtraild institution add` needs, for the length
# of that command: `vault token create -policy=sealtrail-operator -ttl=15m`.
# This token uses no key itself. But whoever may write policies and roles can
# give himself what he likes with two more calls: hence the 15 minutes, and hence
# every call of it stands in Vault's audit file, which is read by somebody else.

path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/mounts/transit" {
  capabilities = ["create", "read", "update"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/auth/approle" {
  capabilities = ["create", "read", "update", "sudo"]
}
path "transit/keys/+" {
  capabilities = ["create", "read", "update"]
}
path "sys/policies/acl/sealtrail-*" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/sealtrail-*" {
  capabilities = ["create", "read", "update"]
}
