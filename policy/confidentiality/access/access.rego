# The decision.
# Puts the rules together. Each rule adds [role, reason] to one of four sets, by how much it takes away:
# nothing (the record does not exist for the role), meta_only, masked_only, note (takes nothing by itself, but explains).
# What is left of the role's view is laid over "deny", wider effects last; so a person's second role never takes away from the first.
package sealtrail.access

import data.sealtrail.views

# METADATA
# title: The decision
# description: The answer to one request. This is the document that the engine asks for.
# entrypoint: true
decision := {
	"allow": allow,
	"groups": object.remove(layered, ["act"]),
	"hidden": hidden,
	"obligations": obligations,
	"reason": reason,
	"reasons": codes,
	"rules": {data.reasons[code].rule | some code in codes | {reason}},
	"articles": {data.reasons[code].article | some code in codes | {reason}},
}

default allow := false

allow if {
	data.domain.actions[input.action].needs == "act"
	layered.act == "reveal"
}

allow if {
	data.domain.actions[input.action].needs == "meta"
	layered.meta == "reveal"
}

allow if {
	data.domain.actions[input.action].needs == "content"
	some group in views.content
	layered[group] == "reveal"
}

blocked contains role if some [role, _] in nothing

narrowed contains role if some [role, _] in meta_only

veiled contains role if some [role, _] in masked_only

view[role] := views.cell[role][input.purpose][input.action][input.sensitivity] if {
	some role in input.roles
	not role in blocked
}

layered := object.union_n(array.concat(
	[views.denied],
	array.concat(mask_layers, array.concat(meta_layers, reveal_layers)),
))

meta_layers := [cell.meta | some cell in view]

mask_layers := [cell.mask |
	some role, cell in view
	not role in narrowed
]

reveal_layers := [cell.reveal |
	some role, cell in view
	not role in narrowed
	not role in veiled
]

codes contains code if some [_, code] in nothing

codes contains code if some [_, code] in meta_only

codes contains code if some [_, code] in masked_only

codes contains code if some [_, code] in note

default reason := "not_evaluated"

reason := "no_role" if {
	not allow
	count(codes) == 0
}

reason := min({[data.reasons[code].rank, code] | some code in codes})[1] if {
	not allow
	count(codes) > 0
}

reason := "released" if {
	allow
	not input.facts.granted
	not broken_glass
}

reason := "released_grant" if {
	allow
	input.facts.granted == true
	not broken_glass
}

reason := "released_breakglass" if {
	allow
	broken_glass
}
