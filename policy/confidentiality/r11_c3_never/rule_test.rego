package sealtrail.access_test

import data.sealtrail.access

test_r11_a_matrix_that_invents_the_group_changes_nothing if {
	row := object.union(data.matrix.handler, {"purposes": {"handle": {"mask": ["c3"], "reveal": ["c3"], "amend": ["c3"]}}})
	d := access.decision with input as asks("handler", "reveal", "handle") with data.matrix as object.union(data.matrix, {"handler": row})
	not d.allow
	not "c3" in object.keys(d.groups)
}

test_r11_for_every_role if {
	every role, _ in data.matrix {
		"c3" in access.barred[role]
	}
}
