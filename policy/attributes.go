package policy

// Bits of the facts, in the order of facts.
const (
	factFit uint16 = 1 << iota
	factImplicated
	factAssigned
	factUnit
	factCleared
	factGranted
	factBreakglass
	factHeld
	factRetained
	factSeconded
)

// attributes are the finite attributes of one request: all that OPA ever sees of it, each an index into its closed list.
type attributes struct {
	roles   uint32 // bit per index in roles
	action  uint8
	purpose uint8
	stage   uint8
	sens    uint8
	step    uint8 // index in steps + 1; 0 = none
	facts   uint16
}

// Widths of the packed key, low bits first: roles 24, action 4, purpose 4, stage 2, sensitivity 2, step 3, facts 12, action 2, step 1.
// Action and step have their high bits above the facts: the lists grew after commitments were in logs, and what could be said then keeps
// its number.
const (
	shiftAction     = 24
	shiftPurpose    = shiftAction + 4
	shiftStage      = shiftPurpose + 4
	shiftSens       = shiftStage + 2
	shiftStep       = shiftSens + 2
	shiftFacts      = shiftStep + 3
	shiftActionHigh = shiftFacts + 12
	shiftStepHigh   = shiftActionHigh + 2
)

// pack is the key of the decision table. Two requests with the same key are the same request to the policy.
func (a attributes) pack() uint64 {
	return uint64(a.roles) | uint64(a.action&15)<<shiftAction | uint64(a.purpose)<<shiftPurpose | uint64(a.stage)<<shiftStage |
		uint64(a.sens)<<shiftSens | uint64(a.step&7)<<shiftStep | uint64(a.facts)<<shiftFacts |
		uint64(a.action>>4)<<shiftActionHigh | uint64(a.step>>3)<<shiftStepHigh
}

// unpack is the inverse of pack.
func unpack(k uint64) attributes {
	return attributes{
		roles: uint32(k & (1<<shiftAction - 1)), purpose: uint8(k >> shiftPurpose & 15), stage: uint8(k >> shiftStage & 3),
		action: uint8(k>>shiftAction&15 | k>>shiftActionHigh&3<<4), sens: uint8(k >> shiftSens & 3),
		step: uint8(k>>shiftStep&7 | k>>shiftStepHigh&1<<3), facts: uint16(k >> shiftFacts & (1<<12 - 1)),
	}
}

// index finds a name in a closed list; -1 when it is not there. The lists are short: a scan beats a map.
func index(list []string, name string) int {
	for i, n := range list {
		if n == name {
			return i
		}
	}
	return -1
}
