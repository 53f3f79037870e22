package server

import (
	"errors"
	"os"
	"strings"
	"time"
)

// Config is everything that the service is told from outside. Each field is a
// flag of `sealtraild serve` and an environment variable; secrets are read from
// files, never from flags.
type Config struct {
	Institution string `help:"The one institution that this process serves." env:"SEALTRAIL_INSTITUTION" required:""`

	Listen    string `help:"Address of the API." default:"127.0.0.1:8443" env:"SEALTRAIL_LISTEN"`
	OpsListen string `help:"Address of /livez, /readyz and /metrics; not for the public." default:"127.0.0.1:8444" env:"SEALTRAIL_OPS_LISTEN"`
	TLSCert   string `help:"PEM certificate of the API; empty only on loopback." env:"SEALTRAIL_TLS_CERT"`
	TLSKey    string `help:"PEM key of the API." env:"SEALTRAIL_TLS_KEY"`

	DatabaseURLFile string `help:"File with the database address (role sealtrail_app)." env:"SEALTRAIL_DATABASE_URL_FILE" required:""`
	PoolSize        int32  `help:"Database connections." default:"32" env:"SEALTRAIL_POOL_SIZE"`

	VaultAddr     string `help:"Vault address." env:"VAULT_ADDR" required:""`
	VaultCACert   string `help:"PEM file of Vault's CA." env:"VAULT_CACERT"`
	VaultRoleFile string `help:"File with the AppRole role id." env:"SEALTRAIL_VAULT_ROLE_ID_FILE" required:""`
	VaultSecret   string `name:"vault-secret-file" help:"File with the AppRole secret id; read again at every login." env:"SEALTRAIL_VAULT_SECRET_ID_FILE" required:""`

	VaultAudit     string        `name:"vault-audit-device" help:"Name of Vault's audit device, whose absence alarms; empty: not watched." default:"file" env:"SEALTRAIL_VAULT_AUDIT_DEVICE"`
	VaultAuditFile string        `help:"Path of the file that Vault's audit device writes, where this machine has it: it must grow. It is never read." env:"SEALTRAIL_VAULT_AUDIT_FILE"`
	KeysEvery      time.Duration `help:"How often the configuration of the keys in Vault is read back." default:"12s" env:"SEALTRAIL_KEYS_EVERY"`

	Issuer   string `help:"Issuer of bearer tokens." env:"SEALTRAIL_ISSUER" required:""`
	Audience string `help:"Audience of bearer tokens." default:"sealtrail" env:"SEALTRAIL_AUDIENCE"`
	JWKSURL  string `name:"jwks-url" help:"Where the issuer's keys are." env:"SEALTRAIL_JWKS_URL" xor:"jwks"`
	JWKSFile string `help:"File with the issuer's keys." env:"SEALTRAIL_JWKS_FILE" xor:"jwks"`

	Published  string   `help:"Folder of the published log." env:"SEALTRAIL_PUBLISHED" required:""`
	LogDomain  string   `help:"First part of a log's origin; the rest is /<institution>/<year>." default:"sealtrail.example" env:"SEALTRAIL_LOG_DOMAIN"`
	Witness    []string `help:"URL=verifier-key of a witness; may be repeated." env:"SEALTRAIL_WITNESSES" sep:";"`
	MinWitness int      `help:"Cosignatures without which no checkpoint is published; 0: a missing witness only alarms." default:"0" env:"SEALTRAIL_MIN_WITNESSES"`

	FileConfig    `embed:""`
	ReapConfig    `embed:""`
	WitnessConfig `embed:""`
	SecondConfig  `embed:""`
	StampConfig   `embed:""`
	StreamsConfig `embed:""`

	PublishedStoreConfig `embed:""`

	AdoptNorm   string        `help:"Date (YYYY-MM-DD) from which the institution adopts the norm's own time limits beside the law's; an entry says so. Empty: law only." env:"SEALTRAIL_ADOPT_NORM"`
	AcceptNode  bool          `name:"accept-single-node" help:"Say in the log, at the start, that acknowledged writes may live on one database node only; as sealtraild trail accept-single-node." env:"SEALTRAIL_ACCEPT_SINGLE_NODE"`
	ScrubWithin time.Duration `help:"Within which time every record is opened and authenticated in the background; 0: never." default:"720h" env:"SEALTRAIL_SCRUB_WITHIN"`
	CheckEvery  time.Duration `help:"How often the stored log is compared with the published one." default:"1m" env:"SEALTRAIL_CHECK_EVERY"`
	Profile     bool          `help:"Serve /debug/pprof/ on the ops address, which must then be a loopback one." env:"SEALTRAIL_PPROF"`
	DrainWithin time.Duration `help:"How long requests may take to end after SIGTERM." default:"10s" env:"SEALTRAIL_DRAIN"`
}

// Secret reads a file that holds one secret and trims the line end.
func Secret(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", errors.New("reading a secret file: " + describe(err))
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", errors.New("reading a secret file: it is empty")
	}
	return text, nil
}

func describe(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Path + ": " + path.Err.Error()
	}
	return err.Error()
}

// adopted is the start of the day from which the norm binds, in China's time;
// zero if it was not adopted.
func (c *Config) adopted() (time.Time, error) {
	if c.AdoptNorm == "" {
		return time.Time{}, nil
	}
	day, err := time.ParseInLocation(time.DateOnly, c.AdoptNorm, time.FixedZone("Asia/Shanghai", 8*60*60))
	if err != nil {
		return time.Time{}, errors.New("reading --adopt-norm: want a date YYYY-MM-DD")
	}
	return day.UTC(), nil
}
