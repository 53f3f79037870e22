package audittest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"testing/fstest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// Config says what log New makes. The zero value is a log of one fixed key and no witness.
type Config struct {
	Origin  string    // default "sealtrail.example/demo/2026"
	Seed    byte      // varies the log's key
	Witness bool      // checkpoints get a witness's cosignature
	Start   time.Time // time of the first entry, default 2026-01-02T03:04:05Z; each further one is a millisecond later
	FirstID uint64    // entry id of the first entry, default 1
	Trails  *Trails   // trails of an earlier log that run on
}

// Trails is the end of every trail of a log, for the log that continues it.
type Trails struct {
	n    map[string]uint64
	prev map[string][32]byte
}

// Log is a published log in memory. Not safe for concurrent use.
type Log struct {
	origin string
	key    ed25519.PrivateKey
	wit    ed25519.PrivateKey
	now    time.Time
	nextID uint64

	leaves [][]byte
	tree   audit.Tree
	trails *Trails
	folder fstest.MapFS
}

// WitnessName is the name under which the witness of a Log signs.
const WitnessName = "witness.example/audittest"

// New returns an empty log without a checkpoint.
func New(c Config) *Log {
	if c.Origin == "" {
		c.Origin = "sealtrail.example/demo/2026"
	}
	if c.Start.IsZero() {
		c.Start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	if c.FirstID == 0 {
		c.FirstID = 1
	}
	if c.Trails == nil {
		c.Trails = &Trails{n: map[string]uint64{}, prev: map[string][32]byte{}}
	}
	l := &Log{origin: c.Origin, key: testKey("log", c.Seed), now: c.Start, nextID: c.FirstID, trails: c.Trails, folder: fstest.MapFS{}}
	if c.Witness {
		l.wit = testKey("witness", 0)
	}
	l.tree.Full = func(level int, index uint64, data []byte) error {
		l.put(audit.TilePath(level, index, 0), append([]byte(nil), data...))
		return nil
	}
	return l
}

// testKey derives a key that everybody can derive.
func testKey(use string, seed byte) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(fmt.Sprintf("audittest/%s/%d", use, seed)))
	return ed25519.NewKeyFromSeed(sum[:])
}

// Append encodes the bodies, gives them their places and publishes a checkpoint over all entries. It panics on a body that
// cannot be encoded.
func (l *Log) Append(bodies ...audit.Body) {
	for i := range bodies {
		raw, err := bodies[i].Canonical()
		if err != nil {
			panic(fmt.Sprintf("audittest: body %d: %v", i, err))
		}
		l.AppendRaw(raw, bodies[i].Subject)
	}
	l.Publish()
}

// AppendRaw adds a body's bytes as they are, to the trail of the subject, without publishing.
func (l *Log) AppendRaw(body []byte, subject string) {
	l.AppendLeaf(audit.AssembleLeaf(body, audit.Position{
		ID: l.nextID, Index: l.tree.Size(), Log: l.origin, SeqAt: l.now, TrailN: l.trails.n[subject] + 1, TrailPrev: l.trails.prev[subject],
	}), subject)
}

// Later lets the sequencer's clock run on before the next entry.
func (l *Log) Later(d time.Duration) { l.now = l.now.Add(d) }

// AppendLeaf adds a leaf's bytes as they are, without publishing: for logs whose writer misbehaves.
func (l *Log) AppendLeaf(leaf []byte, subject string) {
	hash := audit.LeafHash(leaf)
	l.trails.n[subject]++
	l.trails.prev[subject] = hash
	l.leaves = append(l.leaves, leaf)
	l.nextID++
	l.now = l.now.Add(time.Millisecond)
	if err := l.tree.Append(hash); err != nil {
		panic(fmt.Sprintf("audittest: %v", err))
	}
}

