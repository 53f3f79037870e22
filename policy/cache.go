package policy

import "sync"

// cellKey names a cell: packed attributes, and the groups to which a grant narrows it (0 = no grant used).
type cellKey struct {
	key   uint64
	grant uint16
}

const cacheShards = 64

// cellCache keeps cells that OPA answered. It belongs to one snapshot and dies with it, so no entry can be stale; a full shard takes no
// more, which costs speed and nothing else. Safe for concurrent use.
type cellCache struct {
	limit  int // per shard
	shards [cacheShards]struct {
		mu sync.RWMutex
		m  map[cellKey]*cell
		_  [32]byte // keeps neighbours off one cache line
	}
}

func newCellCache(size int) *cellCache {
	c := &cellCache{limit: max(size/cacheShards, 1)}
	for i := range c.shards {
		c.shards[i].m = map[cellKey]*cell{}
	}
	return c
}

// shard spreads keys with Fibonacci hashing: neighbouring keys differ in high bits only.
func (k cellKey) shard() uint64 {
	return ((k.key ^ uint64(k.grant)<<47) * 0x9e3779b97f4a7c15) >> 58
}

func (c *cellCache) get(k cellKey) *cell {
	s := &c.shards[k.shard()]
	s.mu.RLock()
	v := s.m[k]
	s.mu.RUnlock()
	return v
}

func (c *cellCache) put(k cellKey, v *cell) {
	s := &c.shards[k.shard()]
	s.mu.Lock()
	if len(s.m) < c.limit {
		s.m[k] = v
	}
	s.mu.Unlock()
}
