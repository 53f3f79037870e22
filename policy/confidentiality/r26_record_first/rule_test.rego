package sealtrail.access_test

import data.sealtrail.access

test_r26_every_action if {
	every action, _ in data.domain.actions {
		d := access.decision with input as asks("handler", action, "handle")
		{"do": "record_before_release", "article": "6.1.26"} in d.obligations
	}
}

test_r26_refusals_too if {
	d := access.decision with input as asks("analyst", "reveal", "quality")
	not d.allow
	{"do": "record_before_release", "article": "6.1.26"} in d.obligations
}
