# What the operator who runs `sealtraild institution add` needs, for the length
# of that command: `vault token create -policy=sealtrail-operator -ttl=15m`.
# It makes keys, policies and roles; it can use none of the keys.

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
path "auth/approle/role/sealtrail-+" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/+/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/+/secret-id" {
  capabilities = ["create", "update"]
}
