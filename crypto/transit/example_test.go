package transit_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
)

// A service logs in, keeps its login alive, and lends data keys that Vault
// unwraps.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	client, err := transit.NewClient(transit.ClientConfig{Address: "https://127.0.0.1:8200", CACert: "ca.pem"})
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := transit.NewLogin(transit.LoginConfig{Client: client, RoleID: "role", SecretID: transit.StaticSecret("secret")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := login.Now(ctx); err != nil {
		fmt.Println("starting without Vault:", keyring.CauseOf(err)) // Run goes on trying
	}
	go func() { _ = login.Run(ctx) }()

	vault, err := transit.New(transit.Config{Client: client, Institution: "acme", Login: login})
	if err != nil {
		fmt.Println(err)
		return
	}
	ring, err := keyring.New(keyring.Config{Wrapper: vault})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = ring.Run(ctx) // probes Vault each second
}

// A search by phone number asks Vault for the token and the database for the
// token's records.
func ExampleIndexer() {
	client, _ := transit.NewClient(transit.ClientConfig{Address: "https://127.0.0.1:8200"})
	index, err := transit.NewIndexer(transit.Config{Client: client, Institution: "acme"})
	if err != nil {
		fmt.Println(err)
		return
	}
	phone, err := blindindex.Normalise(blindindex.Phone, "138 0013 8000")
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := index.Tokens(context.Background(), []transit.IndexItem{{Field: "phone", Epoch: 1, Normalised: phone, Reference: "entry-7"}})
	fmt.Println(len(tokens), err)
}

func ExampleCheckpointSigner() {
	client, _ := transit.NewClient(transit.ClientConfig{Address: "https://127.0.0.1:8200"})
	signer, err := transit.NewCheckpointSigner(context.Background(), transit.Config{Client: client, Institution: "acme"}, "log.example/acme/2026")
	if err != nil {
		fmt.Println(err)
		return
	}
	signature, err := signer.Sign(context.Background(), []byte("log.example/acme/2026\n7\nrootHash\n"))
	fmt.Println(signer.VerifierKey(), len(signature), err)
}
