package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/crypto/blindindex"
	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	vaultdeploy "github.com/sealtrail/sealtrail/deploy/vault"
	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/httpapi"
	"github.com/sealtrail/sealtrail/internal/reconcile"
	"github.com/sealtrail/sealtrail/internal/store"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// ReconcileConfig is what the reconciler is told from outside. It is not the
// service: it has a login of its own in Vault, which opens nothing.
type ReconcileConfig struct {
	Institution     string `help:"The institution whose keys are looked at." env:"SEALTRAIL_INSTITUTION" required:""`
	DatabaseURLFile string `help:"File with a database address whose role may append to the log." env:"SEALTRAIL_DATABASE_URL_FILE" required:""`
	Published       string `help:"Folder of the published log." env:"SEALTRAIL_PUBLISHED" required:""`
	VaultAddr       string `help:"Vault address." env:"VAULT_ADDR" required:""`
	VaultCACert     string `help:"PEM file of Vault's CA." env:"VAULT_CACERT"`
	RoleFile        string `name:"reconciler-role-file" help:"File with the reconciler's role id." env:"SEALTRAIL_RECONCILER_ROLE_ID_FILE" required:""`
	SecretFile      string `name:"reconciler-secret-file" help:"File with the reconciler's secret id; read again at every login." env:"SEALTRAIL_RECONCILER_SECRET_ID_FILE" required:""`
	Device          string `name:"vault-audit-device" help:"Name of Vault's audit device." default:"file" env:"SEALTRAIL_VAULT_AUDIT_DEVICE"`

	VaultAuditFile []string      `name:"vault-audit-file" help:"Vault's audit file; with --once more than one may be named, oldest first." env:"SEALTRAIL_VAULT_AUDIT_FILE" required:""`
	State          string        `help:"File in which the reconciler remembers how far it is." env:"SEALTRAIL_RECONCILER_STATE"`
	Every          time.Duration `help:"Pause between two looks." default:"2s" env:"SEALTRAIL_RECONCILE_EVERY"`
	Report         time.Duration `help:"Pause between two results in the log." default:"1h" env:"SEALTRAIL_RECONCILE_REPORT"`
	Grace          time.Duration `help:"How long the other side of a use may stay out." default:"15s" env:"SEALTRAIL_RECONCILE_GRACE"`
	OpsListen      string        `help:"Address of /metrics; empty: none." env:"SEALTRAIL_RECONCILE_OPS_LISTEN"`
}

// Reconciler ties the reconciler to a real Vault, database and published log.
type Reconciler struct {
	cfg       ReconcileConfig
	tel       *telemetry.Telemetry
	pool      *pgxpool.Pool
	log       *pglog.Log
	sequencer *pglog.Sequencer
	login     *transit.Login
	hasher    vaultHasher
	alarms    metric.Int64Counter
}

// NewReconciler reads files and connects to nothing. logs gets its log lines.
func NewReconciler(ctx context.Context, cfg ReconcileConfig, logs io.Writer) (*Reconciler, error) {
	r := &Reconciler{cfg: cfg}
	var err error
	if r.tel, err = telemetry.New(ctx, telemetry.Config{Version: Version, Output: logs}); err != nil {
		return nil, err
	}
	if err := r.openLog(ctx); err != nil {
		return nil, err
	}
	r.alarms, err = r.tel.Meter.Meter("sealtrail/reconcile").Int64Counter(telemetry.MetricReconcileAlarms, metric.WithUnit("{alarm}"),
		metric.WithDescription("Uses of keys that no entry stands for, and the like, by finding."))
	if err != nil {
		return nil, fmt.Errorf("making the reconciler's metrics: %w", err)
	}
	return r, r.openVault()
}

func (r *Reconciler) openLog(ctx context.Context) error {
	dsn, err := Secret(r.cfg.DatabaseURLFile)
	if err != nil {
		return err
	}
	if r.pool, err = pgxpool.New(ctx, dsn); err != nil {
		return fmt.Errorf("opening the database: %w", store.Classify(err))
	}
	if r.log, err = pglog.New(ctx, pglog.Config{Pool: r.pool, Institution: r.cfg.Institution}); err != nil {
		return err
	}
	// It is asked how long entries wait, and gives none an index.
	r.sequencer, err = pglog.NewSequencer(ctx, pglog.SequencerConfig{Pool: r.pool, Institution: r.cfg.Institution, Logger: r.tel.Logger})
	return err
}

func (r *Reconciler) openVault() error {
	role, err := Secret(r.cfg.RoleFile)
	if err != nil {
		return err
	}
	client, err := transit.NewClient(transit.ClientConfig{Address: r.cfg.VaultAddr, CACert: r.cfg.VaultCACert})
	if err != nil {
		return err
	}
	client.SetMaxRetries(0)
	r.hasher = vaultHasher{client, r.cfg.Device}
	r.login, err = transit.NewLogin(transit.LoginConfig{Client: client, RoleID: role, SecretID: func() (string, error) { return Secret(r.cfg.SecretFile) }})
	return err
}

// vaultHasher asks Vault.
type vaultHasher struct {
	client *api.Client
	device string
}

// Hash implements reconcile.Hasher.
func (h vaultHasher) Hash(ctx context.Context, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return transit.AuditHash(ctx, h.client, h.device, text)
}

// Close gives back what NewReconciler opened.
func (r *Reconciler) Close() { r.pool.Close() }

func (r *Reconciler) match() reconcile.Config {
	inst := r.cfg.Institution
	constant := blindindex.Item{Field: "idempotency", Epoch: 1, Normalised: []byte("sealtrail/idempotency/v1")}
	return reconcile.Config{Institution: inst, Role: vaultdeploy.PolicyName(inst), Hash: r.hasher, Grace: r.cfg.Grace,
		Context: func(kind byte, record string, generation uint32) string {
			id := keyring.RecordID{Institution: inst, Record: record, Generation: generation, Kind: kind}
			return base64.StdEncoding.EncodeToString(id.Context())
		},
		Constants: []string{base64.StdEncoding.EncodeToString(blindindex.Input(inst, constant))}}
}

