package supervision

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/verify"
	"github.com/sealtrail/sealtrail/internal/clock"
)

// ErrNotVerified is wrapped when the published folder does not pass verification: figures of such a log are not given.
var ErrNotVerified = errors.New("log not verified")

// ErrNotNamed is wrapped when the log does not name the data that figures need, or the folder lacks it.
var ErrNotNamed = errors.New("log does not name what figures need")

// UnverifiedError carries the verification that failed, with the entry it names.
type UnverifiedError struct{ Verification *verify.Report }

// Error names the first finding: step, and entry index or file.
func (e *UnverifiedError) Error() string {
	step, f := e.Verification.FirstFinding()
	if f == nil {
		return fmt.Sprintf("%v: %s", ErrNotVerified, e.Verification.Origin)
	}
	what := f.Text.EN
	if f.From != nil {
		if entry := "entry " + strconv.FormatUint(*f.From, 10); !strings.Contains(what, entry) {
			what = entry + ": " + what
		}
	} else if f.Path != "" {
		what = f.Path + ": " + what
	}
	return fmt.Sprintf("%v: %s: step %s: %s", ErrNotVerified, e.Verification.Origin, step.Name, what)
}

// Unwrap returns ErrNotVerified.
func (e *UnverifiedError) Unwrap() error { return ErrNotVerified }

// Source is one published log and against what to verify it.
type Source struct {
	// Folder is the root of the log: it holds checkpoint, tile/ and blob/.
	Folder fs.FS
	// Options of the verification; Entries and Trails are set here and MUST be nil.
	Options verify.Options
	// Size folds only the entries below it, to make again a report of a log that has grown since. The whole log is
	// verified all the same, and a signed checkpoint of that size must be among those published. 0 means the whole log.
	Size uint64

	origin string // as the checkpoint claims it; for finding the log only
}

// Sources splits a published folder into its logs, oldest first: the folder is one log, or holds <year>/ or
// <institution>/<year>/. Saved checkpoints of the options go to the log whose origin they bear; one that fits none goes to
// the first, where verification finds it strange.
func Sources(folder fs.FS, o verify.Options) ([]Source, error) {
	dirs, err := verify.Logs(folder)
	if err != nil {
		return nil, fmt.Errorf("looking for logs: %w", err)
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("looking for logs: %w", verify.ErrNoLog)
	}
	out := make([]Source, len(dirs))
	byOrigin := map[string]int{}
	for i, dir := range dirs {
		sub, err := fs.Sub(folder, dir)
		if err != nil {
			return nil, fmt.Errorf("looking for logs: %w", err)
		}
		out[i] = Source{Folder: sub, Options: o}
		out[i].Options.Pinned, out[i].Options.WitnessCheckpoints = nil, nil
		raw, err := fs.ReadFile(sub, audit.CheckpointPath)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking for logs: %w", err)
		}
		out[i].origin = audit.CheckpointOrigin(raw)
		byOrigin[out[i].origin] = i
	}
	for _, raw := range o.Pinned {
		s := &out[byOrigin[audit.CheckpointOrigin(raw)]].Options
		s.Pinned = append(s.Pinned, raw)
	}
	for _, raw := range o.WitnessCheckpoints {
		s := &out[byOrigin[audit.CheckpointOrigin(raw)]].Options
		s.WitnessCheckpoints = append(s.WitnessCheckpoints, raw)
	}
	return out, nil
}

// AsOf keeps of the sources the logs that a report's header names, each cut to the size it had then, in the header's order:
// what to fold to make that report again. ErrNotNamed when a log is not among the sources.
func AsOf(sources []Source, logs []LogRef) ([]Source, error) {
	var out []Source
	for _, l := range logs {
		i := slices.IndexFunc(sources, func(s Source) bool { return s.origin == l.Origin })
		if i < 0 {
			return nil, fmt.Errorf("%w: the folder has no log %s", ErrNotNamed, strconv.Quote(l.Origin))
		}
		size, err := strconv.ParseUint(l.Size, 10, 64)
		if err != nil || size == 0 {
			return nil, fmt.Errorf("%w: the report gives no size of log %s", ErrNotNamed, strconv.Quote(l.Origin))
		}
		s := sources[i]
		s.Size = size
		out = append(out, s)
	}
	return out, nil
}

