package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
)

type sourceCmd struct {
	Report sourceReportCmd `cmd:"" help:"Say how many complaints a source system sent on a day; compared every night with what was received."`
}

type sourceReportCmd struct {
	Source string `required:"" help:"Name of the source system, as in its complaints." placeholder:"NAME"`
	Day    string `required:"" help:"Day in China." placeholder:"YYYY-MM-DD"`
	Count  int    `required:"" help:"How many it sent." placeholder:"N"`
}

// Run records the count.
func (c *sourceReportCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodPost, path: "/v1/sources/" + url.PathEscape(c.Source) + "/counts", purpose: true,
		body: map[string]any{"day": c.Day, "count": c.Count}})
	if err != nil {
		return err
	}
	return s.show(a, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, s.word("来源 %s 在 %s 送来 %d 件,已记入日志\n", "source %s on %s: %d recorded\n"), c.Source, c.Day, c.Count)
		return err
	})
}
