package publish

// Sign signs a checkpoint that no publisher would.
var Sign = signCheckpoint
