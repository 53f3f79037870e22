package complaint_test

import (
	"fmt"

	"github.com/sealtrail/sealtrail/internal/complaint"
)

func ExampleNextState() {
	next, event, err := complaint.NextState("recorded", "accept")
	fmt.Println(next, event, err)
	_, _, err = complaint.NextState("recorded", "close")
	fmt.Println(err)
	// Output:
	// accepted complaint.accepted <nil>
	// transition close: the transition does not start from this state
}

func ExampleMask() {
	f, _ := complaint.FieldByName("phone")
	fmt.Println(f.Group, f.Class, complaint.Mask(f.Mask, "138 0013 2032"))
	// Output: contact C2 138****2032
}

func ExampleCheckFacts() {
	err := complaint.CheckFacts("complaint.closed", map[string]any{"close_reason": "because"})
	fmt.Println(err)
	// Output: checking facts of complaint.closed: close_reason: want one of complainant_agreed, review_window_passed, review_final
}
