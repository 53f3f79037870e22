package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sealtrail/sealtrail/crypto/transit"
	postgresdeploy "github.com/sealtrail/sealtrail/deploy/postgres"
	"github.com/sealtrail/sealtrail/internal/authn"
	"github.com/sealtrail/sealtrail/internal/childproc"
	"github.com/sealtrail/sealtrail/internal/vaultserver"
)

// terminate is the orderly way to end our own processes.
var terminate = []syscall.Signal{syscall.SIGTERM}

// onDatabase names another database of the same server.
func onDatabase(dsn, name string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return dsn
	}
	u.Path = "/" + name
	return u.String()
}

// secretFile writes a file that only the owner can read.
func (s *Sandbox) secretFile(text string, parts ...string) error {
	name := s.path(parts...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("making a folder for secrets: %w", err)
	}
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing a secret: %w", err)
	}
	return nil
}

// operate runs one command of sealtraild as an operator would.
func (s *Sandbox) operate(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, s.Program("sealtraild"), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sealtraild %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, lastLine(out.String()))
	}
	return nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// prepareDatabase makes roles and database as deploy/postgres says, and
// migrates.
func (s *Sandbox) prepareDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.PG.AdminDSN())
	if err != nil {
		return fmt.Errorf("connecting as superuser: %w", err)
	}
	defer conn.Close(ctx)
	password := rand.Text()
	statements := []string{postgresdeploy.Roles(), "alter role " + postgresdeploy.AppRole + " password '" + password + "'", "create database " + s.DatabaseName}
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("preparing the database: %w", err)
		}
	}
	if err := s.secretFile(s.AdminDSN(), "credentials", "admin-url"); err != nil {
		return err
	}
	app := s.PG.DSN(postgresdeploy.AppRole, password, s.DatabaseName)
	if err := s.secretFile(app, "credentials", "database-url"); err != nil {
		return err
	}
	return s.operate(ctx, "migrate", "--admin-url-file", s.path("credentials", "admin-url"))
}

// prepareInstitution makes keys, policy and role in Vault.
func (s *Sandbox) prepareInstitution(ctx context.Context) error {
	if err := s.secretFile(s.Vault.RootToken(), "credentials", "operator-token"); err != nil {
		return err
	}
	err := s.operate(ctx, "institution", "add", Institution, "--admin-url-file", s.path("credentials", "admin-url"),
		"--vault-addr", s.Vault.Addr(), "--vault-ca-cert", s.Vault.CACert(), "--token-file", s.path("credentials", "operator-token"),
		"--out", s.path("credentials"))
	if err != nil {
		return err
	}
	client, err := vaultserver.NewClient(s.Vault.Addr(), s.Vault.CACert(), s.Vault.RootToken())
	if err != nil {
		return err
	}
	origin := fmt.Sprintf("sealtrail.example/%s/%d", Institution, time.Now().UTC().Year())
	signer, err := transit.NewCheckpointSigner(ctx, transit.Config{Client: client, Institution: Institution}, origin)
	if err != nil {
		return fmt.Errorf("reading the log's key: %w", err)
	}
	s.LogKey = signer.VerifierKey()
	return os.WriteFile(s.KeyFile(), []byte(s.LogKey+"\n"), 0o644)
}

// prepareIssuer makes the development issuer and a token per persona.
func (s *Sandbox) prepareIssuer(context.Context) error {
	var err error
	if s.issuer, err = authn.NewDevIssuer(authn.DevConfig{Seed: s.cfg.IssuerSeed}); err != nil {
		return err
	}
	if err := os.WriteFile(s.path("jwks.json"), s.issuer.JWKS(), 0o644); err != nil {
		return fmt.Errorf("writing the issuer's keys: %w", err)
	}
	for _, p := range Staff() {
		token, err := s.Token(p.ID)
		if err != nil {
			return err
		}
		if err := s.secretFile(token, "tokens", p.ID); err != nil {
			return err
		}
	}
	return nil
}

// startWitness starts the witness and reads its key.
func (s *Sandbox) startWitness(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.path("logs"), 0o700); err != nil {
		return fmt.Errorf("making a folder for logs: %w", err)
	}
	s.WitnessURL = "http://" + address
	process, err := childproc.Start(childproc.Config{Path: s.Program("sealtraild"), LogFile: s.path("logs", "witness.log"),
		Args: []string{"witness", "--dir", s.path("witness"), "--log", s.LogKey, "--listen", address}})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.witness = process
	s.mu.Unlock()
	answer, err := s.await(ctx, s.WitnessURL+"/key", process)
	s.WitnessKey = strings.TrimSpace(answer)
	return err
}

