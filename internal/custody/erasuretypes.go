package custody

import "time"

// LegalHold keeps a record from erasure and from being overwritten. It ends by
// two persons: one asks for the release, another releases.
type LegalHold struct {
	ID        string `json:"id"`
	Complaint string `json:"complaint"`
	Reason    string `json:"reason" doc:"Member of the set hold_reason"`
	// Reference is the court's or the authority's file number.
	Reference      string    `json:"reference" doc:"File number of the court or authority; no personal data"`
	PlacedBy       string    `json:"placed_by"`
	PlacedAt       time.Time `json:"placed_at"`
	ReleaseAskedBy string    `json:"release_asked_by,omitempty"`
	ReleaseAskedAt time.Time `json:"release_asked_at,omitzero"`
	ReleasedBy     string    `json:"released_by,omitempty"`
	ReleasedAt     time.Time `json:"released_at,omitzero"`
	State          string    `json:"state" enum:"open,release_asked,released"`
	Revision       uint64    `json:"revision,omitempty" doc:"The record's revision after this act"`
	Audit          AuditRef  `json:"audit"`
}

// LegalHolds is an answer to a question about a record's holds.
type LegalHolds struct {
	Items []LegalHold `json:"items"`
	Audit AuditRef    `json:"audit"`
}

// ErasureRequest asks for an erasure. Nothing happens before another person, the
// data protection officer, approves it.
type ErasureRequest struct {
	Purpose string
	// Scope is record, groups (of one record) or subject (every record of the
	// complainant of the named one).
	Scope     string
	Complaint string
	// Groups are field groups, for scope groups only.
	Groups []string
	// Basis is a member of the set erasure_basis.
	Basis string
}

// Erasure is a request and what became of it, record by record.
type Erasure struct {
	ID          string        `json:"id"`
	Scope       string        `json:"scope" enum:"record,groups,subject"`
	Complaint   string        `json:"complaint"`
	Groups      []string      `json:"groups,omitempty"`
	Basis       string        `json:"basis"`
	RequestedBy string        `json:"requested_by"`
	RequestedAt time.Time     `json:"requested_at"`
	DecidedBy   string        `json:"decided_by,omitempty"`
	DecidedAt   time.Time     `json:"decided_at,omitzero"`
	State       string        `json:"state" enum:"requested,refused,approved,executed" doc:"approved: some records are still pending; approving again goes on with them"`
	Items       []ErasureItem `json:"records,omitempty" doc:"What became of each record, once it is decided"`
	Audit       AuditRef      `json:"audit"`
}

// ErasureItem is what became of one record.
type ErasureItem struct {
	Complaint string `json:"complaint"`
	Result    string `json:"result" enum:"pending,held,retained,shredded,reduced,irrecoverable"`
	// Hold and Until say why a record was kept.
	Hold  string    `json:"hold,omitempty" doc:"The legal hold that keeps it"`
	Until time.Time `json:"until,omitzero" doc:"End of the statutory retention; absent while it has not begun to run"`
	// Suggest is what can be done instead of erasing.
	Suggest    string    `json:"suggest,omitempty" enum:"restrict" doc:"What can be done instead: restrict (封存), a transition of the record"`
	KeyVersion int       `json:"key_version,omitempty" doc:"Version of the master key that wrapped the destroyed data key"`
	At         time.Time `json:"at,omitzero"`
	Entry      uint64    `json:"entry,string,omitempty" doc:"Log entry of stage 1"`
	// FinalAt and FinalEntry are of stage 2.
	FinalAt    time.Time `json:"irrecoverable_at,omitzero"`
	FinalEntry uint64    `json:"irrecoverable_entry,string,omitempty" doc:"Log entry of stage 2"`
}

// Erasures is a list of requests.
type Erasures struct {
	Items []Erasure `json:"items"`
	Audit AuditRef  `json:"audit"`
}

// Erased says of a record's trail that the record is erased.
type Erased struct {
	Erasure string `json:"erasure,omitempty" doc:"Id of the erasure; its receipt proves it"`
	Entry   uint64 `json:"entry,string,omitempty" doc:"Log entry of the erasure"`
}
