package intake

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/internal/complaint"
)

// testNow is the service's clock in these tests.
var testNow = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func validDraft() Draft {
	return Clean(Draft{
		Source: "app", SourceID: "A-1", Channel: "phone", ReceivedAt: testNow.Add(-time.Hour),
		Fields: map[string]string{"narrative": "信用卡被盗刷", "phone": "13800138000", "id_number": "110108197912011815"},
	})
}

func codes(problems []Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Pointer+" "+p.Code)
	}
	return out
}

func TestValidateAcceptsAGoodDraft(t *testing.T) {
	t.Parallel()
	if got := Validate(validDraft(), testNow); got != nil {
		t.Errorf("problems of a good draft: %v", codes(got))
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*Draft)
		want   []string
	}{
		{"empty", func(d *Draft) { *d = Clean(Draft{}) }, []string{"/source required", "/source_id required", "/channel required", "/received_at required", "/fields/narrative no_content"}},
		{"unknown channel", func(d *Draft) { d.Channel = "pigeon" }, []string{"/channel unknown_value"}},
		{"source is no code", func(d *Draft) { d.Source = "13800138000" }, []string{"/source malformed"}},
		{"person's number as source id", func(d *Draft) { d.SourceID = "110108197912011815" }, []string{"/source_id malformed"}},
		{"source id with a space", func(d *Draft) { d.SourceID = "a b" }, []string{"/source_id malformed"}},
		{"long source id", func(d *Draft) { d.SourceID = strings.Repeat("a", 129) }, []string{"/source_id too_long"}},
		{"received tomorrow", func(d *Draft) { d.ReceivedAt = testNow.Add(24 * time.Hour) }, []string{"/received_at in_future"}},
		{"received before 2000", func(d *Draft) { d.ReceivedAt = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC) }, []string{"/received_at before_epoch"}},
		{"telephone as department", func(d *Draft) { d.Department = "13800138000" }, []string{"/department malformed"}},
		{"personal data in the regulator's reference", func(d *Draft) { d.RegulatorRef = "王某 13800138000" }, []string{"/regulator_ref malformed"}},
		{"regulator's reference in Chinese", func(d *Draft) { d.RegulatorRef = "金消保〔2026〕12号" }, nil},
		{"unknown field", func(d *Draft) { d.Fields["favourite_colour"] = "red" }, []string{"/fields unknown_field"}},
		{"metadata among the fields", func(d *Draft) { d.Fields["state"] = "closed" }, []string{"/fields/state not_sealed_field"}},
		{"wrong check digit of an identity number", func(d *Draft) { d.Fields["id_number"] = "110108197912011816" }, []string{"/fields/id_number id_check_digit"}},
		{"wrong check digit of a card", func(d *Draft) { d.Fields["bank_card"] = "6216618196816158" }, []string{"/fields/bank_card card_check_digit"}},
		{"telephone", func(d *Draft) { d.Fields["phone"] = "call me" }, []string{"/fields/phone malformed"}},
		{"e-mail", func(d *Draft) { d.Fields["email"] = "nobody" }, []string{"/fields/email malformed"}},
		{"date", func(d *Draft) { d.Fields["birth_date"] = "1979-13-01" }, []string{"/fields/birth_date malformed"}},
		{"amount", func(d *Draft) { d.Fields["amount_claimed"] = "1,000" }, []string{"/fields/amount_claimed malformed"}},
		{"too long", func(d *Draft) { d.Fields["complainant_name"] = strings.Repeat("张", 129) }, []string{"/fields/complainant_name too_long"}},
		{"not UTF-8", func(d *Draft) { d.Fields["demand"] = "\xff" }, []string{"/fields/demand not_utf8"}},
		{"control character in a name", func(d *Draft) { d.Fields["complainant_name"] = "张\n三" }, []string{"/fields/complainant_name control_character"}},
		{"line break in a narrative", func(d *Draft) { d.Fields["narrative"] = "一\n二" }, nil},
		{"nul in a narrative", func(d *Draft) { d.Fields["narrative"] = "一\x00二" }, []string{"/fields/narrative control_character"}},
		{"password in a narrative", func(d *Draft) { d.Fields["narrative"] = "我的密码是abc123" }, []string{"/fields/narrative c3_password"}},
		{"two kinds in one field", func(d *Draft) { d.Fields["demand"] = "CVV 123 验证码: 123456" }, []string{"/fields/demand c3_cvn", "/fields/demand c3_one_time_code"}},
		{"CVN behind a card number", func(d *Draft) { d.Fields["bank_card"] = "6216618196816157 CVV 123" }, []string{"/fields/bank_card c3_cvn"}},
		{"key that names authentication data", func(d *Draft) { d.Fields["cvv"] = "123" }, []string{"/fields c3_cvn"}},
		{"talk about passwords", func(d *Draft) { d.Fields["narrative"] = "忘记密码，柜台重置密码排队2小时" }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := validDraft()
			tc.change(&d)
			got := Validate(d, testNow)
			if diff := cmp.Diff(tc.want, codes(got)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			for _, p := range got {
				if p.ZH == "" || p.EN == "" {
					t.Errorf("code %s has no sentence in the registry", p.Code)
				}
			}
		})
	}
}

