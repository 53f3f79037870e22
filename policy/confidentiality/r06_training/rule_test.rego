package sealtrail.relations_test

import data.sealtrail.relations

test_r06_training_makes_unfit if {
	codes := relations.unfit with input as {"subject": {"id": "p-1", "unfit": ["training_expired"]}}
	codes == {"training_expired"}
	not relations.fit with input as {"subject": {"id": "p-1", "unfit": ["training_expired"]}}
}

test_r06_without_the_reason_fit if {
	relations.fit with input as {"subject": {"id": "p-1", "unfit": []}}
}
