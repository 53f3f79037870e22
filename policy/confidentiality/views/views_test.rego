package sealtrail.views_test

import data.sealtrail.views

test_reveal_never_beyond_read if {
	every purposes in views.cell {
		every cells in purposes {
			every sensitivity in data.domain.sensitivities {
				read := cells.read[sensitivity].full.groups
				every group, effect in cells.reveal[sensitivity].full.groups {
					covered(effect, read[group])
				}
			}
		}
	}
}

covered("deny", _)

covered("mask", read) if read != "deny"

covered("reveal", read) if read != "deny"

test_scopes_narrow if {
	cell := views.cell.handler.handle.reveal.ordinary
	cell.full.groups.identity == "reveal"
	cell.masked.groups.identity == "mask"
	cell.meta.groups.identity == "deny"
	cell.meta.groups.meta == "reveal"
	cell.nothing.groups.meta == "deny"
	cell.full.allow
	not cell.masked.allow
}

test_conflict_is_symmetric if {
	every one, others in views.conflict {
		every other, _ in others {
			views.conflict[other][one]
		}
	}
}
