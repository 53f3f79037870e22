package policy

import (
	"context"
	"io/fs"
)

// Field is one field of the catalogue: its name, the group it belongs to and its class (C1, C2 or C3).
type Field struct{ Name, Group, Class string }

// Catalogue is the list of fields over which the effects of groups are spread. Class C3 and unknown groups are always denied.
type Catalogue struct{ Fields []Field }

// Config says what New builds an Engine from.
type Config struct {
	// Bundle is the policy as a directory tree; nil takes the embedded chapter (policy/confidentiality).
	Bundle fs.FS
	// Catalogue is required.
	Catalogue Catalogue
	// CacheSize bounds the decision cache in cells; 0 means 1<<19, more than the whole domain.
	CacheSize int
}

// Engine answers requests from one immutable Snapshot behind an atomic pointer. It is safe for concurrent use.
type Engine struct{}

// New loads, compiles and checks the bundle. The error wraps ErrBundle.
func New(ctx context.Context, c Config) (*Engine, error) { return &Engine{}, nil }

// Decide answers one request. The Decision refuses whenever the error is not nil.
func (e *Engine) Decide(ctx context.Context, r Request) (Decision, error) {
	return Decision{}, ErrEvaluation
}

// Admit decides what can be decided without a record: whether role, purpose and the subject's own state (training, undertaking, account,
// budget, separation of duties) refuse the action on every record alike. Its answer depends on no record, so the door asks it before it
// looks an id up and may answer 403 with the plain reason; a refusal by Decide with MetaDenied is a 404. A Decision that is Allowed here
// opens nothing: its fields are all denied.
func (e *Engine) Admit(ctx context.Context, r Request) (Decision, error) {
	return Decision{}, ErrEvaluation
}

// Bundle gives the digest (SHA-256, lower-case hex) and the deterministic archive of the active bundle, to be published as
// blob/sha256/<digest>. The archive must not be changed.
func (e *Engine) Bundle() (digest string, archive []byte) { return "", nil }

// Sequence counts activations, from 1.
func (e *Engine) Sequence() uint64 { return 0 }

// Reason explains one reason code.
type Reason struct {
	Code    string `json:"code"`
	Rule    string `json:"rule"`
	Article string `json:"article"`
	// Chinese and English are whole sentences for the person refused (or, for an allow, for the trail).
	Chinese string `json:"zh"`
	English string `json:"en"`
	// Next is the code of the next step; NextChinese and NextEnglish say it.
	Next        string `json:"next"`
	NextChinese string `json:"next_zh"`
	NextEnglish string `json:"next_en"`
}

// Reasons lists every reason code of the active bundle, sorted by code.
func (e *Engine) Reasons() []Reason { return nil }

// Reason looks one code up.
func (e *Engine) Reason(code string) (Reason, bool) { return Reason{}, false }
