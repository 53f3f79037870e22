package keyring

import (
	"container/list"
	"crypto/subtle"
	"time"
)

type elem = list.Element

// The functions of this file are called with Keyring.mu held.

// borrow lends a cached key if it is live and is the key that the row commits
// to: a row whose commitment was changed is not served from the cache.
func (k *Keyring) borrow(id RecordID, commitment [32]byte) *Lease {
	e := k.keys[id]
	if e == nil {
		return nil
	}
	now := k.cfg.Now()
	if k.expired(e, now) || e.uses >= k.cfg.MaxUses {
		k.void(e)
		return nil
	}
	if subtle.ConstantTimeCompare(e.commitment[:], commitment[:]) != 1 {
		return nil
	}
	k.recent.MoveToFront(e.cached)
	e.touched = now
	e.refs++
	return k.lease(e)
}

// lease counts one use of e; the reference was taken by the caller.
func (k *Keyring) lease(e *entry) *Lease {
	e.uses++
	return &Lease{ring: k, entry: e, use: e.uses}
}

// expired: the hard limit counts from opening, the idle limit from last use; a
// key that somebody holds is not idle.
func (k *Keyring) expired(e *entry, now time.Time) bool {
	return now.Sub(e.born) >= k.cfg.HardTTL || e.refs == 0 && now.Sub(e.touched) >= k.cfg.IdleTTL
}

// insert makes e borrowable, in place of an older key of the same id, and
// evicts the least recently used beyond MaxKeys.
func (k *Keyring) insert(e *entry) {
	if old := k.keys[e.id]; old != nil {
		k.void(old)
	}
	e.cached = k.recent.PushFront(e)
	k.keys[e.id] = e
	for k.recent.Len() > k.cfg.MaxKeys {
		k.void(k.recent.Back().Value.(*entry))
	}
}

// void takes e out of circulation and overwrites it when nobody holds it.
func (k *Keyring) void(e *entry) {
	if e.cached == nil {
		return
	}
	k.recent.Remove(e.cached)
	delete(k.keys, e.id)
	e.cached = nil
	k.stats.Voided++
	k.destroyIfFree(e)
}

// withdraw voids e for a reason: also those for whom it was unwrapped, but who
// have not got it yet, do not get it any more.
func (k *Keyring) withdraw(e *entry) {
	e.withdrawn = true
	k.void(e)
}

// withdrawAll withdraws every key and every key on its way.
func (k *Keyring) withdrawAll() int {
	for e := range k.minting {
		e.withdrawn = true
	}
	for _, f := range k.flights {
		f.stale = true
	}
	clear(k.flights)
	n := k.recent.Len()
	for k.recent.Len() > 0 {
		k.withdraw(k.recent.Front().Value.(*entry))
	}
	return n
}

// giveBack drops one reference.
func (k *Keyring) giveBack(e *entry) {
	e.refs--
	k.destroyIfFree(e)
}

func (k *Keyring) destroyIfFree(e *entry) {
	if e.refs > 0 || e.cached != nil {
		return
	}
	e.key.Destroy()
	k.mem.put(e.slot)
	e.slot = nil
}

// sweep voids what has expired, so that no key outlives its time unnoticed.
func (k *Keyring) sweep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	for el := k.recent.Front(); el != nil; {
		next := el.Next()
		if e := el.Value.(*entry); k.expired(e, now) {
			k.void(e)
		}
		el = next
	}
}
