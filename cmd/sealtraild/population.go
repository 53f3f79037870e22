package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/server"
)

type trailPopulation struct {
	server.Config
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// Run counts which complaints there are, three ways, and names each difference;
// exit code 4 if there is any. The result is an entry.
func (t *trailPopulation) Run(ctx context.Context, c console) error {
	var p *custody.Population
	err := server.Once(ctx, t.Config, c.err, func(ctx context.Context, s *server.Server) (err error) {
		p, err = s.Door().CheckPopulation(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := t.print(c, p); err != nil {
		return err
	}
	if n := len(p.Differences); n > 0 {
		return findings{n}
	}
	return nil
}

func (t *trailPopulation) print(c console, p *custody.Population) error {
	if t.Output == "json" {
		return asJSON(c.out, p)
	}
	var b strings.Builder
	say := func(mark, en, zh string, args ...any) {
		fmt.Fprintf(&b, mark+" "+en+"\n  "+zh+"\n", append(append([]any{}, args...), args...)...)
	}
	for _, d := range p.Differences {
		if d.What == "source_count" {
			say("✗", "source %s reported %d for %s, %d were received", "来源 %[1]s 报告 %[3]s 共 %[2]d 件,实收 %[4]d 件", d.Source, d.Reported, d.Day, d.Received)
			continue
		}
		text := populationText(d.What)
		say("✗", "complaint %s: "+text[0], "投诉 %s:"+text[1], d.Complaint)
	}
	say(mark(len(p.Differences) == 0), "%d recorded = %d live + %d restricted + %d erased + %d lost; %d without entry; sources reported %d, received %d (entry %d)",
		"已登记 %d = 在库 %d + 限制 %d + 已删除 %d + 丢失 %d;无日志记录 %d;来源报告 %d,实收 %d(记录 %d)",
		p.Created, p.Live, p.Restricted, p.Erased, p.Lost, p.WithoutEntry, p.Reported, p.Received, p.Audit.Entry)
	_, err := fmt.Fprint(c.out, b.String())
	return err
}

// populationText says what a difference means, in English and Chinese.
func populationText(what string) [2]string {
	switch what {
	case "record_lost":
		return [2]string{"the log has it, the tables do not", "日志有记录,库中没有"}
	case "record_without_entry":
		return [2]string{"it is stored, the log does not have it", "库中有,日志没有记录"}
	case "erased_without_proof":
		return [2]string{"it is marked as erased, and no entry of an erasure stands for it", "标记为已删除,但没有删除记录为证"}
	}
	return [2]string{"the log says that it was erased, and it is stored", "日志称已删除,但仍在库中"}
}
