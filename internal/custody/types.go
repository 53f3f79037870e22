package custody

import (
	"time"

	"github.com/sealtrail/sealtrail/internal/intake"
)

// Caller is who knocks at the door, as the identity layer established it. The
// roles are the token's; the door intersects them with the duty register.
type Caller struct {
	Institution string   // slug, e.g. "demo-bank"
	Person      string   // person or application id, as the duty register knows it
	Kind        Kind     // human, application or portal
	Roles       []string // roles the token claims
	Auth        string   // how the caller proved herself, e.g. "jwt:<issuer>"
	OnBehalf    string   // application through which a human came; empty if none
	Request     string   // request id, echoed to the caller and in every entry
	Net         string   // network zone name, never an address
	// Subject is the complainant's own complaint id when Kind is portal.
	Subject string

	keeper bool // the service's own upkeep; see keeperCaller
}

// Kind tells people from programs.
type Kind string

// The kinds of caller.
const (
	Human       Kind = "human"
	Application Kind = "application"
	Portal      Kind = "portal"
)

// AuditRef names the log entry that was durable before the answer left.
type AuditRef struct {
	Entry      uint64 `json:"entry,string" doc:"Entry id of the audit log"`
	BodySHA256 string `json:"body_sha256" doc:"SHA-256 of the entry's body: keep it, it convicts a change made before sequencing"`
}

// DecisionView is the part of a decision that its subject may see.
type DecisionView struct {
	ID      string `json:"id"`
	Rule    string `json:"rule"`
	Article string `json:"article"`
	Reason  string `json:"reason,omitempty"`
	Next    string `json:"next,omitempty"`
	Bundle  string `json:"bundle"`
}

// FieldState says why a field's value is, or is not, there.
type FieldState string

// The states of a field in an answer. No two of them can be confused: a masked
// value is never called revealed and an absent one is never called denied.
const (
	StateClear    FieldState = "clear"    // unclassified (C1)
	StateRevealed FieldState = "revealed" // classified, in clear, by an explicit reveal
	StateMasked   FieldState = "masked"
	StateDenied   FieldState = "denied"
	StateEmpty    FieldState = "empty"  // nothing was ever stored
	StateErased   FieldState = "erased" // its group was erased when its retention ended
)

// FieldView is one field in an answer.
type FieldView struct {
	Name  string     `json:"name"`
	Group string     `json:"group"`
	State FieldState `json:"state" enum:"clear,revealed,masked,denied,empty,erased"`
	Value string     `json:"value,omitempty"`
}

// Due is one time limit of a complaint.
type Due struct {
	Clock       string     `json:"clock"`
	Basis       string     `json:"basis"`
	Law         bool       `json:"law" doc:"true: law; false: the institution's adopted norm"`
	DueAt       time.Time  `json:"due_at"`
	RolledDueAt time.Time  `json:"rolled_due_at" doc:"after the roll to the next working day (Civil Code 203); a breach of law only after this one"`
	Provisional bool       `json:"provisional,omitempty" doc:"computed without that year's official calendar"`
	MetAt       *time.Time `json:"met_at,omitempty"`
	Binding     bool       `json:"binding,omitempty" doc:"the earliest unmet limit"`
}

// View is a complaint as one caller may see it for one purpose.
type View struct {
	ID          string            `json:"id"`
	ComplaintNo string            `json:"complaint_no"`
	Revision    uint64            `json:"revision"`
	Meta        map[string]string `json:"meta"`
	Fields      []FieldView       `json:"fields"`
	Files       []FileView        `json:"files,omitempty" doc:"Attachments and recordings that this caller may know of"`
	Due         []Due             `json:"due,omitempty"`
	// Broken: what is stored is not what was sealed; nothing was opened and the
	// finding is an entry. Only in pages, where one record must not hide others.
	Broken   bool         `json:"integrity_violation,omitempty" doc:"stored data fails its integrity check; nothing was opened"`
	Decision DecisionView `json:"decision"`
	Audit    AuditRef     `json:"audit"`
}

// CreateRequest stores one complaint.
type CreateRequest struct {
	Purpose string
	Draft   intake.Draft
	// IdempotencyKey makes a repeated call answer with the first one's resource;
	// empty: source and source id alone make it so.
	IdempotencyKey string
}

// Created answers a create.
type Created struct {
	ID          string   `json:"id"`
	ComplaintNo string   `json:"complaint_no"`
	Revision    uint64   `json:"revision"`
	State       string   `json:"state"`
	Due         []Due    `json:"due"`
	Existing    bool     `json:"existing" doc:"true when source and source id were already stored"`
	Audit       AuditRef `json:"audit"`
}

// BatchItem is the outcome of one complaint of a batch; exactly one of Created
// and Err is set.
type BatchItem struct {
	Created *Created
	Err     error
}

// ReadRequest reads one complaint, masked.
type ReadRequest struct {
	ID, Purpose string
	// MetaOnly leaves every sealed field out; it needs no Vault.
	MetaOnly bool
}

// ListRequest lists complaints by clear columns. It needs no Vault.
type ListRequest struct {
	Purpose    string
	State      string
	Department string
	Assignee   string
	DueBefore  time.Time // zero: any
	PageSize   int       // 1-200, default 50
	After      string    // cursor of the former page; empty: first page
}

// Page is one page of complaints.
type Page struct {
	Items []View   `json:"items"`
	Next  string   `json:"next_page_token,omitempty"`
	Audit AuditRef `json:"audit"`
}

// RevealRequest opens named fields in clear.
type RevealRequest struct {
	ID, Purpose string
	Fields      []string
	Reason      string
	Ticket      string
}

