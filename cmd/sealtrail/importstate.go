package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// importState is how far an import came. It is for one file: another size or
// time of change starts anew.
type importState struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Line     int       `json:"line"` // all rows up to this line are filed or rejected
	Filed    int       `json:"filed"`
	Existing int       `json:"existing"`
	Rejected int       `json:"rejected"`
	Done     bool      `json:"done"`
}

// loadState reads the state of this very file; any doubt starts anew, which
// costs time but files nothing twice.
func loadState(name string, info os.FileInfo) importState {
	fresh := importState{Size: info.Size(), Modified: info.ModTime().UTC()}
	raw, err := os.ReadFile(name)
	if err != nil {
		return fresh
	}
	var s importState
	if json.Unmarshal(raw, &s) != nil || s.Size != fresh.Size || !s.Modified.Equal(fresh.Modified) || s.Done {
		return fresh
	}
	return s
}

// save replaces the state file as a whole. A crash before the rename leaves the
// former state, from which some rows are sent again.
func (s importState) save(name string) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("saving the import's state: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".import-*")
	if err != nil {
		return fmt.Errorf("saving the import's state: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when all went well
	if _, err := tmp.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("saving the import's state: %w", err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("saving the import's state: %w", err)
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return fmt.Errorf("saving the import's state: %w", err)
	}
	return nil
}

// rejectFile collects rejects of the parser and of the server. It holds line
// numbers, names and codes, no value.
type rejectFile struct {
	mu     sync.Mutex
	f      *os.File
	parsed int
	closed bool
}

func openRejects(name string, resume bool) (*rejectFile, error) {
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if resume {
		flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the rejects file: %w", err)
	}
	return &rejectFile{f: f}, nil
}

// Write takes one line of the parser.
func (r *rejectFile) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parsed++
	return r.f.Write(line)
}

// server notes what the server rejected.
func (r *rejectFile) server(line int, p *problem) error {
	raw, err := json.Marshal(map[string]any{"line": line, "code": p.Code, "problems": p.Errors})
	if err != nil {
		return fmt.Errorf("writing the rejects of line %d: %w", line, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.f.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("writing the rejects of line %d: %w", line, err)
	}
	return nil
}

// local is how many rows the parser rejected in this run.
func (r *rejectFile) local() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.parsed
}

// Close may be called twice.
func (r *rejectFile) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	if err := r.f.Close(); err != nil {
		return fmt.Errorf("writing the rejects file: %w", err)
	}
	return nil
}

var _ io.WriteCloser = (*rejectFile)(nil)
