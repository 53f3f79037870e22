package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealtrail/sealtrail/audit"
)

// maxAddCheckpoint bounds a request, in bytes: 63 proof lines and a note with a hundred signatures fit.
const maxAddCheckpoint = 64 << 10

// WitnessConfig configures a WitnessServer.
type WitnessConfig struct {
	Dir     string       // state: the last and every cosigned checkpoint of each log, and evidence; required
	KeyFile string       // made on first use; "" = Dir/witness.key
	Name    string       // key name for a new key, e.g. "witness.example/internal-audit"; required on first use
	Logs    []string     // verifier keys of the logs to witness; a key's name is its log's origin, which may have several; required
	Logger  *slog.Logger // nil = slog.Default()
}

// WitnessServer cosigns checkpoints of the logs it knows, each only if it extends the last one it cosigned. It is an http.Handler:
//
//	POST /add-checkpoint                      C2SP tlog-witness
//	GET  /checkpoint?origin=<o>[&size=<n>]    a checkpoint that it cosigned, verbatim: the last, or the one of a size
//	GET  /key                                 its verifier key
//
// Its state survives a crash: the checkpoint is durable before the cosignature leaves. A witness whose folder is lost MUST get a
// new key, for it could be talked into a second history. One whose last checkpoint alone is gone or was put back cosigns nothing
// and alarms.
type WitnessServer struct {
	cfg   WitnessConfig
	key   *WitnessKey
	logs  map[string][]note.Verifier // by origin
	store *Folder
	mux   *http.ServeMux

	mu       sync.Mutex        // one checkpoint at a time: compare, keep, sign
	cosigned map[string]uint64 // largest size cosigned, by origin; absent: not looked up yet
}

// NewWitnessServer loads or makes the key and opens the state folder.
func NewWitnessServer(_ context.Context, cfg WitnessConfig) (*WitnessServer, error) {
	if cfg.Dir == "" || len(cfg.Logs) == 0 {
		return nil, errors.New("publish: a witness needs Dir and Logs")
	}
	if cfg.KeyFile == "" {
		cfg.KeyFile = filepath.Join(cfg.Dir, "witness.key")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	store, err := NewFolder(filepath.Join(cfg.Dir, "state"))
	if err != nil {
		return nil, err
	}
	key, err := LoadWitnessKey(cfg.KeyFile, cfg.Name)
	if err != nil {
		return nil, err
	}
	w := &WitnessServer{cfg: cfg, key: key, logs: map[string][]note.Verifier{}, store: store, mux: http.NewServeMux(), cosigned: map[string]uint64{}}
	for _, vkey := range cfg.Logs {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return nil, fmt.Errorf("reading a log's verifier key: %w", err)
		}
		w.logs[v.Name()] = append(w.logs[v.Name()], v)
	}
	w.mux.HandleFunc("POST /add-checkpoint", w.addCheckpoint)
	w.mux.HandleFunc("GET /checkpoint", w.getCheckpoint)
	w.mux.HandleFunc("GET /key", func(out http.ResponseWriter, _ *http.Request) { writeText(out, key.VerifierKey()+"\n") })
	return w, nil
}

// VerifierKey is the witness's public key in note form.
func (w *WitnessServer) VerifierKey() string { return w.key.VerifierKey() }

// ServeHTTP implements http.Handler.
func (w *WitnessServer) ServeHTTP(out http.ResponseWriter, r *http.Request) { w.mux.ServeHTTP(out, r) }

