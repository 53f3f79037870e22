package scrub_test

import (
	"fmt"

	"github.com/sealtrail/sealtrail/internal/scrub"
)

func ExampleRedact() {
	fmt.Println(scrub.Redact("请回电 135 9205 2032，卡号6216618196816157，流水号5020325585"))
	// Output: 请回电 [phone]，卡号[card]，流水号[number]
}

func ExampleFindC3() {
	for _, find := range scrub.FindC3("CVV 123，验证码是 445566，密码忘记了") {
		fmt.Println(find.Kind)
	}
	// Output:
	// cvn
	// one_time_code
}