// Result is a report with the verifications that it rests on, one per log in the order given.
type Result struct {
	Report        Report
	Verifications []*verify.Report
}

// FromFolder verifies the published logs of one institution (see Sources) and folds them into a report of the period. key
// holds the logs' verifier keys as in verify.Options. Calendar, limits and definitions come from the blobs the logs name,
// never from this program. The errors wrap ErrNotVerified (a log fails, *UnverifiedError names the entry), ErrNotNamed,
// *EntryError (an entry whose facts cannot be read) or the file system's error.
func FromFolder(ctx context.Context, folder fs.FS, key string, p Period) (Report, error) {
	sources, err := Sources(folder, verify.Options{VerifierKey: key})
	if err != nil {
		return Report{}, err
	}
	res, err := FromFolders(ctx, p, sources...)
	return res.Report, err
}

// FromFolders is FromFolder over named logs, oldest first: a complaint received in December falls due in January. On
// ErrNotVerified the result still holds the verifications made so far.
func FromFolders(ctx context.Context, p Period, sources ...Source) (Result, error) {
	f, err := New(p)
	if err != nil {
		return Result{}, err
	}
	var res Result
	var logs []LogRef
	trails := &verify.Trails{}
	for i := range sources {
		ref, v, err := foldSource(ctx, f, &sources[i], trails)
		if v != nil {
			res.Verifications = append(res.Verifications, v)
		}
		if err != nil {
			return res, fmt.Errorf("folding log %d of %d: %w", i+1, len(sources), err)
		}
		logs = append(logs, ref)
	}
	in, err := inputsNamed(f.Named(), sources)
	if err != nil {
		return res, err
	}
	in.Logs = logs
	res.Report, err = f.Report(in)
	return res, err
}

// foldSource verifies one log and adds its entries below Size. The entries count only once the log has passed, so a fold
// over a log that fails is thrown away with it.
func foldSource(ctx context.Context, f *Fold, s *Source, trails *verify.Trails) (LogRef, *verify.Report, error) {
	o := s.Options
	o.Trails = trails
	var bad error
	o.Entries = func(e *audit.LeafView) error {
		if bad == nil && (s.Size == 0 || e.Index < s.Size) {
			bad = f.AddView(e) // an entry that a tampered log holds is the verification's to name first
		}
		return nil
	}
	v, err := verify.Verify(ctx, s.Folder, o)
	if err != nil {
		return LogRef{}, nil, err
	}
	if !v.OK() {
		return LogRef{}, v, &UnverifiedError{Verification: v}
	}
	if bad != nil {
		return LogRef{}, v, bad
	}
	ref := LogRef{Origin: v.Origin, Size: strconv.FormatUint(v.Size, 10), Root: v.Root}
	if s.Size != 0 && s.Size != v.Size {
		ref, err = earlier(s.Folder, v, s.Size)
	}
	return ref, v, err
}

// earlier is the log as of a smaller size. The verification has compared every stored checkpoint with the tree, so the
// root that this one states is the entries' own.
func earlier(folder fs.FS, v *verify.Report, size uint64) (LogRef, error) {
	if size > v.Size {
		return LogRef{}, fmt.Errorf("%w: the log has %d entries, %d are wanted", ErrNotNamed, v.Size, size)
	}
	raw, err := fs.ReadFile(folder, audit.CheckpointSizePath(size))
	if err != nil {
		return LogRef{}, fmt.Errorf("%w: no checkpoint of size %d: %w", ErrNotNamed, size, err)
	}
	n, err := audit.SplitNote(raw)
	if err != nil {
		return LogRef{}, fmt.Errorf("reading checkpoint of size %d: %w", size, err)
	}
	c, err := audit.ParseCheckpoint(n.Text)
	if err != nil {
		return LogRef{}, fmt.Errorf("reading checkpoint of size %d: %w", size, err)
	}
	return LogRef{Origin: c.Origin, Size: strconv.FormatUint(c.Size, 10), Root: hex.EncodeToString(c.Root[:])}, nil
}

