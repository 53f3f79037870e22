# Relations.
# Turns subject, record and time into the finite facts. The engine runs the same in typed Go (policy/relations.go); a test enumerates
# small worlds and shows both equal. This is the only place where identifiers are compared. A missing fact is false, but implicated
# and retained are true unless they are shown to be false. Times are whole nanoseconds since 1970, UTC.
package sealtrail.relations

# METADATA
# title: The facts
# entrypoint: true
facts := {
	"fit": fit,
	"implicated": implicated,
	"assigned": assigned,
	"unit": unit,
	"cleared": cleared,
	"granted": granted,
	"breakglass": breakglass,
	"held": held,
	"retained": retained,
	"seconded": seconded,
}

default fit := false

fit if {
	input.subject.id != ""
	count(unfit) == 0
}

unfit contains "account_inactive" if "account_inactive" in input.subject.unfit

unfit contains "budget_spent" if "budget_spent" in input.subject.unfit

unfit contains "breakglass_unreviewed" if "breakglass_unreviewed" in input.subject.unfit

# A reason that the chapter does not know still makes the person unfit.
unfit contains "unfit" if {
	some code in input.subject.unfit
	not code in {"training_expired", "undertaking_missing", "account_inactive", "budget_spent", "breakglass_unreviewed"}
}

default implicated := true

# An application, a complainant and the service itself are no staff: nothing can be about them as respondents, and their roles show no respondent.
implicated := false if input.subject.kind in {"application", "portal", "service"}

implicated := false if {
	input.subject.kind == "human"
	input.subject.id != ""
	not named
	not handled_before
}

# An unknown staff token cannot be shown to be absent from the respondents.
named if {
	input.subject.staff_token == ""
	count(input.record.respondent_tokens) > 0
}

named if input.subject.staff_token in input.record.respondent_tokens

handled_before if {
	input.record.under_review == true
	input.subject.id in input.record.earlier_handlers
}

# reviews: actions on what another person asked for.
reviews := {"grant_review", "breakglass_review", "hold_release", "erase_approve", "disclose_approve", "leave_approve", "investigate_approve"}

default assigned := false

assigned if {
	input.action in reviews
	input.requester in {"", input.subject.id}
}

assigned if {
	input.action in reviews
	input.subject.id in input.involved
}

assigned if {
	input.action in {"people", "keys"}
	input.requester == input.subject.id
	input.requester != ""
}

assigned if {
	not input.action in (reviews | {"people", "keys"})
	input.subject.kind == "human"
	input.record.assignee == input.subject.id
	input.subject.id != ""
}

assigned if {
	not input.action in (reviews | {"people", "keys"})
	input.subject.kind == "portal"
	input.record.data_subject_token == input.subject.data_subject_token
	input.subject.data_subject_token != ""
}

default unit := false

unit if {
	input.subject.kind == "human"
	input.record.department == input.subject.department
	input.record.department != ""
}

# Duty levels; unclassified counts as the highest until somebody classifies it.
rank := {"general": 1, "serious": 2, "major": 3, "unclassified": 3}

default cleared := false

cleared if input.subject.level >= rank[input.record.level]

# An approved disclosure opens to the recipient's package only, an access grant to the reader only.
default disclosing := false

disclosing if input.action in {"disclose", "leave"}

default granted := false

granted if {
	some grant in input.subject.grants
	grant.disclosure == disclosing
	grant.record == input.record.id
	grant.record != ""
	grant.purpose == input.purpose
	some group in grant.groups
	group in data.domain.groups
	grant.from <= input.at
	input.at < grant.until
}

default breakglass := false

breakglass if {
	some window in input.subject.breakglass
	window.record == input.record.id
	window.record != ""
	window.from <= input.at
	input.at < window.until
}

default held := false

held if input.record.held == true

# Retention that is not known to have ended has not ended; 0 stands for no known end.
default retained := true

retained := false if {
	input.record.retained_until != 0
	input.at >= input.record.retained_until
}

default seconded := false

seconded if input.seconded == true
