package publish

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// FileOp names an operation of a Folder on its file system. [FileOps] says what a crash behind each leaves.
type FileOp string

// The operations of Put, in its order, and those of Get and Remove.
const (
	OpMkdir       FileOp = "mkdir"        // a folder on the way was made
	OpFlushName   FileOp = "flush-name"   // the folder that holds it was flushed
	OpCreate      FileOp = "create"       // a temporary file was made beside the path
	OpWrite       FileOp = "write"        // the contents were written to it
	OpMode        FileOp = "mode"         // everybody may read it
	OpFlush       FileOp = "flush"        // it was flushed
	OpClose       FileOp = "close"        // it was closed
	OpRename      FileOp = "rename"       // it took the path's name
	OpFlushFolder FileOp = "flush-folder" // the folder that holds the name was flushed
	OpRead        FileOp = "read"         // a file was read
	OpRemove      FileOp = "remove"       // a path and what lies below it were removed
	OpDiscard     FileOp = "discard"      // after a failure, the temporary file was removed
)

// FileStop is a FileOp with what a crash behind it leaves, and what repairs it.
type FileStop struct {
	Op   FileOp
	Left string
}

// FileOps lists every operation, in order.
func FileOps() []FileStop {
	return []FileStop{
		{OpMkdir, "an empty folder whose name may be lost; every process flushes the folders that it meets for the first time"},
		{OpFlushName, "an empty folder"},
		{OpCreate, "an empty file *.tmp-*, which no reader asks for; it stays, harmless"},
		{OpWrite, "a file *.tmp-*, perhaps torn, which no reader asks for"},
		{OpMode, "a file *.tmp-*, perhaps torn, which no reader asks for"},
		{OpFlush, "a whole file *.tmp-*, which no reader asks for"},
		{OpClose, "a whole file *.tmp-*, which no reader asks for"},
		{OpRename, "the file under its name, which a failing machine may lose; whoever had no answer writes it again"},
		{OpFlushFolder, "the file under its name"},
		{OpRead, "nothing"},
		{OpRemove, "perhaps a part of what was to go; harmless, readers take the full file"},
		{OpDiscard, "nothing"},
	}
}

// disk is the file system; run, if not nil, stands between a Folder and every operation on it. name is the path that is made,
// written, read or flushed.
type disk struct {
	run func(op FileOp, name string, do func() error) error
}

func (d disk) do(op FileOp, name string, f func() error) error {
	if d.run == nil {
		return f()
	}
	return d.run(op, name, f)
}

// withoutPath drops the absolute path from an error of package os.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// writeDurable replaces name with contents, atomically and durably.
func writeDurable(name string, contents []byte, mode fs.FileMode) error {
	return disk{}.write(name, contents, mode)
}

// write is writeDurable on d.
func (d disk) write(name string, contents []byte, mode fs.FileMode) (err error) {
	dir := filepath.Dir(name)
	var tmp *os.File
	err = d.do(OpCreate, name, func() (err error) {
		tmp, err = os.CreateTemp(dir, strings.TrimPrefix(filepath.Base(name), ".")+".tmp-*")
		return err
	})
	defer func() {
		if err != nil && tmp != nil {
			_ = d.do(OpDiscard, name, func() error { return errors.Join(tmp.Close(), os.Remove(tmp.Name())) })
		}
	}()
	if err != nil {
		return withoutPath(err)
	}
	for _, step := range []struct {
		op FileOp
		do func() error
	}{
		{OpWrite, func() error { _, err := tmp.Write(contents); return err }},
		{OpMode, func() error { return tmp.Chmod(mode) }},
		{OpFlush, tmp.Sync},
		{OpClose, tmp.Close},
	} {
		if err = d.do(step.op, name, step.do); err != nil {
			return withoutPath(err)
		}
	}
	if err = d.do(OpRename, name, func() error { return os.Rename(tmp.Name(), name) }); err != nil {
		return err
	}
	return d.do(OpFlushFolder, dir, func() error { return syncDir(dir) })
}

// mkdirDurable makes dir and its parents and flushes the name of each that it made.
func mkdirDurable(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := mkdirDurable(parent); err != nil {
			return err
		}
	}
	return disk{}.mkdir(dir)
}

// mkdir makes dir, or finds it made, and flushes its name: whoever made it may have died before.
func (d disk) mkdir(dir string) error {
	err := d.do(OpMkdir, dir, func() error {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return withoutPath(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	return d.do(OpFlushName, parent, func() error { return syncDir(parent) })
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return withoutPath(err)
	}
	if err := d.Sync(); err != nil {
		_ = d.Close()
		return withoutPath(err)
	}
	return d.Close()
}