// Follow reconciles until ctx ends.
func (r *Reconciler) Follow(ctx context.Context) error {
	runner, err := reconcile.New(reconcile.RunConfig{Match: r.match(), File: r.cfg.VaultAuditFile[0], Published: r.logs(), Log: r,
		State: r.cfg.State, Every: r.cfg.Every, Report: r.cfg.Report, Logger: r.tel.Logger, Alarmed: r.alarmed})
	if err != nil {
		return err
	}
	return r.with(ctx, func(ctx context.Context) error {
		var group errgroup.Group
		group.Go(func() error { return r.nightly(ctx) })
		group.Go(func() error { return runner.Run(ctx) })
		return group.Wait()
	})
}

// nightlyAt is when in the night, in China, the whole file is compared again.
const nightlyAt = 3 * time.Hour

// nightly compares the whole file with the whole log once a night: what the
// reconciler that follows took for matched is judged anew, from nothing.
func (r *Reconciler) nightly(ctx context.Context) error {
	night := func() string {
		return time.Now().In(time.FixedZone("Asia/Shanghai", 8*60*60)).Add(-nightlyAt).Format(time.DateOnly)
	}
	done := night()
	return every(ctx, 5*time.Minute, func(ctx context.Context) {
		if now := night(); now != done {
			result, err := r.whole(ctx)
			if err != nil {
				r.tel.Logger.WarnContext(ctx, "not reconciled", slog.String("cause", err.Error()))
				return
			}
			done = now
			r.tel.Logger.InfoContext(ctx, "reconciled the whole file", slog.String("state", result.State), slog.Int("count", len(result.Alarms)))
		}
	})
}

// Once reconciles whole files with the whole log.
func (r *Reconciler) Once(ctx context.Context) (result *reconcile.Result, err error) {
	err = r.with(ctx, func(ctx context.Context) error {
		if err := r.login.Now(ctx); err != nil {
			return err
		}
		result, err = r.whole(ctx)
		return err
	})
	return result, err
}

func (r *Reconciler) whole(ctx context.Context) (*reconcile.Result, error) {
	return reconcile.Once(ctx, reconcile.OnceConfig{Match: r.match(), Files: r.cfg.VaultAuditFile, Published: r.logs(), Log: r, Alarmed: r.alarmed})
}

// logs reads the institution's published logs from their beginning.
func (r *Reconciler) logs() *reconcile.Published {
	return reconcile.NewPublished(os.DirFS(filepath.Join(r.cfg.Published, r.cfg.Institution)))
}

func (r *Reconciler) alarmed(a reconcile.Alarm) {
	r.alarms.Add(context.Background(), 1, metric.WithAttributes(attribute.String("finding", a.What)))
}

// with runs act beside what it needs.
func (r *Reconciler) with(ctx context.Context, act func(context.Context) error) error {
	base := context.WithoutCancel(ctx)
	ground, stop := start(base, r.log.Run, r.login.Run, r.serveMetrics)
	err := act(ctx)
	stop()
	if waited := ground.Wait(); err == nil {
		err = waited
	}
	return err
}

// Append implements reconcile.Log.
func (r *Reconciler) Append(ctx context.Context, kind string, facts audit.Facts) error {
	if err := complaint.CheckFacts(kind, facts); err != nil {
		return fmt.Errorf("recording %s: %w", kind, err)
	}
	alias, err := r.log.Alias(ctx, "reconciler")
	if err != nil {
		return err
	}
	_, err = r.log.Append(ctx, audit.Body{At: time.Now(), Stage: audit.StageEvent, Kind: kind, Actor: audit.Actor{ID: alias, Auth: "reconciler"},
		Subject: "charter:reconciliation", Facts: facts})
	return err
}

// laggard is how old an entry may be that is not published yet.
const laggard = 2 * time.Second

// Behind implements reconcile.Log.
func (r *Reconciler) Behind(ctx context.Context, size uint64) (bool, error) {
	waiting, err := r.sequencer.Waiting(ctx)
	if err != nil {
		return true, err
	}
	year := time.Now().UTC().Year()
	shards, err := pglog.Shards(ctx, r.pool, r.cfg.Institution)
	if err != nil {
		return true, err
	}
	i := slices.IndexFunc(shards, func(s pglog.Shard) bool { return s.Year == year })
	if i < 0 {
		return waiting > laggard, nil // the year's log was not opened yet
	}
	tree := pglog.NewTree(r.pool, shards[i])
	head, err := tree.Head(ctx)
	if err != nil || head.Size <= size || waiting > laggard {
		return err != nil || waiting > laggard, err
	}
	var first time.Time // of the entries that are not published
	err = tree.Leaves(ctx, size, size+1, func(row pglog.LeafRow) error {
		var view audit.LeafView
		err := audit.ScanLeaf(row.Bytes, &view)
		first = view.SeqAt()
		return err
	})
	return err != nil || time.Since(first) > laggard, err
}

// serveMetrics serves /metrics until ctx ends, if an address is configured.
func (r *Reconciler) serveMetrics(ctx context.Context) error {
	if r.cfg.OpsListen == "" {
		<-ctx.Done()
		return nil
	}
	listener, err := net.Listen("tcp", r.cfg.OpsListen)
	if err != nil {
		return fmt.Errorf("listening for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", r.tel.Metrics)
	return httpapi.Serve(ctx, httpapi.ServeConfig{Listener: listener, Handler: mux, Drain: time.Second})
}
