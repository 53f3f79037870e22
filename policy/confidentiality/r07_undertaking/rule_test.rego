package sealtrail.relations_test

import data.sealtrail.relations

test_r07_undertaking_makes_unfit if {
	codes := relations.unfit with input as {"subject": {"id": "p-1", "unfit": ["undertaking_missing"]}}
	codes == {"undertaking_missing"}
	not relations.fit with input as {"subject": {"id": "p-1", "unfit": ["undertaking_missing"]}}
}

test_r07_without_the_reason_fit if {
	relations.fit with input as {"subject": {"id": "p-1", "unfit": []}}
}
