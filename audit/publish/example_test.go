package publish_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
)

// A Publisher reads a log in PostgreSQL and writes it to a folder, under checkpoints signed by a key that it never sees.
func ExamplePublisher() {
	run := func(ctx context.Context, pool *pgxpool.Pool, signer publish.CheckpointSigner) error {
		shard := pglog.Shard{Institution: "demo-bank", Year: 2026, Origin: signer.Name()}
		folder, err := publish.NewFolder("/var/lib/sealtrail/published/" + shard.Folder())
		if err != nil {
			return err
		}
		p, err := publish.New(ctx, publish.Config{Source: pglog.NewTree(pool, shard), Store: folder, Signer: signer})
		if err != nil {
			return err
		}
		return p.Run(ctx) // every 250 ms when the log grew
	}
	_ = run
}

func ExampleFolder() {
	dir, err := os.MkdirTemp("", "published")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	folder, err := publish.NewFolder(dir)
	if err != nil {
		panic(err)
	}
	digest, err := publish.PutBlob(context.Background(), folder, []byte("a policy bundle"))
	if err != nil {
		panic(err)
	}
	contents, err := folder.Get(context.Background(), "blob/sha256/"+digest)
	fmt.Printf("%s %v\n", contents, err)
	// Output: a policy bundle <nil>
}

func ExampleResourceOf() {
	fmt.Println(publish.ResourceOf("checkpoint"), publish.ResourceOf("tile/0/000"), publish.ResourceOf("tile/entries/000"))
	// Output: checkpoint tile bundle
}

func ExampleHandler() {
	http.Handle("/log/", http.StripPrefix("/log", publish.Handler(os.DirFS("/var/lib/sealtrail/published/demo-bank/2026"))))
}

// A witness is a process of its own, with its own key and folder, best run by somebody else.
func ExampleWitnessServer() {
	dir, err := os.MkdirTemp("", "witness")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	witness, err := publish.NewWitnessServer(context.Background(), publish.WitnessConfig{
		Dir: dir, Name: "witness.example/internal-audit",
		Logs: []string{"sealtrail.example/demo/2026+18b659fc+Af0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(witness)
	defer server.Close()
	client, err := publish.NewWitnessClient(context.Background(), publish.WitnessClientConfig{URL: server.URL, VerifierKey: witness.VerifierKey()})
	if err != nil {
		panic(err)
	}
	fmt.Println(client.Name())
	// Output: witness.example/internal-audit
}
