package stream

import "strings"

// Activities of Datastore Activity that entries have (OCSF 1.6.0).
const (
	activityRead    = 1
	activityUpdate  = 2
	activityQuery   = 4
	activityCreate  = 6
	activityDelete  = 7
	activityList    = 8
	activityDecrypt = 10
)

// Activities of Entity Management.
const (
	entityCreate = 1
	entityUpdate = 3
	entityDelete = 4
)

// findingCreate is the activity of a finding that is new.
const findingCreate = 1

// datastore are the kinds that are an act on a record of their own activity;
// every other kind of a record's trail is an update of it.
func datastore(kind string) (activity int, ok bool) {
	switch kind {
	case "complaint.recorded", "complaint.file_added", "intake.ingested":
		return activityCreate, true
	case "access.read", "access.trail", "access.result", "access.denied", "access.checked", "access.looked":
		return activityRead, true
	case "access.reveal", "access.file", "record.scrubbed":
		return activityDecrypt, true
	case "access.search", "access.log", "access.report":
		return activityQuery, true
	case "access.list", "access.disclosed", "access.evidence", "disclosure.produced":
		return activityList, true
	case "erasure.shredded", "erasure.reduced", "erasure.irrecoverable":
		return activityDelete, true
	}
	return 0, false
}

// findings are the kinds that somebody must look at.
func finding(kind string) bool {
	switch kind {
	case "access.integrity", "record.stale", "record.lost", "trail.violation", "key.config_alarm", "reconciliation.alarm",
		"population.difference", "witness.split", "witness.stale", "clock.skew", "intake.c3_refused":
		return true
	}
	return false
}

// managed are the first words of kinds by which something but a record is
// managed, and what it is.
func managed(word string) (entity string, ok bool) {
	switch word {
	case "person", "duty", "training", "undertaking", "alias":
		return "User", true
	case "grant", "breakglass", "investigation", "disclosure":
		return "Grant", true
	case "bundle", "norm", "definitions", "calendar", "policy":
		return "Policy", true
	case "key", "suite", "index":
		return "Key", true
	case "query":
		return "Query", true
	}
	return "", false
}

// lifecycle are the first words of kinds that speak of the service and the log
// themselves.
func lifecycle(word string) bool {
	switch word {
	case "log", "trail", "service", "outage", "node", "witness", "time", "reconciliation", "population", "source", "stream", "backup", "intake", "mirror":
		return true
	}
	return false
}

// record are the first words of kinds about one record.
func record(word string) bool {
	switch word {
	case "complaint", "access", "record", "hold", "erasure", "confirmation_letter", "satisfaction", "contact", "transfer":
		return true
	}
	return false
}

// classOf says what a kind is in OCSF. A kind that a later version of the
// registry brings is an unnamed activity of the service: it is never left out.
func classOf(kind string) class {
	word, verb, _ := strings.Cut(kind, ".")
	if finding(kind) {
		return class{uid: classFinding, activity: findingCreate}
	}
	if activity, ok := datastore(kind); ok {
		return class{uid: classDatastore, activity: activity}
	}
	if entity, ok := managed(word); ok {
		return class{classEntity, entityActivity(verb), entity}
	}
	if record(word) {
		return class{uid: classDatastore, activity: activityUpdate}
	}
	return class{uid: classLifecycle, activity: activityOther}
}

func entityActivity(verb string) int {
	switch verb {
	case "added", "appointed", "requested", "opened", "issued", "made", "loaded", "signed", "passed", "adopted", "saved", "epoch_opened":
		return entityCreate
	case "ended", "revoked", "expired", "closed", "deleted", "erased", "epoch_dropped", "leases_voided":
		return entityDelete
	}
	return entityUpdate
}

// known reports whether a kind has a place of its own, for the test that no kind
// of the registry was forgotten.
func known(kind string) bool {
	word, _, _ := strings.Cut(kind, ".")
	_, own := datastore(kind)
	_, entity := managed(word)
	return finding(kind) || own || entity || record(word) || lifecycle(word)
}