// TestNoProblemHoldsAValue puts a marker into every place of a draft and looks
// for it in what comes back.
func TestNoProblemHoldsAValue(t *testing.T) {
	t.Parallel()
	const marker = "canary7731"
	secret := "密码是" + marker + " \x01" + strings.Repeat("x", 70000)
	d := Draft{
		Source: marker + "!", SourceID: marker + " ", Channel: marker, ReceivedEvidence: marker, Type: marker, BusinessCode: marker,
		ProductCode: marker, ReasonCode: marker, Branch: marker + "!", Department: marker + "!", Level: marker, PartyType: marker,
		IDType: marker, Referral: marker, RegulatorRef: marker + "\x01", ThirdParty: marker + "!",
		Fields: map[string]string{marker: marker, "pin_" + marker: "1234"},
	}
	for _, f := range complaint.Fields() {
		d.Fields[f.Name] = secret
	}
	problems := Validate(d, testNow)
	if len(problems) < 40 {
		t.Fatalf("only %d problems: the draft is wrong everywhere", len(problems))
	}
	out, err := json.Marshal(problems)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), marker) {
		t.Error("a problem holds a given value or key")
	}
	if text := (&InvalidError{Problems: problems}).Error(); strings.Contains(text, marker) {
		t.Error("the error text holds a given value")
	}
}

func TestProblemSaysFieldAndKind(t *testing.T) {
	t.Parallel()
	got := CheckField("narrative", "CVV 123")
	if len(got) != 1 {
		t.Fatalf("got %d problems, want 1", len(got))
	}
	if kind, ok := got[0].C3(); !ok || kind != "cvn" || got[0].Field() != "narrative" {
		t.Errorf("got kind %s, %v, field %s", kind, ok, got[0].Field())
	}
	if err := complaint.CheckFacts("intake.c3_refused", map[string]any{"field": got[0].Field(), "c3_kind": "cvn"}); err != nil {
		t.Errorf("the event does not take what the problem says: %v", err)
	}
}

func TestDecodeDraft(t *testing.T) {
	t.Parallel()
	good, err := json.Marshal(validDraft())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"what we marshal", string(good), nil},
		{"unknown key", `{"source":"a","colour":1}`, []string{" unknown_field"}},
		{"authentication data as key", `{"cvv":"123","fields":{"otp":"1234"}}`, []string{" c3_cvn", "/fields c3_one_time_code"}},
		{"wrong types", `{"source":1,"group_flag":"yes","fields":{"phone":1380}}`, []string{"/source wrong_type", "/group_flag wrong_type", "/fields/phone wrong_type"}},
		{"null", `{"channel":null}`, []string{"/channel wrong_type"}},
		{"time", `{"received_at":"yesterday"}`, []string{"/received_at malformed"}},
		{"key twice", `{"source":"a","source":"b"}`, []string{" malformed"}},
		{"spelling of a key", `{"Source":"a"}`, []string{" unknown_field"}},
		{"fields is a list", `{"fields":[]}`, []string{" json_malformed"}},
		{"cut off", `{"source":"a"`, []string{" json_malformed"}},
		{"something behind", `{"source":"a"} {}`, []string{" json_malformed"}},
		{"not an object", `[1]`, []string{" json_malformed"}},
		{"empty", ``, []string{" json_malformed"}},
		{"not UTF-8", "{\"source\":\"\xff\"}", []string{" not_utf8"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, problems := DecodeDraft([]byte(tc.text))
			if diff := cmp.Diff(tc.want, codes(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	if _, problems := DecodeDraft([]byte(`{"source":"a","x":1,"y":2}`)); problems[0].Position != 2 || problems[1].Position != 3 {
		t.Errorf("positions of unknown keys: got %d and %d, want 2 and 3", problems[0].Position, problems[1].Position)
	}
}

func TestDraftSurvivesJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64Range(0, 1000).Draw(t, "seed")
		for d := range Generate(GeneratorConfig{Seed: seed, Count: 3, End: testNow}) {
			data, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			got, problems := DecodeDraft(data)
			if diff := cmp.Diff(d, got); diff != "" || len(problems) > 0 {
				t.Fatalf("decoding what was marshalled: %v %s", codes(problems), diff)
			}
		}
	})
}

func TestCleanFillsDefaults(t *testing.T) {
	t.Parallel()
	before := Draft{Source: " app ", Fields: map[string]string{"phone": " 138 ", "email": "  "}}
	got := Clean(before)
	want := Draft{
		Source: "app", ReceivedEvidence: "typed", Level: "unclassified", Referral: "none", PartyType: "self",
		Fields: map[string]string{"phone": "138"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Clean (-want +got):\n%s", diff)
	}
	if before.Source != " app " || before.Fields["phone"] != " 138 " {
		t.Error("Clean changed the draft that it was given")
	}
}

func FuzzDecodeDraft(f *testing.F) {
	good, _ := json.Marshal(validDraft())
	for _, s := range []string{string(good), `{"fields":{"cvv":"1"}}`, `{"received_at":"2026-01-01T00:00:00Z","asserted_at":null}`, "[", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, problems := DecodeDraft(data)
		if len(problems) > 0 {
			return
		}
		for _, p := range Validate(Clean(d), testNow) {
			if p.EN == "" {
				t.Fatalf("code %s is not in the registry", p.Code)
			}
		}
		if !json.Valid(data) {
			t.Fatal("accepted what is not JSON")
		}
	})
}
