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

// inChinese are the lines of the servers' set-up, which speaks English; a test
// holds them against its source.
var inChinese = map[string]string{
	"no PostgreSQL %d or later here: installing the distribution's package with apt-get (about 1 minute; no system cluster is created)": "本机没有 PostgreSQL %d 或更新版本:正在用 apt-get 安装发行版的软件包(约 1 分钟;不建系统集群)",
	"refreshing the package lists first":                     "先更新软件包列表",
	"creating a private PostgreSQL %d cluster in %s":         "正在建立专用的 PostgreSQL %d 集群:%s",
	"copying the PostgreSQL %d cluster into a standby in %s": "正在将 PostgreSQL %d 集群复制为备库:%s",
	"using the Vault at VAULT_ADDR":                          "使用 VAULT_ADDR 所指的 Vault",
	"another process builds Vault: waiting for it":           "另一进程正在构建 Vault:等待其完成",
	"built Vault in %s":                                      "Vault 已构建,用时 %s",
	"still building Vault, %s so far":                        "仍在构建 Vault,已用时 %s",
	"no Vault on this machine: building the upstream server once (v1.21.2, BUSL-1.1, a separate program)":                   "本机没有 Vault:构建一次上游服务器(v1.21.2,BUSL-1.1,独立程序)",
	"this takes 3 to 6 minutes, about 400 MB of modules and 2.5 GB of memory; the result stays in %s":                       "需要 3 至 6 分钟、约 400 MB 的模块与 2.5 GB 内存;结果保存在 %s",
	"Vault initialised with one unseal share, kept with the root token in %s (0600): good for a demo, never for production": "Vault 已初始化,仅一份解封份额,与 root 令牌同存于 %s(0600):只适合演示,决不可用于生产",
}

// progress prints what the servers' set-up says.
func (t *teller) progress(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if zh, ok := inChinese[format]; ok && t.zh {
		format = zh
	}
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