// Publish writes bundles, partial tiles, checkpoints/<size> and checkpoint for the present size.
func (l *Log) Publish() {
	size := l.tree.Size()
	for level := 0; level*audit.TileHeight < 64; level++ {
		if index, data := l.tree.Partial(level); data != nil {
			l.put(audit.TilePath(level, index, len(data)/audit.HashSize), append([]byte(nil), data...))
		}
	}
	full, rest := audit.TileCount(size, 0)
	for i := uint64(0); i < full; i++ {
		if _, done := l.folder[audit.EntriesPath(i, 0)]; !done {
			l.put(audit.EntriesPath(i, 0), l.bundle(i, audit.TileWidth))
		}
	}
	if rest > 0 {
		l.put(audit.EntriesPath(full, rest), l.bundle(full, rest))
	}
	signed := l.Sign(audit.Checkpoint{Origin: l.origin, Size: size, Root: l.tree.Root()})
	l.put(audit.CheckpointSizePath(size), signed)
	l.put(audit.CheckpointPath, signed)
}

func (l *Log) bundle(index uint64, width int) []byte {
	b, err := audit.EncodeBundle(l.leaves[index*audit.TileWidth:][:width])
	if err != nil {
		panic(fmt.Sprintf("audittest: %v", err))
	}
	return b
}

func (l *Log) put(path string, data []byte) {
	l.folder[path] = &fstest.MapFile{Data: data, Mode: 0o644}
}

// PutBlob stores bytes under their SHA-256 and returns it in hex.
func (l *Log) PutBlob(data []byte) string {
	sum := sha256.Sum256(data)
	name := hex.EncodeToString(sum[:])
	l.put(audit.BlobPath(name), append([]byte(nil), data...))
	return name
}

// Sign returns the checkpoint as a note signed by the log and, if there is one, the witness.
func (l *Log) Sign(c audit.Checkpoint) []byte {
	text := c.Marshal()
	out := append(append([]byte(nil), text...), '\n')
	out = signature(out, l.origin, 0x01, l.key, ed25519.Sign(l.key, text))
	if l.wit == nil {
		return out
	}
	unix := uint64(l.now.Unix())
	sig := binary.BigEndian.AppendUint64(nil, unix)
	sig = append(sig, ed25519.Sign(l.wit, audit.CosignatureMessage(text, unix))...)
	return signature(out, WitnessName, 0x04, l.wit, sig)
}

// signature appends one signature line.
func signature(out []byte, name string, alg byte, key ed25519.PrivateKey, sig []byte) []byte {
	id := sha256.Sum256(append([]byte(name+"\n"), encodedKey(alg, key)...))
	return fmt.Appendf(out, "— %s %s\n", name, base64.StdEncoding.EncodeToString(append(id[:4:4], sig...)))
}

func encodedKey(alg byte, key ed25519.PrivateKey) []byte {
	return append([]byte{alg}, key.Public().(ed25519.PublicKey)...)
}

// VerifierKey returns the log's key as a note verifier key.
func (l *Log) VerifierKey() string {
	v, err := note.NewEd25519VerifierKey(l.origin, l.key.Public().(ed25519.PublicKey))
	if err != nil {
		panic(fmt.Sprintf("audittest: %v", err))
	}
	return v
}

// WitnessKey returns the verifier key of the witness, whether or not this log has one.
func (l *Log) WitnessKey() string {
	key := encodedKey(0x04, testKey("witness", 0))
	id := sha256.Sum256(append([]byte(WitnessName+"\n"), key...))
	return fmt.Sprintf("%s+%x+%s", WitnessName, id[:4], base64.StdEncoding.EncodeToString(key))
}

// Checkpoint returns the present signed checkpoint: what a careful reader keeps.
func (l *Log) Checkpoint() []byte { return append([]byte(nil), l.folder[audit.CheckpointPath].Data...) }

// Size returns the number of entries.
func (l *Log) Size() uint64 { return l.tree.Size() }

// Origin returns the log's origin.
func (l *Log) Origin() string { return l.origin }

// Leaf returns the bytes of one entry.
func (l *Log) Leaf(index uint64) []byte { return l.leaves[index] }

// Trails returns the ends of the trails, for Config.Trails of the log that continues this one.
func (l *Log) Trails() *Trails {
	return &Trails{n: maps.Clone(l.trails.n), prev: maps.Clone(l.trails.prev)}
}

// Folder returns a copy of the published folder, to verify or to damage.
func (l *Log) Folder() fstest.MapFS { return CopyFolder(l.folder) }
