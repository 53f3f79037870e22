package verify_test

import (
	"context"
	"fmt"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
	"github.com/sealtrail/sealtrail/audit/verify"
)

func ExampleVerify() {
	log := audittest.New(audittest.Config{})
	log.PutBlob([]byte("policy bundle"))
	log.Append(audittest.Bodies(10)...)
	yesterday := log.Checkpoint()
	log.Append(audittest.Body(10))

	opts := verify.Options{VerifierKey: log.VerifierKey()} // the key MUST come from elsewhere than the folder
	forged := log.Rewrite(func(i uint64, b *audit.Body) bool { return i != 4 })

	report, err := verify.Verify(context.Background(), forged.Folder(), opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.OK(), len(report.Unchecked()), "steps not checked")

	opts.Pinned = [][]byte{yesterday}
	report, err = verify.Verify(context.Background(), forged.Folder(), opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, finding := report.FirstFinding()
	fmt.Println(report.OK(), finding.Text.EN)
	// Output:
	// true 2 steps not checked
	// false the first 10 entries are not those that it saw: the log was rewritten
}
