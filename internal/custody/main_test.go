package custody_test

import (
	"os"
	"testing"

	"github.com/sealtrail/sealtrail/internal/pgtest"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	vaulttest.Cleanup()
	os.Exit(code)
}
