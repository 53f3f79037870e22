package arch

// Import paths of other people's packages that some of ours must not know.
const (
	pgx   = "github.com/jackc/pgx/v5/..."
	vault = "github.com/hashicorp/vault/api/..."
	opa   = "github.com/open-policy-agent/opa/..."
	otel  = "go.opentelemetry.io/..."
)

// Walls are the rules of docs/decisions/0001-walls.md. Moving one needs a page
// there first.
func Walls() []Rule {
	return []Rule{
		{
			Who: []string{"./policy/..."}, Never: []string{"./audit/...", "./crypto/...", "./internal/...", pgx, vault, otel},
			Reach: true, Tests: true, TestsMay: []string{"./internal/pgtest", "./internal/vaulttest"},
			Why: "policy is a public library that knows rules and nothing else",
		},
		{
			Who: []string{"./audit/..."}, Never: []string{"./policy/...", "./crypto/...", "./internal/...", vault, opa, otel},
			Reach: true, Tests: true, TestsMay: []string{"./internal/pgtest", "./internal/vaulttest", "./internal/s3test"},
			Why: "audit is a public library that knows entries and proofs and nothing else",
		},
		{
			Who: []string{"./audit/timestamp"}, Never: []string{"./audit/...", "net/http", "net", pgx}, Reach: false,
			Why: "a time stamp is verified without anything that a log is made of, and fetched elsewhere",
		},
		{
			Who: []string{"./crypto/..."}, Never: []string{"./policy/...", "./audit/...", "./internal/...", pgx, opa, otel},
			Reach: true, Tests: true, TestsMay: []string{"./internal/pgtest", "./internal/vaulttest"},
			Why: "crypto is a public library that knows keys and nothing else",
		},
		{
			Who: []string{"./audit", "./audit/verify"}, Reach: true,
			Only: []string{"./audit", "golang.org/x/mod/...", "github.com/transparency-dev/merkle/...", "github.com/transparency-dev/formats/log",
				"filippo.io/mldsa/..."}, // decision 24: the second signature line is verified; the module links nothing else
			Why: "the verifier depends on nothing it verifies",
		},
		{
			Who: []string{"./crypto/field", "./crypto/keyring", "./crypto/stream"}, Never: []string{vault, "net/http"}, Reach: true,
			Why: "sealing knows no network: Vault is behind keyring.Wrapper",
		},
		{
			Who: []string{"./internal/store"}, Never: []string{"./crypto/keyring", "./crypto/transit", "./crypto/field", "./policy/...", "net/http", vault},
			Reach: true, Why: "SQL never sees a key",
		},
		{
			Who: []string{"./internal/filestore"}, Never: []string{"./crypto/...", "./policy/...", "./audit/...", "./internal/store", pgx, vault},
			Reach: true, Why: "where ciphertext lies has nothing to do with what opens it",
		},
		{
			Who: []string{"./internal/httpapi"}, Never: []string{"./internal/store", "./crypto/...", "./audit/...", pgx, vault},
			Why: "the network never sees SQL or a key: it goes through internal/custody",
		},
		{
			Who: []string{"./internal/keeping"}, Never: []string{"./internal/store", "./crypto/keyring", "./crypto/field", "./crypto/transit", "./policy/...", pgx, vault, "net/http"},
			Why: "upkeep is order and pace; what a step reads, writes and records is the door's",
		},
		{
			Who: []string{"./internal/authn"}, Never: []string{"./internal/store", "./crypto/...", pgx, vault}, Reach: true,
			Why: "who somebody is has nothing to do with what is stored",
		},
		{
			Who:   []string{"./internal/supervision", "./internal/clock", "./internal/complaint", "./internal/erasures", "./internal/inforce", "./internal/receipt"},
			Never: []string{"./internal/store", "./crypto/...", "./policy/...", "./audit/pglog", "./audit/publish", pgx, vault, otel, "net/http", "net"},
			Reach: true, Why: "vocabulary, clocks and figures are pure, so that anyone can recompute them",
		},
		{
			Who: []string{"./cmd/trailcheck"}, Reach: true,
			Only: []string{
				"./cmd/trailcheck", "./audit", "./audit/evidence", "./audit/timestamp", "./audit/verify", "./internal/supervision", "./internal/clock", "./internal/complaint", "./internal/exitcode", "./internal/scrub",
				"./internal/erasures", "./internal/inforce", "./internal/receipt", "./internal/verifypage",
				"golang.org/x/mod/...", "github.com/transparency-dev/merkle/...", "github.com/transparency-dev/formats/...",
				"filippo.io/mldsa/...",     // decision 24: the second signature line
				"github.com/digitorus/...", // decision 24: tokens of time stamp authorities are verified, not only shown
			},
			Why: "the verifier links nothing it verifies: no database, Vault, policy engine or telemetry",
		},
		{
			Who: []string{"./cmd/sealtrail"}, Reach: true,
			Never: []string{"./internal/store", "./internal/custody", "./crypto/keyring", "./crypto/transit", "./crypto/field", "./audit/pglog", pgx, vault, opa},
			Why:   "the client speaks HTTP only",
		},
		{
			Who: []string{"./cmd/...", "./internal/...", "./deploy/..."}, Except: []string{"./internal/custody", "./internal/server"},
			Never: []string{"./crypto/keyring", "./crypto/field", "./crypto/stream"},
			Why:   "only the door opens fields (contracts.md 4)",
		},
		{
			Who: []string{"./cmd/...", "./internal/...", "./audit/...", "./policy/...", "./crypto/..."}, Except: []string{"./internal/testrun", "./internal/pgtest", "./internal/vaulttest", "./internal/s3test", "./audit/evidence/evidencetest"},
			Never: []string{"./internal/pgtest", "./internal/vaulttest", "./internal/s3test", "./internal/doortest", "./audit/audittest", "./audit/timestamp/tsatest", "./audit/evidence/evidencetest", "./crypto/cryptotest"},
			Why:   "test servers, doubles and tamper tools are for tests",
		},
	}
}