// serveFlags are the flags of `sealtraild serve` here.
func (s *Sandbox) serveFlags() []string {
	return append([]string{
		"--institution", Institution, "--listen", host(s.API), "--ops-listen", host(s.Ops),
		"--database-url-file", s.path("credentials", "database-url"),
		"--vault-addr", s.Vault.Addr(), "--vault-ca-cert", s.Vault.CACert(),
		"--vault-role-file", s.path("credentials", "role-id"), "--vault-secret-file", s.path("credentials", "secret-id"),
		"--issuer", s.issuer.Issuer(), "--audience", s.issuer.Audience(), "--jwks-file", s.path("jwks.json"),
		"--published", s.Published(), "--witness", s.WitnessURL + "=" + s.WitnessKey,
		"--adopt-norm", "2024-01-01",
	}, s.cfg.ServeArgs...)
}

// environment is the service's settings as deploy/sealtraild.env has them, for
// an operator's own commands beside it.
func (s *Sandbox) environment() string {
	var b strings.Builder
	for _, v := range [][2]string{
		{"SEALTRAIL_INSTITUTION", Institution},
		{"SEALTRAIL_DATABASE_URL_FILE", s.path("credentials", "database-url")},
		{"VAULT_ADDR", s.Vault.Addr()}, {"VAULT_CACERT", s.Vault.CACert()},
		{"SEALTRAIL_VAULT_ROLE_ID_FILE", s.path("credentials", "role-id")},
		{"SEALTRAIL_VAULT_SECRET_ID_FILE", s.path("credentials", "secret-id")},
		{"SEALTRAIL_RECONCILER_ROLE_ID_FILE", s.path("credentials", "reconciler-role-id")},
		{"SEALTRAIL_RECONCILER_SECRET_ID_FILE", s.path("credentials", "reconciler-secret-id")},
		{"SEALTRAIL_ISSUER", s.issuer.Issuer()}, {"SEALTRAIL_AUDIENCE", s.issuer.Audience()},
		{"SEALTRAIL_JWKS_FILE", s.path("jwks.json")},
		{"SEALTRAIL_PUBLISHED", s.Published()},
		{"SEALTRAIL_WITNESSES", s.WitnessURL + "=" + s.WitnessKey},
		{"SEALTRAIL_ADOPT_NORM", "2024-01-01"},
	} {
		fmt.Fprintf(&b, "%s='%s'\n", v[0], v[1])
	}
	return b.String()
}

func host(base string) string { return strings.TrimPrefix(base, "http://") }

// found enters the two founders and the acceptance of a single node, before the
// service runs.
func (s *Sandbox) found(ctx context.Context) error {
	api, err := freeAddress()
	if err != nil {
		return err
	}
	ops, err := freeAddress()
	if err != nil {
		return err
	}
	s.API, s.Ops = "http://"+api, "http://"+ops
	if err := s.operate(ctx, append([]string{"institution", "found", "--first", "sec-lin:security:S-0001", "--second", "sec-wu:security:S-0002"}, s.serveFlags()...)...); err != nil {
		return err
	}
	return s.operate(ctx, "trail", "accept-single-node", "--institution", Institution, "--confirm", Institution, "--database-url-file", s.path("credentials", "database-url"))
}

// StartService starts the service and waits until it is ready.
func (s *Sandbox) StartService(ctx context.Context) error {
	process, err := childproc.Start(childproc.Config{Path: s.Program("sealtraild"), LogFile: s.ServiceLog(),
		Args: append([]string{"serve"}, s.serveFlags()...), Env: append(childproc.Environ(), s.cfg.ServeEnv...)})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.service = process
	s.mu.Unlock()
	_, err = s.await(ctx, s.Ops+"/readyz", process)
	return err
}

// StopService ends the service by SIGTERM; nil if it does not run.
func (s *Sandbox) StopService() error {
	if p := s.running(); p != nil {
		return stop(p)
	}
	return nil
}

// KillService ends the service by SIGKILL, as a crash does.
func (s *Sandbox) KillService() error {
	if p := s.running(); p != nil {
		return p.Kill()
	}
	return nil
}

// ServicePid is the process id of the service, 0 if it does not run.
func (s *Sandbox) ServicePid() int {
	if p := s.running(); p != nil {
		return p.Pid()
	}
	return 0
}

func (s *Sandbox) running() *childproc.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.service == nil || !s.service.Running() {
		return nil
	}
	return s.service
}

// await asks a URL until it answers 200 and returns the body.
func (s *Sandbox) await(ctx context.Context, address string, process *childproc.Process) (body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	err = process.Await(ctx, 25*time.Millisecond, func() bool {
		var asked error
		body, asked = get(ctx, address)
		return asked == nil
	})
	if err != nil {
		return "", fmt.Errorf("starting what answers at %s: %w", address, err)
	}
	return body, nil
}

// startWithin is how long a process of ours may take to be ready.
const startWithin = 30 * time.Second

func get(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", errors.New(res.Status)
	}
	return body.String(), nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
