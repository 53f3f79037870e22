package intake_test

import (
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/internal/intake"
)

func ExampleValidate() {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	draft := intake.Clean(intake.Draft{
		Source: "app", SourceID: "A-17", Channel: "phone", ReceivedAt: now,
		Fields: map[string]string{"narrative": "无法登录，我的密码是abc123", "id_number": "110108197912011816"},
	})
	for _, p := range intake.Validate(draft, now) {
		fmt.Println(p.Pointer, p.Code, p.ZH)
	}
	// Output:
	// /fields/id_number id_check_digit 证件号码校验位不符
	// /fields/narrative c3_password 含登录密码，不得提交
}

func ExampleGenerate() {
	end := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for draft := range intake.Generate(intake.GeneratorConfig{Seed: 1, Count: 2, End: end}) {
		fmt.Println(draft.SourceID, draft.BusinessCode, draft.Channel)
	}
	// Output:
	// g-1-000000 wealth phone
	// g-1-000001 loan phone
}
