package keyring

import "errors"

// ErrSuperseded says that a use was decided under a policy that is no longer
// the active one: it must be decided again. No key was lent.
var ErrSuperseded = errors.New("decided under a policy that is no longer active")

// SetPolicy binds the keyring to a generation of the policy, counted upwards:
// every key opened under an older one is void, and a LendRequest that was
// decided under an older one is refused with ErrSuperseded. A generation that is
// not newer changes nothing. Call it when a policy was activated; a LendRequest
// with a newer generation than any before does the same, so that a key opened
// under the old policy is not lent under the new one even if the call comes
// late. It returns how many keys were withdrawn.
//
// Without SetPolicy and with zero LendRequest.Policy there are no generations.
func (k *Keyring) SetPolicy(generation uint64) int {
	k.mu.Lock()
	if generation <= k.policy {
		k.mu.Unlock()
		return 0
	}
	k.policy = generation
	n := k.withdrawAll()
	k.mu.Unlock()
	k.heard("policy", n)
	return n
}

// Policy is the generation that the keyring is bound to; 0 means none.
func (k *Keyring) Policy() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.policy
}

// follow takes the newest generation of some requests as the active one.
func (k *Keyring) follow(reqs []LendRequest) {
	var newest uint64
	for i := range reqs {
		newest = max(newest, reqs[i].Policy)
	}
	if newest > 0 {
		k.SetPolicy(newest)
	}
}
