package publish

import "context"

// StopAt makes p ask at behind each step of a round; an error ends the round there.
func StopAt(p *Publisher, at func(context.Context, Step) error) { p.at = at }

// RunFileOps puts run between f and its file system.
func RunFileOps(f *Folder, run func(op FileOp, name string, do func() error) error) { f.disk.run = run }
