# What the reconciler of one institution may do in Vault: ask under which HMAC the
# audit device writes a text down, and nothing else. Its login belongs to the
# audit department (docs/operate/reconciliation.md). Whoever holds it and the audit
# file can find out whether a value that he guesses stands in it; he can open no
# key.
path "sys/audit-hash/file" {
  capabilities = ["update"]
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