// folderOf is where the state of a log lies: origins may hold slashes, hashes do not.
func folderOf(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// verdict is what became of a request.
type verdict struct {
	status int
	size   uint64 // with 409: of the last cosigned checkpoint
	lines  []byte // with 200
}

func (w *WitnessServer) addCheckpoint(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, maxAddCheckpoint))
	if err != nil {
		http.Error(out, "request too large", http.StatusRequestEntityTooLarge)
		return
	}
	v, err := w.judge(r.Context(), body)
	if err != nil {
		w.cfg.Logger.ErrorContext(r.Context(), "witness could not keep its state", slog.Any("error", err))
		http.Error(out, "state unavailable", http.StatusInternalServerError)
		return
	}
	switch v.status {
	case http.StatusOK:
		writeText(out, string(v.lines))
	case http.StatusConflict:
		out.Header().Set("Content-Type", sizeContentType)
		out.WriteHeader(v.status)
		_, _ = fmt.Fprintf(out, "%d\n", v.size)
	default:
		http.Error(out, http.StatusText(v.status), v.status)
	}
}

// judge follows tlog-witness: 400 no such request or an old size beyond the checkpoint, 404 unknown log, 403 no signature of the
// log's key, 409 not the size that was cosigned last or another root at that size, 422 the proof fails, else 200 with the
// cosignature.
func (w *WitnessServer) judge(ctx context.Context, body []byte) (verdict, error) {
	req, err := decodeAddCheckpoint(body)
	if err != nil {
		return verdict{status: http.StatusBadRequest}, nil
	}
	next, status := w.open(req.checkpoint)
	if status != 0 {
		return verdict{status: status}, nil
	}
	if req.old > next.Size {
		return verdict{status: http.StatusBadRequest}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last, kept, err := w.last(ctx, next.Origin)
	if errors.Is(err, errForgot) {
		return verdict{}, errors.Join(err, w.forgotten(ctx, next, req.checkpoint))
	}
	if err != nil {
		return verdict{}, err
	}
	conflict := verdict{status: http.StatusConflict, size: last.Size}
	if other, err := w.otherRoot(ctx, next, last, kept); err != nil || other != nil { // two roots at one size: proof of a fork
		return conflict, errors.Join(err, w.evidence(ctx, next, audit.Misbehaviour{Kind: audit.TwoRoots, A: other, B: req.checkpoint}))
	}
	if req.old != last.Size {
		return conflict, nil
	}
	if !extends(last, next, req.proof) {
		m := audit.Misbehaviour{Kind: audit.NotConsistent, A: kept, B: req.checkpoint, Proof: proofOfFork(last, next, req.proof)}
		return verdict{status: http.StatusUnprocessableEntity}, w.evidence(ctx, next, m)
	}
	lines, err := w.cosign(ctx, req.checkpoint, next)
	return verdict{status: http.StatusOK, lines: lines}, err
}

// open finds the log by the checkpoint's first line and verifies its signature; status is 0 if it is good.
func (w *WitnessServer) open(msg []byte) (c audit.Checkpoint, status int) {
	n, err := audit.SplitNote(msg)
	if err != nil {
		return c, http.StatusBadRequest
	}
	if c, err = audit.ParseCheckpoint(n.Text); err != nil {
		return c, http.StatusBadRequest
	}
	if len(w.logs[c.Origin]) == 0 {
		return c, http.StatusNotFound
	}
	if c, err = openByAny(msg, c.Origin, w.logs[c.Origin]); err != nil {
		return c, http.StatusForbidden
	}
	return c, 0
}

// otherRoot returns a checkpoint that was cosigned at the size of next with another root, nil if there is none: the last one, or
// an earlier one. The caller holds w.mu.
func (w *WitnessServer) otherRoot(ctx context.Context, next, last audit.Checkpoint, lastRaw []byte) ([]byte, error) {
	if next.Size == last.Size && lastRaw != nil && next.Root != last.Root {
		return lastRaw, nil
	}
	kept, err := w.store.Get(ctx, folderOf(next.Origin)+"/checkpoints/"+strconv.FormatUint(next.Size, 10))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := openByAny(kept, next.Origin, w.logs[next.Origin])
	if err != nil || c.Root == next.Root {
		return nil, err
	}
	return kept, nil
}

// proofOfFork is what convicts a log that offers a genuine proof of a forged tree; nil if the proof does not hold the other root.
func proofOfFork(last, next audit.Checkpoint, proof [][]byte) [][]byte {
	second, ok := audit.PrefixRoot(last.Size, next.Size, proof, next.Root)
	if !ok {
		return nil
	}
	return append([][]byte{second[:]}, proof...)
}

func extends(last, next audit.Checkpoint, proof [][]byte) bool {
	if last.Size == 0 {
		return len(proof) == 0
	}
	return audit.VerifyConsistency(last.Size, next.Size, last.Root, next.Root, proof) == nil
}

// cosign signs and keeps the checkpoint, the last one first: whatever lies in checkpoints/ was the last once, which [errForgot]
// relies on. crash here: between the two files the checkpoint of that size is missing, and its cosignature has not left; the log
// asks again, with the new old size, and gets another cosignature of the same checkpoint.
func (w *WitnessServer) cosign(ctx context.Context, msg []byte, c audit.Checkpoint) ([]byte, error) {
	n, err := audit.SplitNote(msg)
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: string(n.Text)}, w.key.signer)
	if err != nil {
		return nil, fmt.Errorf("cosigning: %w", err)
	}
	lines := signed[len(n.Text)+1:]
	kept := append(append([]byte(nil), msg...), lines...)
	dir := folderOf(c.Origin)
	if err := w.store.Put(ctx, dir+"/checkpoint", kept); err != nil {
		return nil, err
	}
	if err := w.store.Put(ctx, dir+"/checkpoints/"+strconv.FormatUint(c.Size, 10), kept); err != nil {
		return nil, err
	}
	w.cosigned[c.Origin] = c.Size
	return lines, nil
}

