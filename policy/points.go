package policy

import "iter"

// matrixRow is what Go needs of one role's row of the matrix.
type matrixRow struct {
	Purposes map[string]matrixEntry `json:"purposes"`
}

// matrixEntry is what a role has for one purpose.
type matrixEntry struct {
	See    []string `json:"see"`
	Mask   []string `json:"mask"`
	Reveal []string `json:"reveal"`
	Amend  []string `json:"amend"`
	// Disclose and Leave are what goes into a package for a recipient: under an approved disclosure, and when the institution leaves.
	Disclose []string `json:"disclose"`
	Leave    []string `json:"leave"`
	Do       []string `json:"do"`
}

// points walks over the whole decision domain (contracts.md 8): every role with each of its own purposes over every combination of the
// attributes and facts that an action reads; every role with each foreign purpose once per action, under the facts most in its favour;
// every pair of roles once per purpose for read, which is where duties could conflict; and the listed pairs over every fact of read.
// Only rule R12 looks at the other roles (a test proves it), so pairs need no more.
func (s *Snapshot) points(matrix map[string]matrixRow) iter.Seq[attributes] {
	read := index(actions, "read")
	return func(yield func(attributes) bool) {
		for role := range roles {
			if !s.rolePoints(1<<role, matrix, yield) {
				return
			}
			for other := range role {
				bits := uint32(1)<<role | uint32(1)<<other
				for purpose := range purposes {
					if !yield(s.best(attributes{roles: bits, action: uint8(read), purpose: uint8(purpose)})) {
						return
					}
				}
			}
		}
		for _, p := range s.domain.Pairs {
			bits := uint32(1)<<index(roles, p[0]) | uint32(1)<<index(roles, p[1])
			for purpose, name := range purposes {
				a := attributes{roles: bits, action: uint8(read), purpose: uint8(purpose)}
				if hasPurpose(bits, matrix, name) && !factPoints(a, s.plans[read].facts[purpose], yield) {
					return
				}
			}
		}
	}
}

// best sets the facts and step most in the subject's favour.
func (s *Snapshot) best(a attributes) attributes {
	p := s.plans[a.action]
	a.facts = p.facts[a.purpose] &^ (factImplicated | factHeld | factRetained)
	a.step = uint8(firstStep(p))
	return a
}

func (s *Snapshot) rolePoints(bits uint32, matrix map[string]matrixRow, yield func(attributes) bool) bool {
	for purpose, name := range purposes {
		for action := range actions {
			a := attributes{roles: bits, action: uint8(action), purpose: uint8(purpose)}
			if !hasPurpose(bits, matrix, name) {
				if !yield(s.best(a)) {
					return false
				}
				continue
			}
			if !s.actionPoints(a, yield) {
				return false
			}
		}
	}
	return true
}

func hasPurpose(bits uint32, matrix map[string]matrixRow, purpose string) bool {
	for i, r := range roles {
		if bits&(1<<i) == 0 {
			continue
		}
		if _, ok := matrix[r].Purposes[purpose]; ok {
			return true
		}
	}
	return false
}

// firstStep is 1 when the action reads a step, else 0.
func firstStep(p plan) int {
	if p.step {
		return 1
	}
	return 0
}

// actionPoints walks over every combination of what the action reads.
func (s *Snapshot) actionPoints(a attributes, yield func(attributes) bool) bool {
	p := s.plans[a.action]
	nStage, nSens, first, last := 1, 1, 0, 0
	if p.stage {
		nStage = len(stages)
	}
	if p.sens {
		nSens = len(sensitivities)
	}
	if p.step {
		first, last = 1, len(steps)
	}
	for stage := range nStage {
		for sens := range nSens {
			for step := first; step <= last; step++ {
				a.stage, a.sens, a.step = uint8(stage), uint8(sens), uint8(step)
				if !factPoints(a, p.facts[a.purpose], yield) {
					return false
				}
			}
		}
	}
	return true
}

// factPoints walks over every subset of the mask, the empty one first.
func factPoints(a attributes, mask uint16, yield func(attributes) bool) bool {
	for sub := uint16(0); ; sub = (sub - mask) & mask {
		a.facts = sub
		if !yield(a) {
			return false
		}
		if sub == mask {
			return true
		}
	}
}
