package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sealtrail/sealtrail/internal/intake"
)

// dataFile is the file to import: the one that was asked for, or generated
// complaints as JSON lines.
func (s *story) dataFile() (string, error) {
	if s.cfg.Data != "" {
		return filepath.Abs(s.cfg.Data)
	}
	name := filepath.Join(s.Dir(), "complaints.jsonl")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("writing generated complaints: %w", err)
	}
	enc := json.NewEncoder(f)
	for d := range intake.Generate(intake.GeneratorConfig{Seed: 7, Count: s.cfg.Count, End: time.Now().Add(-time.Hour), Days: 60}) {
		if err := enc.Encode(d); err != nil {
			return "", fmt.Errorf("writing generated complaints: %w", err)
		}
	}
	return name, f.Close()
}

// stream runs sealtrail as a persona with its output going straight to ours, so
// that a terminal sees the progress bar move.
func (s *story) stream(ctx context.Context, persona string, args ...string) error {
	cmd := exec.CommandContext(ctx, s.Program("sealtrail"), args...)
	cmd.Env = append(os.Environ(), "SEALTRAIL_SERVER="+s.API, "SEALTRAIL_TOKEN_FILE="+s.TokenFile(persona))
	cmd.Stdout, cmd.Stderr = s.out, s.out
	s.say("  $", "%s", "%s", s.typed("sealtrail", args))
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sealtrail %s: %w", args[0], err)
	}
	return nil
}

// verify is the auditor's check of the whole log: files, a pinned key, a saved
// checkpoint, the witness.
func (s *story) verify(ctx context.Context) error {
	out, err := s.trailcheck(ctx, 0, "verify", "--key", s.KeyFile(), "--pinned", s.auditor("checkpoint.saved"), "--witness", s.WitnessKey, s.LogDir())
	if err != nil {
		return err
	}
	return check(strings.Contains(out, "✓"), "trailcheck does not say what it checked")
}

// trailcheck runs the verifier, prints its answer and checks its exit code.
func (s *story) trailcheck(ctx context.Context, code int, args ...string) (string, error) {
	result, err := s.command(ctx, nil, "trailcheck", args...)
	if err != nil {
		return "", err
	}
	s.quote(result.out)
	return result.out, check(result.code == code, "trailcheck %s: exit code %d, want %d", args[0], result.code, code)
}

// figures asks the service for a report and has trailcheck make the same bytes
// from the published files.
func (s *story) figures(ctx context.Context) error {
	if err := s.settled(ctx); err != nil {
		return err
	}
	period := time.Now().In(time.FixedZone("CST", 8*3600)).Format("2006-01")
	if _, err := s.show(ctx, 0, "analyst-gao", "report", "--period", period, "--purpose", "quality"); err != nil {
		return err
	}
	answer, err := s.Call(ctx, "analyst-gao", http.MethodGet, "/v1/reports?format=json&period="+period, nil, "Sealtrail-Purpose", "quality")
	if err != nil {
		return err
	}
	if err := check(answer.Status == http.StatusOK, "the report answers %d", answer.Status); err != nil {
		return err
	}
	report := s.auditor("report.json")
	if err := os.WriteFile(report, answer.Body, 0o600); err != nil {
		return fmt.Errorf("saving the report: %w", err)
	}
	page, err := s.Call(ctx, "analyst-gao", http.MethodGet, "/v1/reports?format=html&period="+period, nil, "Sealtrail-Purpose", "quality")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.auditor("report.html"), page.Body, 0o600); err != nil {
		return fmt.Errorf("saving the report: %w", err)
	}
	result, err := s.command(ctx, nil, "trailcheck", "report", "--key", s.KeyFile(), "--period", period, "--compare", report, s.LogDir())
	if err != nil {
		return err
	}
	s.quote(brief(result.out))
	if err := check(result.code == 0, "trailcheck report: exit code %d, want 0", result.code); err != nil {
		return err
	}
	s.say("✓", "逐字节一致,%s 字节;图表见 %s", "the same %s bytes; charts in %s", strconv.Itoa(len(answer.Body)), s.auditor("report.html"))
	return nil
}

// brief keeps an answer readable: long JSON lines are cut.
func brief(text string) string {
	const width = 200
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width]) + " …"
		}
		lines = append(lines, line)
	}
	const most = 40
	if len(lines) > most {
		lines = append(lines[:most], "…")
	}
	return strings.Join(lines, "\n")
}
