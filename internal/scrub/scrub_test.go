package scrub

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestScanFindsWhatCanBeProved(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       []string // kind=text
	}{
		{"identity number", "身份证号110108197912011815，", []string{"id_number=110108197912011815"}},
		{"identity number with X in small letters", "证件11010519491231002x。", []string{"id_number=11010519491231002x"}},
		{"identity number in groups", "110105 19491231 002X", []string{"id_number=110105 19491231 002X"}},
		{"wrong check digit", "110108197912011816", nil},
		{"date that does not exist", "110108197913011815", nil},
		{"card", "卡号6216618196816157，", []string{"bank_card=6216618196816157"}},
		{"card in groups", "卡号6228 4893 1164 3870 175，", []string{"bank_card=6228 4893 1164 3870 175"}},
		{"card with hyphens", "4111-1111-1111-1111", []string{"bank_card=4111-1111-1111-1111"}},
		{"Luhn without a known issuer", "9000000000000009", nil},
		{"order number", "订单编号677537197841403592566336", nil},
		{"reference with letters", "TS13800138000", nil},
		{"mobile", "电话13592052032。", []string{"phone=13592052032"}},
		{"mobile in groups", "166 1384-5490", []string{"phone=166 1384-5490"}},
		{"mobile with country code", "+86 138 0013 8000", []string{"phone=+86 138 0013 8000"}},
		{"mobile after letters that announce it", "tel13800138000", []string{"phone=13800138000"}},
		{"full-width digits", "电话１３８００１３８０００", []string{"phone=１３８００１３８０００"}},
		{"invisible characters inside", "138\u200b0013\u200b8000", []string{"phone=138\u200b0013\u200b8000"}},
		{"landline", "010-62345678", []string{"phone=010-62345678"}},
		{"landline of four digits area", "0791-88123456", []string{"phone=0791-88123456"}},
		{"amount", "13800138000.50元", nil},
		{"e-mail in Chinese text", "邮箱zhang.san@example.com。", []string{"email=zhang.san@example.com"}},
		{"not an e-mail", "微信@小王 a@b", nil},
		{"two numbers side by side", "尾号 100 13800138000", []string{"phone=13800138000"}},
		{"not UTF-8", "\xff13800138000\xfe", []string{"phone=13800138000"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, s := range Scan(tc.text) {
				got = append(got, s.Kind+"="+tc.text[s.Start:s.End])
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("Scan(-want +got):\n%s", d)
			}
		})
	}
}

func TestRedactHidesEveryLongNumber(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ text, want string }{
		{"本人身份证号110108197912011815，电话135 9205 2032，流水号502032558556907096609065。", "本人身份证号[id]，电话[phone]，流水号[number]。"},
		{"卡6216618196816157，邮箱a.b@c.cn，工号80123", "卡[card]，邮箱[email]，工号[number]"},
		{"扣款35234.45元，尾号4126", "扣款[number]元，尾号4126"},
		{"2025年2月2日", "2025年2月2日"},
		{"1-2-3-4-5", "[number]"},
		{"12345-13800138000", "[number][phone]"},
	} {
		if got := Redact(tc.text); got != tc.want {
			t.Errorf("Redact: got %q, want %q", got, tc.want)
		}
	}
	if got, want := Redact("张三说张三丰姓王", "张三", "王"), "[name]说[name]丰姓王"; got != want {
		t.Errorf("Redact with a known name: got %q, want %q", got, want)
	}
}

