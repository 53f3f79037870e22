// Package deploy_test reads what an operator installs: names, images, rules.
package deploy_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// environment is the names of sealtraild.env, by name.
func environment(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	scan := bufio.NewScanner(bytes.NewReader(read(t, "sealtraild.env")))
	for scan.Scan() {
		line := scan.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || names[name] != "" {
			t.Errorf("line %q: want NAME=value, once", line)
		}
		names[name] = value
	}
	return names
}

type service struct {
	Image       string            `yaml:"image"`
	Build       map[string]string `yaml:"build"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Secrets     []string          `yaml:"secrets"`
	SecurityOpt []string          `yaml:"security_opt"`
}

type compose struct {
	Services map[string]service           `yaml:"services"`
	Secrets  map[string]map[string]string `yaml:"secrets"`
}

var pinnedImage = regexp.MustCompile(`^[a-z0-9./-]+/[a-z0-9-]+:\d+\.\d+(\.\d+)?$`)

func TestComposeIsPinnedAndOnLoopback(t *testing.T) {
	t.Parallel()
	var c compose
	if err := yaml.Unmarshal(read(t, "compose/compose.yml"), &c); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"postgres", "vault", "sealtraild"} {
		if _, ok := c.Services[want]; !ok {
			t.Errorf("no service %s", want)
		}
	}
	for name, s := range c.Services {
		if s.Build == nil && !pinnedImage.MatchString(s.Image) {
			t.Errorf("%s: image %q is not pinned to a version", name, s.Image)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %q is not on loopback", name, port)
			}
		}
		for _, secret := range s.Secrets {
			if c.Secrets[secret]["file"] == "" {
				t.Errorf("%s: secret %q is not declared", name, secret)
			}
		}
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: new privileges are possible", name)
		}
	}
	if docker := c.Services["sealtraild"].Build["dockerfile"]; docker != "" {
		read(t, filepath.Join("..", docker))
	}
}

func TestComposeUsesTheServicesOwnNames(t *testing.T) {
	t.Parallel()
	var c compose
	if err := yaml.Unmarshal(read(t, "compose/compose.yml"), &c); err != nil {
		t.Fatal(err)
	}
	known, whole := environment(t), read(t, "sealtraild.env")
	for name := range c.Services["sealtraild"].Environment {
		if !bytes.Contains(whole, []byte(name+"=")) { // if only in a comment
			t.Errorf("compose sets %s, which sealtraild.env does not know", name)
		}
	}
	for name := range known {
		if _, ok := c.Services["sealtraild"].Environment[name]; !ok && !strings.HasPrefix(name, "OTEL_") {
			t.Errorf("compose lacks %s", name)
		}
	}
}

// envTag is how a field of the service's configuration names its variable.
var envTag = regexp.MustCompile(`env:"([A-Z0-9_]+)"([^` + "`" + `\n]*required:"")?`)

func TestEnvironmentIsWhatTheServiceReads(t *testing.T) {
	t.Parallel()
	used, required := map[string]bool{}, 0
	known, whole := environment(t), read(t, "sealtraild.env")
	for _, m := range envTag.FindAllStringSubmatch(string(read(t, "../internal/server/config.go")), -1) {
		used[m[1]] = true
		if !bytes.Contains(whole, []byte(m[1]+"=")) {
			t.Errorf("sealtraild.env says nothing of %s, not even in a comment", m[1])
		}
		if m[2] == "" {
			continue
		}
		required++
		if _, ok := known[m[1]]; !ok {
			t.Errorf("the service requires %s, which sealtraild.env lacks", m[1])
		}
	}
	if required < 3 {
		t.Errorf("only %d required names found in the configuration: the pattern is wrong", required)
	}
	for name := range known {
		if !strings.HasPrefix(name, "OTEL_") && !used[name] {
			t.Errorf("sealtraild.env sets %s, which the service does not read", name)
		}
	}
}

type ruleFile struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

var (
	metricInRule = regexp.MustCompile(`\b(sealtrail|http)_[a-z_]+`)
	metricInCode = regexp.MustCompile(`(?m)^\s*Metric\w+\s*=\s*"([a-z._]+)"`)
	exporterEnds = regexp.MustCompile(`(_total|_ratio|_seconds|_bucket|_count|_sum)*$`)
)

func TestAlertsUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	exported := map[string]bool{}
	for _, m := range metricInCode.FindAllStringSubmatch(string(read(t, "../internal/telemetry/names.go")), -1) {
		exported[strings.ReplaceAll(m[1], ".", "_")] = true
	}
	var rules ruleFile
	if err := yaml.Unmarshal(read(t, "prometheus/rules.yml"), &rules); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, group := range rules.Groups {
		for _, r := range group.Rules {
			if r.Annotations["summary"] == "" || r.Annotations["action"] == "" || r.Labels["severity"] == "" {
				t.Errorf("%s lacks a summary, an action or a severity", r.Alert)
			}
			for _, name := range metricInRule.FindAllString(r.Expr, -1) {
				name = exporterEnds.ReplaceAllString(name, "")
				if name == "http_response_status_code" {
					continue // a label
				}
				seen++
				if !exported[name] {
					t.Errorf("%s uses %s, which nothing exports", r.Alert, name)
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d metrics found in the rules: the pattern is wrong", seen)
	}
}

// exposureAtMost is the score of `systemd-analyze security` that the unit keeps
// to; below 2.0 is "OK". Measured on systemd 252: 1.2.
const exposureAtMost = 2.0

func TestUnitIsValidAndHardened(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not on this machine")
	}
	// verify insists on an executable that exists; the text is otherwise the same.
	unit := filepath.Join(t.TempDir(), "sealtraild.service")
	text := strings.Replace(string(read(t, "systemd/sealtraild.service")), "/usr/local/bin/sealtraild", "/bin/true", 1)
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || bytes.Contains(out, []byte("sealtraild.service:")) {
		t.Errorf("verify: %v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	if bytes.Contains(out, []byte("unrecognized option")) {
		t.Skip("this systemd is older than 250 and cannot judge a unit that is not installed")
	}
	if err != nil {
		t.Fatalf("security: %v: %s", err, out)
	}
	m := regexp.MustCompile(`exposure level[^:]*: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level in %s", out)
	}
	if score, err := strconv.ParseFloat(string(m[1]), 64); err != nil || score > exposureAtMost {
		t.Errorf("exposure level %s, at most %v", m[1], exposureAtMost)
	}
}

func TestUnitReadsTheDocumentedEnvironment(t *testing.T) {
	t.Parallel()
	unit := string(read(t, "systemd/sealtraild.service"))
	known := environment(t)
	credentials := regexp.MustCompile(`(?m)^\s+([A-Z_]+)=%d/([a-z-]+)`).FindAllStringSubmatch(unit, -1)
	for _, m := range credentials {
		if _, ok := known[m[1]]; !ok {
			t.Errorf("the unit sets %s, which sealtraild.env does not know", m[1])
		}
		if !strings.Contains(unit, "LoadCredentialEncrypted="+m[2]+":") {
			t.Errorf("the unit sets %s to a credential that it does not load", m[1])
		}
	}
	if len(credentials) != strings.Count(unit, "LoadCredentialEncrypted=") {
		t.Errorf("%d credentials are used, %d are loaded", len(credentials), strings.Count(unit, "LoadCredentialEncrypted="))
	}
	if !strings.Contains(unit, "EnvironmentFile=/etc/sealtrail/sealtraild.env") {
		t.Error("the unit does not read sealtraild.env")
	}
}
