package sealtrail.access_test

import data.sealtrail.access

test_r02_purpose_of_another_role if {
	d := access.decision with input as asks("quality", "read", "handle")
	not d.allow
	d.reason == "purpose_not_for_role"
}

test_r02_own_purpose if {
	d := access.decision with input as asks("quality", "read", "quality")
	d.allow
}