// inputsNamed reads the blobs that the log names: the calendar and definitions loaded last, the limits loaded last, and
// each adopted norm's own file.
func inputsNamed(n Named, sources []Source) (Inputs, error) {
	var in Inputs
	if len(n.Calendars) == 0 {
		return in, fmt.Errorf("%w: no calendar.loaded entry", ErrNotNamed)
	}
	data, err := blob(sources, n.Calendars[len(n.Calendars)-1].Digest)
	if err != nil {
		return in, fmt.Errorf("reading the calendar: %w", err)
	}
	if in.Calendar, err = clock.ParseCalendar(data); err != nil {
		return in, fmt.Errorf("%w: %w", ErrNotNamed, err)
	}
	if err := definitionsNamed(&in, n.Definitions, sources); err != nil {
		return in, err
	}
	for _, adopted := range n.Norms {
		norm := Norm{Name: adopted.Name, From: adopted.From.time()}
		if adopted.Digest != "" {
			if norm.Limits, err = blob(sources, adopted.Digest); err != nil {
				return in, fmt.Errorf("reading the norm: %w", err)
			}
		}
		in.Norms = append(in.Norms, norm)
	}
	return in, nil
}

// definitionsNamed walks the definitions.loaded entries from the last. What a blob is, its content says: one with a format
// member "sealtrail-definitions/..." holds figures, one with a member "profiles" holds limits, others are not ours.
func definitionsNamed(in *Inputs, loaded []NamedBlob, sources []Source) error {
	for _, n := range slices.Backward(loaded) {
		if in.Definitions != nil && in.Limits != nil {
			return nil
		}
		data, err := blob(sources, n.Digest)
		if err != nil {
			return fmt.Errorf("reading definitions: %w", err)
		}
		var head struct {
			Format   string          `json:"format"`
			Profiles json.RawMessage `json:"profiles"`
		}
		if json.Unmarshal(data, &head) != nil {
			continue
		}
		switch {
		case in.Definitions == nil && strings.HasPrefix(head.Format, "sealtrail-definitions/"):
			if in.Definitions, err = ParseDefinitions(data); err != nil {
				return fmt.Errorf("%w: %w", ErrNotNamed, err)
			}
		case in.Limits == nil && len(head.Profiles) > 0:
			in.Limits = data
		}
	}
	switch {
	case in.Definitions == nil:
		return fmt.Errorf("%w: no definitions.loaded entry names definitions of figures", ErrNotNamed)
	case in.Limits == nil:
		return fmt.Errorf("%w: no definitions.loaded entry names limits", ErrNotNamed)
	}
	return nil
}

// blob reads blob/sha256/<hex> from the first folder that has it and checks its digest.
func blob(sources []Source, digest string) ([]byte, error) {
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 {
		return nil, fmt.Errorf("%w: an entry names a digest that is none", ErrNotNamed)
	}
	for _, s := range sources {
		data, err := fs.ReadFile(s.Folder, audit.BlobPath(digest))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading blob %s: %w", digest, err)
		}
		if digestOf(data) != digest {
			return nil, fmt.Errorf("%w: blob %s holds other bytes", ErrNotVerified, digest)
		}
		return data, nil
	}
	return nil, fmt.Errorf("%w: blob %s is not in the folder", ErrNotNamed, digest)
}

// Publication is a blob a service publishes and the facts of the entry that names it, at its start and whenever it changes.
type Publication struct {
	// Kind is the entry's kind, What its fact of that name (empty for none), Digest its fact digest.
	Kind, What, Digest string
	Data               []byte
}

// Publications lists what must stand in a log before figures can be computed from it: calendar, definitions and limits as
// this build ships them. Adopting the norm is an institution's own act, a norm.adopted entry with norm "norm" and the
// digest of the limits.
func Publications() []Publication {
	calendar, limits := clock.China().JSON(), clock.ProfilesJSON()
	return []Publication{
		{Kind: "calendar.loaded", Digest: digestOf(calendar), Data: calendar},
		{Kind: "definitions.loaded", What: "figures", Digest: digestOf(embedded), Data: Embedded()},
		{Kind: "definitions.loaded", What: "limits", Digest: digestOf(limits), Data: limits},
	}
}
