package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/client"
	"github.com/google/trillian/extension"
	"github.com/google/trillian/log"
	"github.com/google/trillian/monitoring"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/server"
	"github.com/google/trillian/server/admin"
	"github.com/google/trillian/storage/postgresql"
	"github.com/google/trillian/util/clock"
	"github.com/google/trillian/util/election"
	"github.com/google/trillian/util/election2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// trillianLog is Trillian's log server and signer in this process, with its
// PostgreSQL storage, asked over gRPC on loopback as its users ask it.
type trillianLog struct {
	db     *pgxpool.Pool
	rpc    *grpc.Server
	conn   *grpc.ClientConn
	client trillian.TrillianLogClient
	tree   int64
	stop   context.CancelFunc
}

func newTrillian(ctx context.Context, o options) (*trillianLog, error) {
	if err := applySchema(ctx, o); err != nil {
		return nil, err
	}
	db, err := postgresql.OpenDB(o.dsn)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	registry := extension.Registry{
		AdminStorage: postgresql.NewAdminStorage(db), LogStorage: postgresql.NewLogStorage(db, monitoring.InertMetricFactory{}),
		QuotaManager: quota.Noop(), MetricFactory: monitoring.InertMetricFactory{}, ElectionFactory: election2.NoopFactory{},
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &trillianLog{db: db, rpc: grpc.NewServer(), stop: cancel}
	trillian.RegisterTrillianLogServer(t.rpc, server.NewTrillianLogRPCServer(registry, clock.System))
	trillian.RegisterTrillianAdminServer(t.rpc, admin.New(registry, []trillian.TreeType{trillian.TreeType_LOG}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { _ = t.rpc.Serve(listener) }()
	if t.conn, err = grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return nil, err
	}
	t.client = trillian.NewTrillianLogClient(t.conn)
	// The intervals are a tenth of the shipped ones' or less: more often than
	// that its signer takes the database's time from the clients.
	go log.NewOperationManager(log.OperationInfo{
		Registry: registry, BatchSize: 1000, NumWorkers: 1, RunInterval: 100 * time.Millisecond, TimeSource: clock.System,
		ElectionConfig: election.RunnerConfig{TimeSource: clock.System},
	}, log.NewSequencerManager(registry, 0)).OperationLoop(running)
	tree, err := client.CreateAndInitTree(ctx, &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeState: trillian.TreeState_ACTIVE, TreeType: trillian.TreeType_LOG, DisplayName: "bench", MaxRootDuration: durationpb.New(time.Hour),
	}}, trillian.NewTrillianAdminClient(t.conn), t.client)
	if err != nil {
		return nil, fmt.Errorf("making the tree: %w", err)
	}
	t.tree = tree.TreeId
	return t, nil
}

func applySchema(ctx context.Context, o options) error {
	text, err := os.ReadFile(o.schema)
	if err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	conn, err := pgx.Connect(ctx, o.dsn)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.PgConn().Exec(ctx, string(text)).ReadAll(); err != nil {
		return fmt.Errorf("applying the schema: %w", err)
	}
	return nil
}

func (t *trillianLog) add(ctx context.Context, entry []byte) error {
	_, err := t.client.QueueLeaf(ctx, &trillian.QueueLeafRequest{LogId: t.tree, Leaf: &trillian.LogLeaf{LeafValue: entry}})
	if status.Code(err) == codes.ResourceExhausted {
		return errPushedBack
	}
	return err
}

func (t *trillianLog) close(context.Context) error {
	t.stop()
	err := t.conn.Close()
	t.rpc.Stop()
	t.db.Close()
	if errors.Is(err, grpc.ErrClientConnClosing) {
		return nil
	}
	return err
}
