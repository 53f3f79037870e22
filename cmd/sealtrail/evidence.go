package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

type auditBundleCmd struct {
	Complaint string   `arg:"" optional:"" help:"Complaint whose handling trail the bundle shows; or --query."`
	Query     string   `help:"Search of the log whose result the bundle shows, as for audit search." placeholder:"QUERY"`
	Out       string   `short:"f" type:"path" help:"New file for the bundle; default: evidence-<complaint>.zip here." placeholder:"FILE"`
	Openings  bool     `help:"Also show the reasons that people gave; needs the right to reveal what handling found."`
	Since     []uint64 `help:"Tree size of this year's log at which the reader kept a checkpoint; may be repeated." placeholder:"SIZE"`
}

// Run fetches the bundle and writes it whole or not at all.
func (c *auditBundleCmd) Run(s *session) error {
	if (c.Complaint == "") == (c.Query == "") {
		return &usageError{s.word("须给出投诉编号或 --query 之一", "name a complaint or --query, one of the two"), ""}
	}
	if c.Out == "" && c.Query != "" {
		c.Out = "evidence-query.zip"
	} else if c.Out == "" {
		c.Out = "evidence-" + filepath.Base(c.Complaint) + ".zip"
	}
	if _, err := os.Lstat(c.Out); err == nil {
		return &usageError{c.Out + s.word(" 已存在", " is there already"), s.word("用 --out 指定新文件", "name a new file with --out")}
	}
	a, err := s.client.do(s, request{method: http.MethodPost, path: "/v1/audit/bundles", purpose: true,
		body: map[string]any{"complaint": c.Complaint, "query": c.Query, "openings": c.Openings, "since": append([]uint64{}, c.Since...)}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Out+".part", a.body, 0o600); err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	if err := os.Rename(c.Out+".part", c.Out); err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	sum := sha256.Sum256(a.body)
	return s.report(map[string]any{"file": c.Out, "bytes": len(a.body), "sha256": hex.EncodeToString(sum[:]), "entry": a.header.Get("Audit-Entry"),
		"next": "trailcheck verify --key log.vkey " + c.Out})
}
