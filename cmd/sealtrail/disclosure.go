package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"
)

type disclosureCmd struct {
	Request disclosureRequestCmd `cmd:"" help:"Ask for a package for a recipient's public key."`
	Approve disclosureApproveCmd `cmd:"" help:"Give the first assent (the head of the owning department)."`
	Confirm disclosureConfirmCmd `cmd:"" help:"Give the second assent (the data protection officer)."`
	Refuse  disclosureRefuseCmd  `cmd:"" help:"Refuse a request that somebody else made."`
	Show    disclosureShowCmd    `cmd:"" help:"A request and what became of it."`
	Fetch   disclosureFetchCmd   `cmd:"" help:"Produce the package and write it to a file; once."`
}

type disclosureRequestCmd struct {
	Complaint     string   `arg:"" optional:"" help:"Complaint id; none for scope institution."`
	Scope         string   `enum:"record,subject,institution" default:"record" help:"record: this complaint; subject: all of its complainant; institution: everything."`
	Group         []string `required:"" help:"Field group, e.g. contact; may be repeated." placeholder:"GROUP"`
	Recipient     string   `help:"age public key: age1pq1... or age1..." placeholder:"KEY"`
	RecipientFile string   `type:"existingfile" help:"File with the public key instead." placeholder:"FILE"`
	Name          string   `help:"Authority or institution that receives it; none for basis subject_access." placeholder:"NAME"`
	Basis         string   `required:"" help:"subject_access, court_order, supervisor or migration." placeholder:"BASIS"`
	ForPurpose    string   `required:"" help:"Purpose, e.g. legal." placeholder:"PURPOSE"`
	Expires       string   `required:"" help:"Date or time, at most 92 days from now." placeholder:"DATE"`
}

// Run asks.
func (c *disclosureRequestCmd) Run(s *session) error {
	expires, err := moment(c.Expires)
	if err != nil {
		return err
	}
	key := c.Recipient
	if c.RecipientFile != "" {
		if key != "" {
			return &usageError{"--recipient and --recipient-file exclude each other", ""}
		}
		if key, err = publicKeyIn(c.RecipientFile); err != nil {
			return err
		}
	}
	body := map[string]any{"scope": c.Scope, "groups": c.Group, "recipient": key, "basis": c.Basis, "purpose": c.ForPurpose, "expires_at": expires}
	if c.Complaint != "" {
		body["complaint"] = c.Complaint
	}
	if c.Name != "" {
		body["recipient_name"] = c.Name
	}
	return s.post("/v1/disclosures", body)
}

// publicKeyIn reads the one line of a file that is no comment: what age-keygen -y
// prints. An identity file is refused before anything of it is sent.
func publicKeyIn(name string) (string, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return "", &usageError{"reading the public key: " + err.Error(), ""}
	}
	var keys []string
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			keys = append(keys, line)
		}
	}
	if len(keys) != 1 || strings.HasPrefix(strings.ToUpper(keys[0]), "AGE-SECRET-KEY-") {
		return "", &usageError{"the file does not hold exactly one public key", "age-keygen -y FILE prints the public key of an identity file"}
	}
	return keys[0], nil
}

func disclosurePath(id, rest string) string { return "/v1/disclosures/" + url.PathEscape(id) + rest }

type disclosureApproveCmd struct {
	ID string `arg:"" help:"Disclosure id."`
}

// Run approves.
func (c *disclosureApproveCmd) Run(s *session) error {
	return s.post(disclosurePath(c.ID, "/approve"), nil)
}

type disclosureConfirmCmd struct {
	ID      string `arg:"" help:"Disclosure id."`
	Confirm string `required:"" help:"The first 8 characters of the recipient's fingerprint, as the recipient told you by another way." placeholder:"HEX"`
}

