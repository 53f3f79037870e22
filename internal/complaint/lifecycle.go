package complaint

import (
	"errors"
	"fmt"
	"slices"
)

// States of the lifecycle. The registry's list is the full one; these are the
// names that code branches on.
const (
	StateRecorded  = "recorded"
	StateAccepted  = "accepted"
	StateRefused   = "refused"
	StateNotified  = "notified"
	StateClosed    = "closed"
	StateWithdrawn = "withdrawn"
	StateArchived  = "archived"
	StateErased    = "erased"
)

// Stages that policy sees.
const (
	StageOpen       = "open"
	StageClosed     = "closed"
	StageRestricted = "restricted"
	StageArchived   = "archived"
)

// Levels, lowest clearance first; an unclassified complaint counts as the
// highest until somebody has classified it.
const (
	LevelUnclassified = "unclassified"
	LevelGeneral      = "general"
	LevelSerious      = "serious"
	LevelMajor        = "major"
)

// Errors of the lifecycle; compare with errors.Is.
var (
	// ErrUnknownTransition: the registry has no transition of that name.
	ErrUnknownTransition = errors.New("no such transition")
	// ErrIllegalTransition: the transition does not start from the state.
	ErrIllegalTransition = errors.New("the transition does not start from this state")
	// ErrUnknownState: the registry has no such state.
	ErrUnknownState = errors.New("no such state")
)

// NextState returns the state after a transition and the kind of the event
// that records it. An act that leaves the state as it is returns state itself.
// Errors wrap ErrUnknownTransition, ErrUnknownState or ErrIllegalTransition
// and echo neither argument.
func NextState(state, transition string) (next, event string, err error) {
	v := Registry()
	t, ok := v.moves[transition]
	if !ok {
		return "", "", fmt.Errorf("choosing a transition: %w", ErrUnknownTransition)
	}
	if _, ok := v.states[state]; !ok {
		return "", "", fmt.Errorf("transition %s: %w", t.Name, ErrUnknownState)
	}
	if !slices.Contains(t.From, state) {
		return "", "", fmt.Errorf("transition %s: %w", t.Name, ErrIllegalTransition)
	}
	if t.To == "" {
		return state, t.Event, nil
	}
	return t.To, t.Event, nil
}

// StageOf returns the stage of a state; an unknown state is restricted, the
// stage in which policy shows least.
func StageOf(state string) string {
	s, ok := Registry().states[state]
	if !ok {
		return StageRestricted
	}
	return s.Stage
}

// TransitionsFrom lists the names of the transitions that may start from
// state, in the registry's order.
func TransitionsFrom(state string) []string {
	var names []string
	for _, t := range Registry().Transitions {
		if slices.Contains(t.From, state) {
			names = append(names, t.Name)
		}
	}
	return names
}

// LevelRank orders levels for clearance: general 1, serious 2, major 3.
// Unclassified and unknown levels rank as major.
func LevelRank(level string) uint8 {
	switch level {
	case LevelGeneral:
		return 1
	case LevelSerious:
		return 2
	}
	return 3
}
