# The decision for one role, and the join over all roles that a person holds.
#
# Each rule adds a reason to one of four sets, by how much it takes away: nothing (the record does not exist for the role), meta_only,
# masked_only, note (takes nothing by itself, but explains what the view lacks). The widest scope that is left picks the role's view.
# Views are laid out once (package sealtrail.views), so that a decision is a handful of indexed rules and one look-up.
package sealtrail.access

import data.sealtrail.views

# METADATA
# title: The decision for input.role
# description: The engine asks for this document, once per role that the person holds, and joins the answers as "joined" below does.
# entrypoint: true
decision := {
	"allow": view.allow,
	"groups": view.groups,
	"hidden": hidden,
	"obligations": array.concat(views.obligations[input.action], [o | some o in obligation]),
	"reason": reason,
	"reasons": codes,
}

default view := {"allow": false, "groups": {}}

view := views.cell[input.role][input.purpose][input.action][input.sensitivity][scope]

scope := "nothing" if {
	count(nothing) > 0
} else := "meta" if {
	count(meta_only) > 0
} else := "masked" if {
	count(masked_only) > 0
} else := "full"

codes := ((nothing | meta_only) | masked_only) | note

reason := "released_breakglass" if {
	view.allow
	broken_glass
} else := "released_grant" if {
	view.allow
	input.facts.granted == true
} else := "released" if {
	view.allow
} else := min({[data.reasons[code].rank, code] | some code in codes})[1] if {
	count(codes) > 0
} else := "field_not_released"

# METADATA
# title: The decision for all of input.roles
# description: |
#   A second role never takes away from the first: a group has the widest effect that any role gives it. Duties that exclude one another
#   refuse everything (R12), for every role alike.
# entrypoint: true
joined := {
	"allow": true in {d.allow | some d in each},
	"groups": object.union_n(array.concat(
		[views.denied],
		array.concat([effects(d, "mask") | some d in each], [effects(d, "reveal") | some d in each]),
	)),
	"rules": {data.reasons[d.reason].rule | some d in each},
	"articles": {data.reasons[d.reason].article | some d in each},
}

each[role] := answer if {
	some role in input.roles
	answer := decision with input.role as role
}

effects(d, wanted) := {group: wanted |
	some group, effect in d.groups
	effect == wanted
}
