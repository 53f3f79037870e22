# Views.
# Lays the matrix out as one small view per role, purpose, action and sensitivity, after the rules took away what they withhold for
# ever. The engine evaluates this package once at activation and puts the result in its place as data.
package sealtrail.views

import data.sealtrail.access

# content: every group but meta.
content contains group if {
	some group in data.domain.groups
	group != "meta"
}

denied := {group: "deny" | some group in data.domain.groups}

# verb: what a role may do at all for a purpose.
verb[role][purpose] := {action: true | some action in actions} if {
	some role, row in data.matrix
	some purpose, entry in row.purposes
	actions := array.concat(array.concat(entry.see, entry.do), array.concat(
		["reveal" | count(entry.reveal) > 0],
		["amend" | count(entry.amend) > 0],
	))
}

# cell: the three layers of a view. meta shows that the record exists; mask and reveal are laid above it.
cell[role][purpose][action][sensitivity] := {
	"meta": meta_layer(entry, action),
	"mask": mask_layer(entry, action, shut[role][sensitivity]),
	"reveal": reveal_layer(entry, action, shut[role][sensitivity] | object.get(access.sealed, role, set())),
} if {
	some role, row in data.matrix
	some purpose, entry in row.purposes
	some action, _ in data.domain.actions
	some sensitivity in data.domain.sensitivities
}

# shut: groups that a role never gets for records of a sensitivity.
shut[role][sensitivity] := object.get(access.barred, role, set()) | object.get(access.withheld, [sensitivity, role], set()) if {
	some role, _ in data.matrix
	some sensitivity in data.domain.sensitivities
}

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
	some group in entry[action]
	not group in closed
} if {
	action in access.opening_actions
}

reveal_layer(entry, action, _) := {"act": "reveal"} if {
	not action in access.opening_actions
	action in entry.do
}
