package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// teller prints the story in one language.
type teller struct {
	mu    sync.Mutex
	out   io.Writer
	zh    bool
	began time.Time
}

func (t *teller) text(zh, en string) string {
	if t.zh {
		return zh
	}
	return en
}

// say prints one line. zh and en are formats for the same arguments.
func (t *teller) say(mark, zh, en string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mark != "" {
		mark += " "
	}
	fmt.Fprintf(t.out, "%s%s\n", mark, fmt.Sprintf(t.text(zh, en), args...))
}

// title opens a step.
func (t *teller) title(n int, zh, en string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "\n━━ %d · %s\n", n, t.text(zh, en))
}

// progress prints what the servers' set-up says.
func (t *teller) progress(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "  … "+format+"\n", args...)
}

// quote prints a command's output, indented.
func (t *teller) quote(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintf(t.out, "    %s", line)
	}
	fmt.Fprintln(t.out)
}

// ran is a finished command.
type ran struct {
	code int
	out  string // standard output and error, in order
}

// command runs a program, shows it as a reader would type it, and shows what it
// answered. env entries are added to ours.
func (s *story) command(ctx context.Context, env []string, name string, args ...string) (ran, error) {
	cmd := exec.CommandContext(ctx, s.Program(name), args...)
	cmd.Env = append(os.Environ(), env...)
	if s.zh {
		cmd.Env = append(cmd.Env, "LANG=zh_CN.UTF-8", "LC_ALL=zh_CN.UTF-8")
	} else {
		cmd.Env = append(cmd.Env, "LANG=C.UTF-8", "LC_ALL=C.UTF-8")
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	s.say("  $", "%s", "%s", s.typed(name, args))
	err := cmd.Run()
	result := ran{out: out.String()}
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		result.code, err = exited.ExitCode(), nil
	}
	if err != nil {
		return result, fmt.Errorf("running %s: %w", name, err)
	}
	return result, nil
}

// typed shortens the paths of a command line to what matters.
func (s *story) typed(name string, args []string) string {
	words := []string{name}
	for _, a := range args {
		a = strings.ReplaceAll(a, s.Dir()+string(filepath.Separator), "")
		words = append(words, quoted(a))
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"$`\\;&|<>()*?[]#~!{}") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// as runs sealtrail as a persona.
func (s *story) as(ctx context.Context, persona string, args ...string) (ran, error) {
	env := []string{"SEALTRAIL_SERVER=" + s.API, "SEALTRAIL_TOKEN_FILE=" + s.TokenFile(persona)}
	return s.command(ctx, env, "sealtrail", args...)
}
