# A starting point for a production Vault: three servers with raft storage, TLS
# and a file audit device on a disk of its own. The demo's configuration is
# made by internal/vaultserver and differs in what is marked.

storage "raft" {
  path    = "/var/lib/vault"
  node_id = "vault-1"
  # 1 = the speed that HashiCorp recommends for production; the default of 5
  # makes leader elections slow.
  performance_multiplier = 1
  retry_join {
    leader_api_addr = "https://vault-2.example.internal:8200"
  }
  retry_join {
    leader_api_addr = "https://vault-3.example.internal:8200"
  }
}

listener "tcp" {
  address         = "0.0.0.0:8200" # the demo: 127.0.0.1
  tls_cert_file   = "/etc/vault/tls/cert.pem"
  tls_key_file    = "/etc/vault/tls/key.pem"
  tls_min_version = "tls13"
}

api_addr     = "https://vault-1.example.internal:8200"
cluster_addr = "https://vault-1.example.internal:8201"

# Keep swap off or encrypted: with raft storage memory cannot be locked.
disable_mlock = true

# sys/raw reads storage below the barrier: never.
raw_storage_endpoint = false
ui                   = false
