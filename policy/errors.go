package policy

import "errors"

// Errors that callers branch on. Every one of them comes with a Decision that refuses.
var (
	// ErrPurposeRequired says that the request names no purpose (R2). The caller's fault: 400 purpose_required.
	ErrPurposeRequired = errors.New("purpose required")
	// ErrUnknownPurpose says that the purpose is not in the closed list. The caller's fault: 400.
	ErrUnknownPurpose = errors.New("unknown purpose")
	// ErrUnknownAction says that the action is not governed by the table. A fault of the program that asks.
	ErrUnknownAction = errors.New("unknown action")
	// ErrUnknownTransition says that action transition names no transition, or one that the table does not know.
	ErrUnknownTransition = errors.New("unknown transition")
	// ErrUnknownAttribute says that a kind, level, stage or sensitivity is outside its closed list.
	ErrUnknownAttribute = errors.New("unknown attribute")
	// ErrRecordRequired says that the action is about one record and the request carries none.
	ErrRecordRequired = errors.New("record required")
	// ErrEvaluation says that OPA gave no usable answer in time. Ours: 500; the Decision refuses.
	ErrEvaluation = errors.New("policy evaluation")
	// ErrBundle says that a bundle cannot be activated. It is wrapped by what New and Load return.
	ErrBundle = errors.New("policy bundle")
)