// maxEvidence bounds the evidence files of a log: whoever has a log's checkpoints can offer each with a bad proof.
const maxEvidence = 1000

// evidence keeps a checkpoint that is signed by the log and does not extend what was cosigned, beside what was.
func (w *WitnessServer) evidence(ctx context.Context, c audit.Checkpoint, m audit.Misbehaviour) error {
	w.cfg.Logger.ErrorContext(ctx, "log offered a checkpoint that does not extend the last one",
		slog.String("origin", c.Origin), slog.Uint64("size", c.Size), slog.String("kind", string(m.Kind)))
	dir := folderOf(c.Origin) + "/evidence"
	entries, err := fs.ReadDir(w.store.FS(), dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("listing evidence: %w", withoutPath(err))
	}
	if len(entries) >= maxEvidence && len(m.Proof) == 0 && m.Kind != audit.TwoRoots {
		return nil // it convicts nobody, and there is enough of it
	}
	sum := sha256.Sum256(m.B)
	return w.store.Put(ctx, fmt.Sprintf("%s/%d-%x.txt", dir, c.Size, sum[:6]), m.Marshal())
}

// forgot reports whether the last checkpoint of a log must not be shown as the last.
func (w *WitnessServer) forgot(ctx context.Context, origin string) bool {
	if len(w.logs[origin]) == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _, err := w.last(ctx, origin)
	return errors.Is(err, errForgot)
}

func (w *WitnessServer) getCheckpoint(out http.ResponseWriter, r *http.Request) {
	origin := r.URL.Query().Get("origin")
	path := folderOf(origin) + "/checkpoint"
	if size := r.URL.Query().Get("size"); size != "" {
		n, err := strconv.ParseUint(size, 10, 64)
		if err != nil {
			http.Error(out, "size is not a number", http.StatusBadRequest)
			return
		}
		path += "s/" + strconv.FormatUint(n, 10)
	} else if w.forgot(r.Context(), origin) {
		http.Error(out, "state unavailable", http.StatusInternalServerError)
		return
	}
	raw, err := w.store.Get(r.Context(), path)
	if errors.Is(err, fs.ErrNotExist) {
		http.NotFound(out, r)
		return
	}
	if err != nil {
		http.Error(out, "state unavailable", http.StatusInternalServerError)
		return
	}
	writeText(out, string(raw))
}

func writeText(out http.ResponseWriter, text string) {
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(out, text)
}
