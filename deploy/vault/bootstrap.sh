#!/usr/bin/env bash
# Makes Vault ready for one institution with nothing but the vault program:
#   VAULT_ADDR=... VAULT_TOKEN=... deploy/vault/bootstrap.sh bank-a
# The same as `sealtraild institution add bank-a`; running it again changes
# nothing but hands out a new secret id. It prints role_id and secret_id.
set -euo pipefail

inst="${1:?usage: bootstrap.sh <institution>}"
if ! [[ "$inst" =~ ^[a-z][a-z0-9]*(-[a-z0-9]+)*$ && ${#inst} -le 40 ]]; then
  echo "bootstrap.sh: an institution's name is lower-case letters, digits and single hyphens" >&2
  exit 2
fi
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
vault="${VAULT_PROGRAM:-vault}"

# Answers are read whole before they are searched: `grep -q` in a pipe ends
# early, and the broken pipe would look like "not there".
engines="$("$vault" secrets list -format=json)"
[[ "$engines" == *'"transit/"'* ]] || "$vault" secrets enable transit >&2
logins="$("$vault" auth list -format=json)"
[[ "$logins" == *'"approle/"'* ]] || "$vault" auth enable approle >&2

"$vault" write -force "transit/keys/$inst-record" type=aes256-gcm96 derived=true exportable=false allow_plaintext_backup=false >&2
"$vault" write -force "transit/keys/$inst-index" type=hmac key_size=32 exportable=false allow_plaintext_backup=false >&2
"$vault" write -force "transit/keys/$inst-log" type=ed25519 exportable=false allow_plaintext_backup=false >&2

sed "s/@INSTITUTION@/$inst/g" "$here/service.hcl" | "$vault" policy write "sealtrail-$inst" - >&2
sed "s/@INSTITUTION@/$inst/g" "$here/custodian-rotate.hcl" | "$vault" policy write "sealtrail-$inst.rotate" - >&2
sed "s/@INSTITUTION@/$inst/g" "$here/custodian-trim.hcl" | "$vault" policy write "sealtrail-$inst.trim" - >&2
"$vault" policy write "sealtrail-$inst.reconcile" "$here/reconciler.hcl" >&2
"$vault" policy write sealtrail-standing-deny "$here/standing-deny.hcl" >&2

for role in "sealtrail-$inst" "sealtrail-$inst.reconcile"; do
  "$vault" write "auth/approle/role/$role" \
    token_policies="$role,sealtrail-standing-deny" token_no_default_policy=true \
    token_ttl=15m token_max_ttl=24h token_type=service bind_secret_id=true >&2
done

echo "role_id=$("$vault" read -field=role_id "auth/approle/role/sealtrail-$inst/role-id")"
echo "secret_id=$("$vault" write -force -field=secret_id "auth/approle/role/sealtrail-$inst/secret-id")"
# The audit department's own, for `sealtraild reconcile`.
echo "reconciler_role_id=$("$vault" read -field=role_id "auth/approle/role/sealtrail-$inst.reconcile/role-id")"
echo "reconciler_secret_id=$("$vault" write -force -field=secret_id "auth/approle/role/sealtrail-$inst.reconcile/secret-id")"
