package sealtrail.relations_test

import data.sealtrail.relations

world := {
	"action": "read",
	"purpose": "handle",
	"requester": "",
	"involved": [],
	"seconded": true,
	"at": 50,
	"subject": {
		"id": "p-1",
		"kind": "human",
		"department": "cards",
		"level": 2,
		"staff_token": "t-1",
		"data_subject_token": "",
		"unfit": [],
		"grants": [{"disclosure": false, "record": "c-1", "purpose": "handle", "groups": ["identity"], "from": 10, "until": 60}],
		"breakglass": [{"record": "c-1", "from": 10, "until": 60}],
	},
	"record": {
		"id": "c-1",
		"department": "cards",
		"assignee": "p-1",
		"level": "serious",
		"respondent_tokens": ["t-9"],
		"earlier_handlers": ["p-1"],
		"under_review": false,
		"data_subject_token": "d-1",
		"held": true,
		"retained_until": 50,
	},
}

changed(subject, record) := object.union(world, {"subject": subject, "record": record})

test_all_in_favour if {
	relations.facts == {
		"fit": true,
		"implicated": false,
		"assigned": true,
		"unit": true,
		"cleared": true,
		"granted": true,
		"breakglass": true,
		"held": true,
		"retained": false,
		"seconded": true,
	} with input as world
}

test_missing_facts_are_false_but_implicated if {
	relations.facts == {
		"fit": false,
		"implicated": true,
		"assigned": false,
		"unit": false,
		"cleared": false,
		"granted": false,
		"breakglass": false,
		"held": false,
		"retained": true,
		"seconded": false,
	} with input as {}
}

test_named_is_implicated if relations.implicated with input as changed({"staff_token": "t-9"}, {})

test_unknown_token_is_implicated if relations.implicated with input as changed({"staff_token": ""}, {})

test_earlier_handler_under_review_is_implicated if relations.implicated with input as changed({}, {"under_review": true})

test_application_is_no_staff if not relations.implicated with input as changed({"kind": "application"}, {})

test_unit if not relations.unit with input as changed({"department": "loans"}, {})

test_unclassified_counts_as_the_highest if {
	not relations.cleared with input as changed({}, {"level": "unclassified"})
	relations.cleared with input as changed({"level": 3}, {"level": "unclassified"})
}

test_windows_end if {
	not relations.granted with input as object.union(world, {"at": 60})
	not relations.breakglass with input as object.union(world, {"at": 60})
}

test_grant_is_for_its_purpose if not relations.granted with input as object.union(world, {"purpose": "approve"})

test_grant_of_nothing_is_no_grant if {
	every groups in [[], ["unheard_of"]] {
		grants := [{"disclosure": false, "record": "c-1", "purpose": "handle", "groups": groups, "from": 10, "until": 60}]
		not relations.granted with input as changed({"grants": grants}, {})
	}
}

test_own_object if {
	every requester in ["", "p-1"] {
		relations.assigned with input as object.union(world, {"action": "grant_review", "requester": requester})
	}
	not relations.assigned with input as object.union(world, {"action": "grant_review", "requester": "p-2"})
	relations.assigned with input as object.union(world, {"action": "people", "requester": "p-1"})
	not relations.assigned with input as object.union(world, {"action": "people", "requester": ""})
}

test_own_complaint if {
	portal := {"kind": "portal", "data_subject_token": "d-1"}
	relations.assigned with input as changed(portal, {})
	not relations.assigned with input as changed(portal, {"data_subject_token": "d-2"})
}

test_other_reasons_make_unfit if {
	every code in ["account_inactive", "budget_spent", "breakglass_unreviewed"] {
		relations.unfit == {code} with input as changed({"unfit": [code]}, {})
	}
	relations.unfit == {"unfit"} with input as changed({"unfit": ["sunspots"]}, {})
}

test_retention_ends if {
	not relations.retained with input as world
	relations.retained with input as object.union(world, {"at": 49})
	relations.retained with input as changed({}, {"retained_until": 0})
}

test_who_acted_before_is_no_reviewer if {
	every action in relations.reviews {
		asked := object.union(world, {"action": action, "requester": "p-2"})
		not relations.assigned with input as asked
		relations.assigned with input as object.union(asked, {"involved": ["p-3", "p-1"]})
	}
}

test_a_disclosure_is_no_access_grant if {
	every disclosure in [true, false] {
		grant := {"disclosure": disclosure, "record": "c-1", "purpose": "handle", "groups": ["identity"], "from": 10, "until": 60}
		asked := changed({"grants": [grant]}, {})
		read := relations.granted with input as asked
		read != disclosure
		every action in ["disclose", "leave"] {
			packed := relations.granted with input as object.union(asked, {"action": action})
			packed == disclosure
		}
	}
}
