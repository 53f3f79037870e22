# Views: the matrix laid out as one small view per role, purpose, action, sensitivity and scope, after the rules took away what they
# withhold for ever. The engine evaluates this package once at activation and puts the result in its place as data.
package sealtrail.views

import data.sealtrail.access

# content: every group but meta.
content contains group if {
	some group in data.domain.groups
	group != "meta"
}

denied := {group: "deny" | some group in data.domain.groups}

# verb: what a role may do at all for a purpose.
verb[role][purpose] := {action: true | some action in verbs} if {
	some role, row in data.matrix
	some purpose, entry in row.purposes
	verbs := array.concat(
		array.concat(entry.see, entry.do),
		[verb | some verb in access.opening_actions; count(object.get(entry, verb, [])) > 0],
	)
}

# obligations: what every decision on an action obliges to, allow or deny.
obligations[action] := [o | some o in access.duty[action]] if some action, _ in data.domain.actions

# conflict: R12's excluded pairs, both ways round.
conflict[one][other] if {
	some one, others in access.exclusive
	some other in others
}

conflict[other][one] if {
	some one, others in access.exclusive
	some other in others
}

# cell: for each scope, whether the action is allowed and the effect on every group.
cell[role][purpose][action][sensitivity] := {
	"nothing": {"allow": false, "groups": denied},
	"meta": shown(action, false, [meta]),
	"masked": shown(action, false, [mask, meta]),
	"full": shown(action, action in entry.do, [mask, meta, reveal]),
} if {
	some role, row in data.matrix
	some purpose, entry in row.purposes
	some action, _ in data.domain.actions
	some sensitivity in data.domain.sensitivities
	closed := shut[role][sensitivity]
	meta := meta_layer(entry, action)
	mask := mask_layer(entry, action, closed)
	reveal := reveal_layer(entry, action, closing(action, role, closed))
}

# shown lays the layers over "deny", wider ones last.
shown(action, act, layers) := {"allow": allowed(action, act, groups), "groups": groups} if {
	groups := object.union_n(array.concat([denied], layers))
}

default allowed(_, _, _) := false

allowed(action, act, _) if {
	data.domain.actions[action].needs == "act"
	act == true
}

allowed(action, _, groups) if {
	data.domain.actions[action].needs == "meta"
	groups.meta == "reveal"
}

allowed(action, _, groups) if {
	data.domain.actions[action].needs == "content"
	some group in content
	groups[group] == "reveal"
}

# shut: groups that a role never gets for records of a sensitivity.
shut[role][sensitivity] := object.get(access.barred, role, set()) | object.get(access.withheld, [sensitivity, role], set()) if {
	some role, _ in data.matrix
	some sensitivity in data.domain.sensitivities
}

# closing: what is closed to an opening action. A package of everything for the institution's own key leaves nothing but C3 behind.
closing(action, role, closed) := closed | object.get(access.sealed, role, set()) if not leaving(action, role)

closing(action, role, _) := {"c3"} if leaving(action, role)

leaving("leave", role) if role in access.leavers

default meta_layer(_, _) := {}

meta_layer(entry, action) := {"meta": "reveal"} if {
	data.domain.actions[action].record == true
	action in array.concat(entry.see, entry.do)
}

# Whoever may read a record learns nothing from a refusal of something else, so metadata stays and the answer is 403, not 404.
meta_layer(entry, action) := {"meta": "reveal"} if {
	data.domain.actions[action].record == true
	not action in {"read", "list"}
	"read" in entry.see
}

default mask_layer(_, _, _) := {}

mask_layer(entry, action, closed) := {group: "mask" |
	some group in entry.mask
	not group in closed
} if {
	action in {"read", "reveal"}
}

default reveal_layer(_, _, _) := {}

reveal_layer(entry, action, closed) := {group: "reveal" |
	some group in object.get(entry, action, [])
	not group in closed
} if {
	action in access.opening_actions
}