// SearchRequest finds complaints by one blind-indexed field.
type SearchRequest struct {
	Purpose  string
	Field    string
	Value    string
	PageSize int
}

// AmendRequest replaces sealed fields. A nil value empties the field.
type AmendRequest struct {
	ID, Purpose string
	Revision    uint64 // the revision the caller saw; 412 if it moved on
	Fields      map[string]*string
}

// TransitionRequest moves a complaint through its lifecycle.
type TransitionRequest struct {
	ID, Purpose string
	Revision    uint64
	Name        string
	// Inputs are the transition's own: clear facts (level, type, score ...) and
	// sealed texts (decision_text, plan ...), by the registry's names.
	Inputs map[string]string
}

// TrailItem is one line of a complaint's handling trail.
type TrailItem struct {
	Entry    uint64            `json:"entry,string"`
	Index    *uint64           `json:"index,omitempty,string" doc:"absent until sequenced"`
	LeafHash string            `json:"leaf_hash,omitempty"`
	At       time.Time         `json:"at"`
	Stage    string            `json:"stage"`
	Kind     string            `json:"kind"`
	Actor    string            `json:"actor"`
	Roles    []string          `json:"roles,omitempty"`
	Purpose  string            `json:"purpose,omitempty"`
	Fields   []string          `json:"fields,omitempty"`
	Result   string            `json:"result,omitempty"`
	Rule     string            `json:"rule,omitempty"`
	Article  string            `json:"article,omitempty"`
	Facts    map[string]string `json:"facts,omitempty"`
	Openings map[string]string `json:"openings,omitempty" doc:"What became of what opens each commitment of the entry: withheld, erased (by an approved erasure of the record), or missing, which is a violation"`
}

// Trail is who saw or did what on one complaint, why, and by which article.
type Trail struct {
	ID       string       `json:"id"`
	Erased   *Erased      `json:"erased,omitempty" doc:"The record was erased; its trail stays"`
	Items    []TrailItem  `json:"items"`
	Decision DecisionView `json:"decision"`
	Audit    AuditRef     `json:"audit"`
}

// EntryView is the state of one entry of the log.
type EntryView struct {
	Entry    uint64  `json:"entry,string"`
	State    string  `json:"state" enum:"pending,sequenced"`
	Index    *uint64 `json:"index,omitempty,string"`
	Log      string  `json:"log,omitempty"`
	LeafHash string  `json:"leaf_hash,omitempty"`
}

// Person is a row of the duty register, without anything that the person is
// called in private life.
type Person struct {
	ID         string   `json:"id"`
	Kind       Kind     `json:"kind" enum:"human,application,portal"`
	Department string   `json:"department"`
	StaffID    string   `json:"staff_id,omitempty" doc:"write only: kept as a blind index, for recusal"`
	Status     string   `json:"status" enum:"active,leave,left"`
	Duties     []Duty   `json:"duties,omitempty"`
	TrainedTo  string   `json:"trained_until,omitempty" doc:"date until which the confidentiality training is valid"`
	Undertaken string   `json:"undertaking,omitempty" doc:"version of the signed confidentiality undertaking"`
	Audit      AuditRef `json:"audit"`
}

// Duty is an appointment: it is in force once a second person confirmed it.
type Duty struct {
	ID          string    `json:"id"`
	Role        string    `json:"role"`
	Level       string    `json:"level" enum:"general,serious,major"`
	Department  string    `json:"department"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	AppointedBy string    `json:"appointed_by"`
	ConfirmedBy string    `json:"confirmed_by,omitempty"`
	Ended       bool      `json:"ended,omitempty"`
	Audit       AuditRef  `json:"audit"`
}

// Training is a passed course.
type Training struct {
	Person     string    `json:"person"`
	Course     string    `json:"course"`
	Score      int       `json:"score"`
	PassedAt   time.Time `json:"passed_at"`
	ValidUntil time.Time `json:"valid_until"`
	Audit      AuditRef  `json:"audit"`
}

// Undertaking is a signed confidentiality undertaking.
type Undertaking struct {
	Person  string   `json:"person"`
	Version string   `json:"version"`
	Audit   AuditRef `json:"audit"`
}

// Grant is an access grant: requested by one person, issued by another.
type Grant struct {
	ID        string    `json:"id"`
	Complaint string    `json:"complaint"`
	Requester string    `json:"requester"`
	Purpose   string    `json:"purpose"`
	Groups    []string  `json:"groups"`
	Reason    string    `json:"reason,omitempty" doc:"write only: sealed"`
	State     string    `json:"state" enum:"requested,issued,refused,revoked,expired"`
	Minutes   int       `json:"minutes" doc:"access life, counted from approval"`
	From      time.Time `json:"from,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	Reviewer  string    `json:"reviewer,omitempty"`
	Audit     AuditRef  `json:"audit"`
}

// BreakGlass is an emergency access to one record.
type BreakGlass struct {
	ID        string    `json:"id"`
	Complaint string    `json:"complaint"`
	Person    string    `json:"person"`
	Ticket    string    `json:"ticket"`
	Reason    string    `json:"reason,omitempty" doc:"write only: sealed"`
	OpenedAt  time.Time `json:"opened_at"`
	Until     time.Time `json:"until"`
	ClosedAt  time.Time `json:"closed_at,omitzero"`
	ReviewDue time.Time `json:"review_due"`
	Reviewer  string    `json:"reviewer,omitempty"`
	Justified *bool     `json:"justified,omitempty"`
	State     string    `json:"state" enum:"open,closed,reviewed"`
	Audit     AuditRef  `json:"audit"`
}
