package policy

import (
	"testing"

	"github.com/sealtrail/sealtrail/policy/confidentiality"
)

// TestChapterIsFit runs every check on the embedded chapter.
func TestChapterIsFit(t *testing.T) {
	t.Parallel()
	found, err := Check(t.Context(), confidentiality.Files())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}