// Run confirms, once the fingerprint is what the person was told: an id copied
// from a request says nothing about whose key it names.
func (c *disclosureConfirmCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: disclosurePath(c.ID, "")})
	if err != nil {
		return err
	}
	var x struct {
		Fingerprint string `json:"recipient_sha256"`
	}
	if err := a.into(&x); err != nil {
		return err
	}
	if len(c.Confirm) < 8 || !strings.HasPrefix(x.Fingerprint, strings.ToLower(c.Confirm)) {
		return &usageError{s.word("--confirm 与接收方公钥指纹的开头不符", "--confirm is not the beginning of the recipient's fingerprint"),
			"sealtrail disclosure show " + c.ID + s.word(":显示指纹;请与接收方电话核对", " prints it; compare it with the recipient by telephone")}
	}
	return s.post(disclosurePath(c.ID, "/confirm"), nil)
}

type disclosureRefuseCmd struct {
	ID string `arg:"" help:"Disclosure id."`
}

// Run refuses.
func (c *disclosureRefuseCmd) Run(s *session) error {
	return s.post(disclosurePath(c.ID, "/refuse"), nil)
}

type disclosureShowCmd struct {
	ID string `arg:"" help:"Disclosure id."`
}

// Run shows.
func (c *disclosureShowCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: disclosurePath(c.ID, "")})
	if err != nil {
		return err
	}
	return s.show(a, s.members(a))
}

type disclosureFetchCmd struct {
	ID  string `arg:"" help:"Disclosure id."`
	Out string `required:"" type:"path" help:"File to write; it must not be there." placeholder:"FILE"`
}

// errNotWhole is a package that ended without its trailers, or is not the one
// that the log names.
var errNotWhole = errors.New("the package is not whole: it may be fetched again")

// Run produces the package. The file has its name only once it is whole: until
// then it is FILE.part, which age refuses to open to its end.
func (c *disclosureFetchCmd) Run(s *session) (err error) {
	if _, err := os.Lstat(c.Out); err == nil {
		return &usageError{c.Out + s.word(" 已存在", " is there already"), s.word("用 --out 指定新文件", "name a new file with --out")}
	}
	resp, err := s.client.transfer(s, request{method: http.MethodPost, path: disclosurePath(c.ID, "/package")}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	part, err := os.OpenFile(c.Out+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the package: %w", err)
	}
	sum, shown := sha256.New(), newGrowth(s)
	n, err := io.Copy(io.MultiWriter(part, sum, shown), resp.Body)
	shown.end()
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return &awayError{fmt.Errorf("%w (%w)", errNotWhole, err)}
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if told := resp.Trailer.Get("Package-Sha256"); told != got {
		return errNotWhole
	}
	if err := os.Rename(c.Out+".part", c.Out); err != nil {
		return fmt.Errorf("writing the package: %w", err)
	}
	if err := syncFolder(filepath.Dir(c.Out)); err != nil {
		return fmt.Errorf("writing the package: %w", err)
	}
	return s.report(map[string]any{"file": c.Out, "bytes": n, "package_sha256": got, "records": number(resp.Trailer.Get("Package-Records")),
		"withheld": number(resp.Trailer.Get("Package-Withheld")), "entry": resp.Trailer.Get("Audit-Entry")})
}

func number(s string) int {
	var n int
	_, _ = fmt.Sscan(s, &n) // a trailer that is no number shows as 0
	return n
}

func syncFolder(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// growth shows how many bytes have come, on a terminal.
type growth struct {
	s     *session
	bar   bool
	n     int64
	shown time.Time
}

func newGrowth(s *session) *growth {
	f, ok := s.err.(*os.File)
	return &growth{s: s, bar: ok && term.IsTerminal(int(f.Fd())), shown: time.Now()}
}

// Write counts.
func (g *growth) Write(b []byte) (int, error) {
	g.n += int64(len(b))
	if g.bar && time.Since(g.shown) > 200*time.Millisecond {
		g.shown = time.Now()
		fmt.Fprintf(g.s.err, "\r\x1b[K%.1f MiB", float64(g.n)/(1<<20))
	}
	return len(b), nil
}

func (g *growth) end() {
	if g.bar {
		fmt.Fprint(g.s.err, "\r\x1b[K")
	}
}
