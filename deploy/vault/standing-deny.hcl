# Attached to every standing token role. Deny wins over whatever another policy
# grants, so a policy added later by mistake does not open these paths.
#
# exportable=false is not for ever: one call to a key's config path sets it,
# and the next one exports the key. Hence config, export and backup are closed
# to everybody who is there every day. Two custodians with a one-use policy
# open them where the procedure says so (docs/operate/custody.md).
#
# sys/generate-root is not here because no policy reaches it: Vault asks for
# unseal shares there, not for a token. Who holds the shares is the guard.

path "transit/keys/+/config" {
  capabilities = ["deny"]
}
path "transit/keys/+/trim" {
  capabilities = ["deny"]
}
path "transit/keys/+/soft-delete" {
  capabilities = ["deny"]
}
path "transit/export/*" {
  capabilities = ["deny"]
}
path "transit/byok-export/*" {
  capabilities = ["deny"]
}
path "transit/backup/*" {
  capabilities = ["deny"]
}
path "transit/restore" {
  capabilities = ["deny"]
}
path "transit/restore/*" {
  capabilities = ["deny"]
}
path "sys/raw" {
  capabilities = ["deny"]
}
path "sys/raw/*" {
  capabilities = ["deny"]
}
path "sys/storage/raft/snapshot" {
  capabilities = ["deny"]
}
path "sys/storage/raft/snapshot-force" {
  capabilities = ["deny"]
}
path "sys/audit" {
  capabilities = ["deny"]
}
path "sys/audit/*" {
  capabilities = ["deny"]
}
path "sys/audit-hash/*" {
  capabilities = ["deny"]
}
