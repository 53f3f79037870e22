package server

import (
	"os"
	"runtime/debug"
)

const (
	// gcPercent lets the heap grow to five times what is live before it is
	// collected. Live are some 20 MB, so that a request at Go's default of 100
	// pays 15 % of its CPU time for collections that free little each.
	gcPercent = 400
	// memoryLimit makes collections more frequent before the heap gets near the
	// 512 MiB that the service promises to stay below at its peak.
	memoryLimit = 384 << 20
)

// TuneMemory sets how often this process collects garbage, unless GOGC or
// GOMEMLIMIT say it. It is for a command's start.
func TuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
