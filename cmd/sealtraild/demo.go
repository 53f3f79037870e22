package main

import (
	"context"

	"github.com/sealtrail/sealtrail/internal/demo"
)

type demoCommand struct {
	Once  bool   `help:"Tell the story, check every step, clean up; exit non-zero if a step did not do what it says."`
	Dir   string `help:"Folder of the demo, which stays afterwards; one of an earlier demo is emptied. Default: a new one under the user's cache, which goes."`
	Data  string `help:"CFPB complaints file (.csv or .csv.gz) to load; none: complaints are made up."`
	Count int    `help:"How many complaints to make up without --data." default:"300"`
	Lang  string `help:"Language of the story: zh or en; default from LANG." enum:"zh,en," default:""`

	Streams string `help:"JSON file that lists streams of the log to other systems (docs/operate/streams.md)." type:"path"`
}

// Run tells the story.
func (d *demoCommand) Run(ctx context.Context, c console) error {
	return demo.Run(ctx, demo.Config{Once: d.Once, Dir: d.Dir, Data: d.Data, Count: d.Count, Lang: d.Lang, Streams: d.Streams, Out: c.out})
}
