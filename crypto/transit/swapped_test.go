package transit_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

// Items that stand for one entry of the log have one reference. Their answers
// must not change places all the same: a rewrapped key has no commitment that
// would notice before the version that opens the old one is gone.
func TestSwappedAnswersToOneReferenceAreRefused(t *testing.T) {
	t.Parallel()
	for _, reference := range []string{"run-1", ""} {
		s, w, ring, stored := faulty(t, 3)
		s.set(func(s *standIn) {
			s.twist = func(_ string, out []vaultItem) []vaultItem { out[1], out[2] = out[2], out[1]; return out }
		})
		var items []transit.RewrapItem
		var minted []keyring.MintRequest
		for i, r := range stored {
			items = append(items, transit.RewrapItem{Reference: reference, Context: r.ID.Context(), Blob: r.Wrapped.Blob})
			minted = append(minted, keyring.MintRequest{ID: recordID("bank", 20+i), Reference: reference})
		}
		if got, err := w.Rewrap(t.Context(), "batch", items); !errors.Is(err, keyring.ErrUnavailable) || got != nil {
			t.Errorf("reference %q: rewrap took swapped answers: %v", reference, err)
		}
		for i, r := range ring.MintBatch(t.Context(), minted) {
			if !errors.Is(r.Err, keyring.ErrUnavailable) {
				t.Errorf("reference %q: new key %d took a swapped answer: %v", reference, i, r.Err)
			}
		}
	}
	// The tokens of one record's fields have one reference, too.
	client := fake(t, func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Items []map[string]string `json:"batch_input"`
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		out := make([]map[string]string, len(in.Items))
		for i, it := range in.Items {
			token := make([]byte, 32)
			token[0] = byte(len(it["input"]))
			out[len(out)-1-i] = map[string]string{"hmac": "vault:v1:" + base64.StdEncoding.EncodeToString(token), "reference": it["reference"]}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"batch_results": out}})
	})
	x, err := transit.NewIndexer(transit.Config{Client: client, Institution: "bank"})
	if err != nil {
		t.Fatal(err)
	}
	items := []transit.IndexItem{{Field: "phone", Normalised: []byte("+8613800138000"), Reference: "r"}, {Field: "card", Normalised: []byte("1"), Reference: "r"}}
	if _, err := x.Tokens(t.Context(), items); !errors.Is(err, keyring.ErrUnavailable) {
		t.Errorf("swapped tokens were taken: %v", err)
	}
}

// An index key is never rotated: each epoch has its own. Where somebody rotates
// it all the same, old and new tokens still match, or searches would miss
// records without a word.
func TestARotatedIndexKeyChangesNoToken(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	cfg, _ := service(t, v)
	x, err := transit.NewIndexer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	item := []transit.IndexItem{{Field: "phone", Epoch: 1, Normalised: []byte("+8613800138000"), Reference: "r"}}
	before, err := x.Tokens(t.Context(), item)
	if err != nil {
		t.Fatal(err)
	}
	write(t, v, "transit/keys/"+cfg.Institution+"-index/rotate", nil)
	after, err := x.Tokens(t.Context(), item)
	if err != nil || string(after[0]) != string(before[0]) {
		t.Errorf("after a rotation: another token, or %v", err)
	}
}

// A token under another version of the key is no token.
func TestATokenOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	token := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, text := range []string{"vault:v2:" + token, "vault:v1x:" + token, token, "v1:" + token} {
		client := fake(t, answers(200, `{"data":{"batch_results":[{"hmac":"`+text+`"}]}}`))
		x, err := transit.NewIndexer(transit.Config{Client: client, Institution: "bank"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Tokens(t.Context(), []transit.IndexItem{{Field: "f", Normalised: []byte("v")}}); !errors.Is(err, keyring.ErrUnavailable) {
			t.Errorf("%s was taken: %v", text, err)
		}
	}
}
