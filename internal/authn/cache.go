package authn

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxCached bounds the verified tokens kept: about 4 MB at 400 bytes each.
const maxCached = 10_000

// cached is a verified token's identity. It is believed until a moment (unix
// nanoseconds) and only while the issuer's keys are those it was checked with.
type cached struct {
	id         Identity
	until      int64
	generation uint64
}

// tokenCache maps the SHA-256 of a token to its identity, so that a token costs
// one signature check a minute instead of one a request. The token itself is
// not kept. The zero value is ready; safe for concurrent use.
type tokenCache struct {
	mu sync.RWMutex
	m  map[[sha256.Size]byte]cached
}

func (c *tokenCache) get(digest [sha256.Size]byte, now time.Time, generation uint64) (Identity, bool) {
	c.mu.RLock()
	e, ok := c.m[digest]
	c.mu.RUnlock()
	if !ok || e.generation != generation || now.UnixNano() >= e.until {
		return Identity{}, false
	}
	return e.id, true
}

// put keeps e. A full cache forgets one arbitrary token: the map's iteration
// order is random, which is eviction enough for a cache of this size.
func (c *tokenCache) put(digest [sha256.Size]byte, e cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[[sha256.Size]byte]cached)
	}
	if len(c.m) >= maxCached {
		for k := range c.m {
			delete(c.m, k)
			break
		}
	}
	c.m[digest] = e
}
