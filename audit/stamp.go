package audit

import "strconv"

// StampDir holds time stamps of checkpoints (RFC 3161 responses).
const StampDir = "stamp"

// StampPath returns where the time stamp of the checkpoint of the given size is kept.
func StampPath(size uint64) string { return StampDir + "/" + strconv.FormatUint(size, 10) + ".tsr" }