func TestFindC3(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text string
		want string // kind=value, empty for nothing
	}{
		{"我的密码是abc123", "password=abc123"},
		{"登录密码：Qwerty", "password=Qwerty"},
		{"密码123456", "password=123456"},
		{"网银密码设置成了8888888888", "password=8888888888"},
		{"取款密码：123456，", "pin=123456"},
		{"PIN码1234", "pin=1234"},
		{"my pin is 4321.", "pin=4321"},
		{"CVV 123", "cvn=123"},
		{"cvv2:9876", "cvn=9876"},
		{"卡片背面CVN码是 837", "cvn=837"},
		{"背面三位数 837", "cvn=837"},
		{"安全码是 321", "cvn=321"},
		{"ＣＶＶ：１２３", "cvn=１２３"},
		{"CVV 123 13800138000", "cvn=123"},
		{"OTP 123456", "one_time_code=123456"},
		{"验证码: 123456", "one_time_code=123456"},
		{"短信验证码是“778899”", "one_time_code=778899"},
		{"the verification code was 123 456", "one_time_code=123 456"},
		{"security code 123", "cvn=123"},
		{"security code: 123456", "one_time_code=123456"},
		{"password: hunter2", "password=hunter2"},
		{"pwd=S3cret!", "password=S3cret"},
		{"%B6216618196816157^ZHANG/SAN^2512101000?", "track_data=%B6216618196816157^ZHANG/SAN^2512101000"},
		{";6216618196816157=25121010000?", "track_data=;6216618196816157=25121010000"},
		{"有效期05/27", "expiry=05/27"},
		{"expiry date: 11/2029", "expiry=11/2029"},
		{"忘记密码", ""},
		{"忘记密码后损失50000元", ""},
		{"密码连续输错3次，卡被锁", ""},
		{"银行让我把密码改成6位数", ""},
		{"没有收到验证码", ""},
		{"验证码10分钟内有效", ""},
		{"密码器坏了，金额123456元", ""},
		{"My password is incorrect again", ""},
		{"I was pinned to 2024 terms", ""},
		{"they asked for the CVV", ""},
		{"password is XXXX XXXX", ""},
		{"合同有效期2025年", ""},
		{"expiry 05/27/2025", ""},
		{"opinion 1234", ""},
		{"密码是1000元礼品卡的", ""},
	} {
		var got []string
		for _, c := range FindC3(tc.text) {
			got = append(got, c.Kind+"="+tc.text[c.Start:c.End])
		}
		if g := strings.Join(got, " "); g != tc.want {
			t.Errorf("FindC3(%q): got %q, want %q", tc.text, g, tc.want)
		}
	}
}

func TestC3Key(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"cvv": "cvn", "CVV2": "cvn", "card_cvn": "cvn", "Pin": "pin", "password": "password", "one-time-code": "one_time_code",
		"otp": "one_time_code", "验证码": "one_time_code", "支付密码": "pin", "track2": "track_data", "expiry_date": "expiry",
		"phone": "", "pinyin": "", "": "", "passport": "",
	} {
		if got, _ := C3Key(key); got != want {
			t.Errorf("C3Key(%q): got %q, want %q", key, got, want)
		}
	}
}

func TestRedactLeavesNoFiveDigitsTogether(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("0123456789 -.,/_@abxX年卡号+８\u200b"))).Draw(t, "text")
		out := fold(Redact(text))
		for _, run := range digitRuns(out, isLooseJoiner) {
			if n := run.count(0, len(run.groups)); n >= 5 {
				t.Fatalf("a run of %d digits is left in %q", n, Redact(text))
			}
		}
	})
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{"电话135 9205 2032", "a@b.cn", "CVV 123", "%B6216618196816157^A^2512?", "\xff\xfe1", "密码是“abc123”", "12345-13800138000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at := 0
		for _, s := range Scan(text) {
			if s.Start < at || s.End <= s.Start || s.End > len(text) {
				t.Fatalf("span %v is out of order in %d bytes", s, len(text))
			}
			at = s.End
		}
		for _, c := range FindC3(text) {
			if c.Start < 0 || c.End <= c.Start || c.End > len(text) {
				t.Fatalf("find %v is outside of %d bytes", c, len(text))
			}
		}
		if out := Redact(text); utf8.ValidString(text) && !utf8.ValidString(out) {
			t.Fatal("redaction broke the encoding")
		}
	})
}
