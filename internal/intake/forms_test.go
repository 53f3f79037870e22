package intake

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/crypto/blindindex"
)

// samples are values around each form's edges; both sides must answer alike,
// but for identity numbers, where intake wants a region and a century too.
var samples = map[string][]string{
	"phone": {"13800138000", "+86 138 0013 8000", "010-62345678", "(0791)88123456", "95588", "+1 202 555 0143", "123", "call me", "１３８００１３８０００", "+", "", "13800138000 转 5"},
	"id_number": {"110108197912011815", "11010519491231002x", "110108791201181", "91350211M000100Y43", "91350211M000100Y44", "E12345678", "H1234567(8)",
		"110108197912011816", "1234", "ABCDE", "990108197912011815", "护照12345", ""},
	"card":     {"6216618196816157", "6216 6181-9681.6157", "6216618196816158", "411111111111", "12345678901", "abc", ""},
	"account":  {"3602-1234-567", "gb29nwbk60161331926819", "123", strings.Repeat("1", 35), "账号1", ""},
	"email":    {"a@b.cn", "A.B+c@例子.中国", "a@b", "a@", "@b.cn", "a b@c.cn", "a@b..cn", "a@-b.cn", strings.Repeat("a", 65) + "@b.cn", ""},
	"staff_id": {"80012345", "ａ1", "a b", "\x01", strings.Repeat("1", 65), ""},
}

func TestFormsAgreeWithTheIndex(t *testing.T) {
	t.Parallel()
	for kind, values := range samples {
		for _, v := range values {
			_, err := blindindex.Normalise(blindindex.Kind(kind), v)
			got := indexProblem(kind, v)
			if got == "" && err != nil || got != "" && err == nil && kind != "id_number" {
				t.Errorf("%s %q: intake says %q, the index %v", kind, v, got, err)
			}
		}
	}
}

// TestWhatIntakeTakesTheIndexTakes tries values near the samples.
func TestWhatIntakeTakesTheIndexTakes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for _, kind := range blindindex.Kinds() {
			v := []rune(rapid.SampledFrom(samples[string(kind)]).Draw(t, string(kind)))
			for range rapid.IntRange(0, 3).Draw(t, "edits") {
				at := rapid.IntRange(0, len(v)).Draw(t, "at")
				r := rapid.SampledFrom([]rune("0123456789Xx@. -+(_é张\u200b\u00a0")).Draw(t, "rune")
				v = append(v[:at:at], append([]rune{r}, v[at:]...)...)
			}
			if indexProblem(string(kind), string(v)) != "" {
				continue
			}
			if _, err := blindindex.Normalise(kind, string(v)); err != nil {
				t.Fatalf("%s %q: intake takes it, the index says %v", kind, string(v), err)
			}
		}
	})
}
