package complaint

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMask(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ profile, value, want string }{
		{"none", "张三丰", "张三丰"},
		{"name", "张三", "张*"},
		{"name", "张三丰", "张**"},
		{"name", "欧阳锋", "欧阳*"},
		{"name", "欧阳某某", "欧阳**"},
		{"name", "欧阳", "欧*"},
		{"name", "张", "*"},
		{"name", "买买提·阿不都热西提", "买***"},
		{"name", "John Smith", "J***"},
		{"name", " 李四 ", "李*"},
		{"id", "110108197912011815", "1****************5"},
		{"id", "E12345678", "E*******8"},
		{"id", "12345", "***"},
		{"card", "6216618196816157", "621661******6157"},
		{"card", "6228 4893 1164 3870 175", "622848*********0175"},
		{"card", "123456789012", "***"},
		{"account", "0200-2480-1123-4", "*********1234"},
		{"account", "1234567", "***"},
		{"phone", "13800132032", "138****2032"},
		{"phone", "+86 138-0013-2032", "138****2032"},
		{"phone", "0791-88123456", "079****3456"},
		{"phone", "10086", "***"},
		{"email", "zhang@example.com", "z***@example.com"},
		{"email", "z@example.com", "***@example.com"},
		{"email", "none", "***"},
		{"address", "北京市海淀区中关村大街45号2栋1单元2756室", "北京市海淀区***"},
		{"address", "江西省南昌市红谷滩区丰和中大道120号", "江西省南昌市红谷滩区***"},
		{"address", "四川省成都市武侯区天府大道43号", "四川省成都市武侯区***"},
		{"address", "新疆维吾尔自治区巴音郭楞蒙古自治州库尔勒市人民东路1号", "新疆维吾尔自治区巴音郭楞蒙古自治州库尔勒市***"},
		{"address", "浙江省义乌市稠州北路1号", "浙江省义乌市***"},
		{"address", "北京市幸福小区3号", "北京市***"},
		{"address", "12 Main Street", "***"},
		{"address", "江西省南昌市", "江西省***"},
		{"date", "1979-12-01", "1970-1979"},
		{"date", "2001年3月4日", "2000-2009"},
		{"date", "unknown", "***"},
		{"amount", "35234.45", "10000-50000"},
		{"amount", "999.99", "0-1000"},
		{"amount", "1000000", ">=1000000"},
		{"amount", "about 5", "***"},
		{"redacted", "请回电13592052032，谢谢", "请回电[phone]，谢谢"},
		{"hidden", "anything", "***"},
		{"staff", "80012345", "***45"},
		{"staff", "A1", "***"},
		{"no such profile", "value", "***"},
		{"id", "", ""},
	} {
		if got := Mask(tc.profile, tc.value); got != tc.want {
			t.Errorf("Mask(%s): got %q, want %q", tc.profile, got, tc.want)
		}
	}
}

func TestEveryFieldHasAMaskThatHides(t *testing.T) {
	t.Parallel()
	samples := map[string]string{
		"name": "欧阳某某", "id": "110108197912011815", "date": "1979-12-01", "phone": "13800132032", "email": "zhang@example.com",
		"card": "6216618196816157", "account": "0200248011234", "amount": "35234.45", "staff": "80012345",
		"text": "北京市海淀区中关村大街45号，电话13800132032",
	}
	for _, f := range SealedFields() {
		value, ok := samples[f.Kind]
		if !ok {
			t.Fatalf("%s: no sample for kind %s", f.Name, f.Kind)
		}
		if got := Mask(f.Mask, value); got == value || strings.Contains(got, value) {
			t.Errorf("%s: mask %s shows the whole value", f.Name, f.Mask)
		}
	}
}

func TestAmountBand(t *testing.T) {
	t.Parallel()
	for yuan, want := range map[string]string{
		"": "none", "0": "none", "0.00": "none", "1": "lt_1k", "999.99": "lt_1k", "1000": "lt_10k", "9999.99": "lt_10k",
		"10000": "lt_50k", "50000": "lt_200k", "199999.99": "lt_200k", "200000": "lt_1m", "1000000.00": "ge_1m",
		"999999999999.99": "ge_1m", "1000000000000": "none", "1.234": "none", "-5": "none", "1,000": "none", "5.": "none", ".5": "none",
	} {
		if got := AmountBand(yuan); got != want {
			t.Errorf("AmountBand(%q): got %s, want %s", yuan, got, want)
		}
		if !Registry().Has("amount_band", want) {
			t.Errorf("%s is not in the registry", want)
		}
	}
}

// FuzzMask: no profile panics, and none but "none" and "redacted" returns a
// value of more than a few runes whole.
func FuzzMask(f *testing.F) {
	for _, s := range []string{"欧阳某某", "110108197912011815", "a@b.cn", "北京市海淀区", "\xff\xfe", "1234567890123", "***"} {
		f.Add(s)
	}
	profiles := Registry().Allowed("mask")
	f.Fuzz(func(t *testing.T, value string) {
		for _, p := range profiles {
			got := Mask(p, value)
			if p == "none" || p == "redacted" || p == "amount" {
				continue // an amount may stand at the edge of its band
			}
			if utf8.RuneCountInString(value) > 4 && strings.Contains(got, value) && !strings.Contains(value, "*") {
				t.Fatalf("profile %s shows the whole value of %d runes", p, utf8.RuneCountInString(value))
			}
			if utf8.ValidString(value) && !utf8.ValidString(got) {
				t.Fatalf("profile %s broke the encoding", p)
			}
		}
	})
}
