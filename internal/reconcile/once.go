package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// OnceConfig of Once. All fields but Alarmed are required.
type OnceConfig struct {
	Match     Config
	Files     []string // Vault's audit files, oldest first
	Published *Published
	Log       Log
	Alarmed   func(Alarm) // told of each alarm that was recorded
}

// Result is what Once found.
type Result struct {
	State    string    `json:"state"`
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Segment  string    `json:"segment_sha256"` // of all bytes of the files
	Bytes    int64     `json:"bytes"`
	Unread   int       `json:"unread"` // lines that are none
	Counts   Counts    `json:"counts"`
	Alarms   []Alarm   `json:"alarms"`
	Recorded int       `json:"recorded"` // of them, those that the log did not have yet
}

// Once compares whole files with the whole log, records the result and the
// alarms that the log does not have yet, and returns all of them. What happened
// within the last seconds, so that its other side may still be on its way, is
// left to the next time. The error says what could not be read: then there is no
// result, and nothing was found good.
func Once(ctx context.Context, cfg OnceConfig) (*Result, error) {
	cfg.Match.Keep = true
	res := &Result{Alarms: []Alarm{}}
	told := map[string]bool{}
	until := time.Now()
	m := NewMatcher(cfg.Match)
	alarms, err := res.readFiles(cfg.Files, m)
	if err != nil {
		return nil, err
	}
	err = cfg.Published.Read(func(l *audit.Leaf) {
		if l.Body.Kind == "reconciliation.alarm" {
			what, _ := l.Body.Facts.Text("what")
			line, _ := l.Body.Facts.Text("line_sha256")
			entry, _ := l.Body.Facts.Int("entry")
			told[key(what, line, uint64(entry))] = true
			return
		}
		if !l.SeqAt.After(until) {
			m.AddEntry(l.ID, &l.Body)
		}
	})
	if err != nil {
		return nil, err
	}
	if behind, err := cfg.Log.Behind(ctx, cfg.Published.Size(until.UTC().Year())); err != nil || behind {
		return nil, errors.Join(errors.New("the published log lacks entries"), err)
	}
	found, err := m.Judge(ctx, until)
	if err != nil {
		return nil, fmt.Errorf("asking Vault for hashes: %w", err)
	}
	res.Alarms, res.Counts, res.Until = append(alarms, found...), m.Counts(), until.UTC()
	if res.State = StateGood; len(res.Alarms) > 0 {
		res.State = StateBad
	}
	return res, res.record(ctx, cfg, told)
}

// readFiles takes up every line of the files. What was before the first of them
// is not judged.
func (r *Result) readFiles(files []string, m *Matcher) (alarms []Alarm, err error) {
	digest := sha256.New()
	for i, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("opening the audit file: %w", err)
		}
		n, err := io.Copy(digest, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("reading the audit file: %w", err)
		}
		r.Bytes += n
		tail := NewTail(name, 0)
		_, err = tail.Read(func(raw []byte) {
			c, ok, err := ParseLine(raw)
			if err != nil {
				r.Unread++
				return
			}
			if r.From.IsZero() {
				r.From, m.cfg.From = c.Time, c.Time
			}
			if ok && !(c.Op == "device" && i == 0 && c.Time.Sub(r.From) < time.Second) {
				alarms = append(alarms, m.AddCall(c)...)
			}
		})
		if err := errors.Join(err, tail.Close()); err != nil {
			return nil, err
		}
	}
	r.Segment = hex.EncodeToString(digest.Sum(nil))
	return alarms, nil
}

func (r *Result) record(ctx context.Context, cfg OnceConfig, told map[string]bool) error {
	for _, a := range r.Alarms {
		if k := key(a.What, a.Line, a.Entry); k != "" && told[k] {
			continue
		}
		if err := cfg.Log.Append(ctx, "reconciliation.alarm", a.facts()); err != nil {
			return err
		}
		r.Recorded++
		if cfg.Alarmed != nil {
			cfg.Alarmed(a)
		}
	}
	if r.From.IsZero() {
		r.From = r.Until
	}
	return cfg.Log.Append(ctx, "reconciliation.made", audit.Facts{"from": stamp(r.From), "until": stamp(r.Until), "state": r.State,
		"segment_sha256": r.Segment, "bytes": int(r.Bytes), "calls": r.Counts.Calls, "items": r.Counts.Items, "matched": r.Counts.Matched,
		"findings": len(r.Alarms), "unread": r.Unread + r.Counts.Excused})
}
