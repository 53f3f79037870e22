package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"

	"github.com/sealtrail/sealtrail/internal/supervision"
)

type whoamiCmd struct{}

// Run asks the server.
func (c *whoamiCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/status"})
	if err != nil {
		return err
	}
	return s.show(a, s.members(a))
}

type versionCmd struct{}

// Run prints the version of this program.
func (c *versionCmd) Run(s *session) error {
	_, err := fmt.Fprintln(s.out, "sealtrail", version())
	return err
}

// version is the module's, as the Go toolchain stamped it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

type auditCmd struct {
	Entry  entryCmd       `cmd:"" help:"State of one entry: pending, or its index and leaf hash."`
	Search auditSearchCmd `cmd:"" help:"Find entries of the log."`
	Export auditExportCmd `cmd:"" help:"Write what a search shows to a file, with leaf hashes and a manifest."`
	Query  auditQueryCmd  `cmd:"" help:"Searches that you keep."`
	Bundle auditBundleCmd `cmd:"" help:"The handling trail of a complaint as a file that anybody can check offline."`
	Own    auditOwnCmd    `cmd:"" help:"What the log holds about you: your accesses, your account."`
}

type entryCmd struct {
	Entry uint64 `arg:"" help:"Entry id, as Audit-Entry said."`
}

// Run shows one entry.
func (c *entryCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/audit/entries/" + strconv.FormatUint(c.Entry, 10)})
	if err != nil {
		return err
	}
	return s.show(a, s.members(a))
}

type reportCmd struct {
	Period string `required:"" help:"Month, quarter or year: 2026-01, 2026-Q1 or 2026." placeholder:"PERIOD"`
	Format string `enum:"json,csv,html,table" default:"table" help:"table, json, csv or html; json is canonical, byte for byte what trailcheck recomputes."`
}

// Run fetches the figures; json, csv and html are written verbatim.
func (c *reportCmd) Run(s *session) error {
	format := c.Format
	if format == "table" {
		format = "json"
		if s.format != "table" {
			c.Format = "json"
		}
	}
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/reports", purpose: true,
		query: url.Values{"period": {c.Period}, "format": {format}}})
	if err != nil {
		return err
	}
	if c.Format != "table" {
		_, err := s.out.Write(a.body)
		return err
	}
	return s.show(a, func(w io.Writer) error { return s.figures(a, w) })
}

// figures prints the report's own table; ParseReport refuses bytes that are not
// the canonical form.
func (s *session) figures(a *answer, w io.Writer) error {
	r, err := supervision.ParseReport(a.body)
	if err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	lang := supervision.EN
	if s.zh {
		lang = supervision.ZH
	}
	return r.WriteTable(w, lang)
}
