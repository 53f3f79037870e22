package telemetry

// This file is the allow-list of every attribute that a log line, a span or a
// metric of Sealtrail may carry, and of every metric. Whoever adds a name says
// here what it holds. A name MUST NOT hold a protected value, a search term, a
// token, an address of a caller, or the id of a person or a record.

// Metric names. Units are in the metadata of the instrument.
const (
	MetricRequestDuration  = "http.server.request.duration" // s, histogram
	MetricRequestsRunning  = "http.server.active_requests"  // {request}
	MetricTokensRefused    = "sealtrail.tokens.refused"     // {token}, by cause
	MetricDroppedAttribute = "sealtrail.telemetry.dropped"  // {attribute}, by signal
	MetricReady            = "sealtrail.ready"              // 1 ready, 0 not, by check
	MetricDoorDuration     = "sealtrail.door.duration"      // s, histogram, by stage
	MetricDecisions        = "sealtrail.decisions"          // {decision}, by action, effect and public reason
	MetricScrubbed         = "sealtrail.scrub.records"      // {record} looked at
	MetricScrubFindings    = "sealtrail.scrub.findings"     // {record} that are not what was sealed
	MetricReaped           = "sealtrail.reaped"             // {request} closed as unknown
	MetricReconcileAlarms  = "sealtrail.reconcile.alarms"   // {alarm}, by finding
	MetricLogSize          = "sealtrail.log.size"           // {entry}, published
	MetricLogAge           = "sealtrail.log.age"            // s since the last signed checkpoint
	MetricLogLeader        = "sealtrail.log.leader"         // 1: this process publishes the log, 0: another one
	MetricMirrorSize       = "sealtrail.mirror.size"        // {entry} in the store, read back
	MetricMirrorLag        = "sealtrail.mirror.lag"         // s since the store has lacked something; 0: nothing
	MetricCosignatures     = "sealtrail.log.cosignatures"   // {signature}, of the last checkpoint
	MetricWitnessAge       = "sealtrail.witness.age"        // s since the newest cosignature, by witness, and of the quorum
	MetricWitnessLag       = "sealtrail.witness.lag"        // {entry} published and not cosigned, by witness
	MetricWitnessAlarms    = "sealtrail.witness.alarms"     // {alarm}, by kind
	MetricStreamBehind     = "sealtrail.stream.behind"      // {entry} signed and not handed over, by stream
	MetricStreamFailing    = "sealtrail.stream.failing"     // 1: its receiver takes nothing, by stream
	MetricKeyFindings      = "sealtrail.key.findings"       // {finding}, by vault_key
	MetricKeyLookAge       = "sealtrail.key.look.age"       // s since every key in Vault was looked at
)

// Attribute names that our own code sets.
const (
	AttrMethod    = "http.request.method"       // one of the standard methods
	AttrRoute     = "http.route"                // the pattern, never the path
	AttrStatus    = "http.response.status_code" // number
	AttrCode      = "code"                      // stable problem code
	AttrRequest   = "request"                   // request id that we made
	AttrCause     = "cause"                     // why a token was refused
	AttrSignal    = "signal"                    // log, span or metric
	AttrCheck     = "check"                     // name of a readiness check
	AttrDuration  = "duration"                  // of what the line is about
	AttrError     = "err"                       // errors hold names, never values (style 15)
	AttrStack     = "stack"                     // of a recovered panic; frames, no values
	AttrComponent = "component"                 // which part of the service speaks
)

// logAttributes may appear on a log line. The first group is written by this
// repository, the second by nobody else.
func logAttributes() []string {
	return []string{
		AttrMethod, AttrRoute, AttrStatus, AttrCode, AttrRequest, AttrCause, AttrCheck, AttrDuration, AttrError, AttrStack, AttrComponent,
		"addr",        // an address we listen on
		"attempt",     // number
		"batch",       // id of a batch of Vault items
		"bundle",      // SHA-256 of a policy bundle
		"check_name",  // name of a check
		"count",       // number
		"digest",      // SHA-256 of public bytes
		"entries",     // number
		"error",       // as err
		"entry",       // entry id of the log
		"file",        // a file of our own folders
		"finding",     // name of a finding
		"index",       // index in the log
		"institution", // slug
		"kind",        // event kind
		"lag",         // duration
		"lag_ms",      // number
		"listen",      // an address we listen on
		"log",         // origin of a log
		"migration",   // number
		"name",        // of one of our parts
		"origin",      // of a log
		"pid",         // of a process we started
		"port",        // number
		"reason",      // reason code
		"root",        // tree root, hex
		"rule",        // rule id
		"size",        // of a tree, or bytes
		"stage",       // intent, outcome or event
		"state",       // of a part, or a lifecycle state
		"status",      // of a part
		"table",       // database table
		"unit",        // of a number
		"vault_key",   // name of a Vault key
		"version",     // of the program, a key or a schema
		"witness",     // name of a witness
		"trace_id", "span_id",
	}
}

// spanAttributes may appear on a span or one of its events.
func spanAttributes() []string {
	return []string{
		AttrMethod, AttrRoute, AttrStatus, AttrCode, AttrRequest, AttrCause, AttrCheck, AttrComponent,
		"rule", "reason", "bundle", "outcome", "items", "entries", "size", "batch", "lease", "cached", "attempt", "vault_key", "stage", "kind",
		"error.type", "exception.type", "otel.status_code",
		// of a database library; db.query.text and db.statement stay out although our SQL has no values in it
		"db.system", "db.system.name", "db.operation", "db.operation.name", "db.collection.name", "db.namespace", "db.response.status_code",
		"pgx.operation.type", "pgx.prepare_stmt.name", "pgx.rows_affected", "db.client.operation.batch.size",
		// otelhttp, for calls to Vault: no URL, no path, no query
		"server.address", "server.port", "network.protocol.name", "network.protocol.version",
		// resource
		"service.name", "service.version", "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version",
	}
}

// metricAttributes may be labels of a metric: few values each.
func metricAttributes() []string {
	return []string{
		AttrMethod, AttrRoute, AttrStatus, AttrCode, AttrCause, AttrSignal, AttrCheck, AttrComponent,
		"rule", "reason", "outcome", "action", "effect", "stage", "kind", "state", "cached", "operation", "log", "witness", "vault_key", "stream", "finding",
		"error.type", "db.system", "db.system.name", "db.operation", "db.operation.name", "db.client.connection.pool.name", "db.client.connection.state",
		"pgx.operation.type", "pgx.pool.name", "server.address", "server.port", "network.protocol.name", "network.protocol.version",
		"go.memory.type",
	}
}

// allowList is a set of names.
type allowList map[string]struct{}

func newAllowList(names []string) allowList {
	l := make(allowList, len(names))
	for _, n := range names {
		l[n] = struct{}{}
	}
	return l
}

func (l allowList) has(name string) bool { _, ok := l[name]; return ok }
