// Package transit keeps master keys in HashiCorp Vault or OpenBao: it wraps and
// unwraps data keys, computes blind indexes and signs checkpoints there, by the
// transit engine.
//
// The one idea: the master key never comes here. What crosses the wire is one
// list per call, each item with its own context and result, each call with an
// id that stands in Vault's audit log, and each failure with a type: away,
// sealed, denied. An answer's body never becomes part of an error.
//
// Per institution three keys, made by an operator (deploy/vault):
//
//	<institution>-record   aes256-gcm96, derived   wraps data keys
//	<institution>-index    hmac                    blind indexes (epoch n > 1: <institution>-index.<n>)
//	<institution>-log      ed25519                 checkpoints
//
// Use:
//
//	client, err := transit.NewClient(transit.ClientConfig{Address: "https://vault:8200", CACert: "ca.pem"})
//	login, err := transit.NewLogin(transit.LoginConfig{Client: client, RoleID: role, SecretID: transit.StaticSecret(secret)})
//	err = login.Now(ctx)
//	go login.Run(ctx) // renews, and logs in again when that fails
//	vault, err := transit.New(transit.Config{Client: client, Institution: "acme", Login: login})
//	ring, err := keyring.New(keyring.Config{Wrapper: vault})
//
// An answer is believed only as far as it fits the question: one result per item,
// each with the item's own reference, each wrapped key with the version that it
// names.
//
// The package must never know what the keys seal, and never creates, rotates,
// configures or exports a key; it reads their configuration back ([Transit.KeyInfo])
// and follows a rotation ([Transit.Rewrap]).
package transit
