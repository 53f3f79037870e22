package evidence

import "github.com/sealtrail/sealtrail/audit"

// Kept is what there still is to open one commitment.
type Kept struct {
	Salt  [16]byte
	Value string
	// Shown says that whoever asks may see it.
	Shown bool
	// Never says that nobody keeps anything to open it: it is withheld from all alike.
	Never bool
}

// States says what became of each commitment of an entry, but of audit.StatePath: kept is what there is by path, erased whether the
// approved erasure of the entry's record is proved. A value that does not fit its commitment counts as missing: it is not
// what was committed to. What is neither shown, withheld nor erased is missing, a violation.
func States(commit map[string]string, kept map[string]Kept, erased bool) map[string]State {
	out := map[string]State{}
	for path, digest := range commit {
		if path == audit.StatePath {
			continue
		}
		k, there := kept[path]
		switch {
		case there && k.Never, there && !k.Shown:
			out[path] = Withheld
		case there && audit.Commit(path, k.Salt, []byte(k.Value)) == digest:
			out[path] = Disclosed
		case !there && erased:
			out[path] = Erased
		default:
			out[path] = Missing
		}
	}
	return out
}
