package main

import (
	"bufio"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"strings"
	"time"

	sealedintake "github.com/sealtrail/sealtrail/crypto/intake"
	"github.com/sealtrail/sealtrail/internal/intake"
)

type intakeCmd struct {
	Key    intakeKeyCmd    `cmd:"" help:"Get the public key that drafts are sealed to; do this while the server is there."`
	Seal   intakeSealCmd   `cmd:"" help:"Seal drafts into a spool or a file. Needs no server."`
	Ingest intakeIngestCmd `cmd:"" help:"Hand sealed drafts in. May be ended anywhere and run again."`
}

type intakeKeyCmd struct {
	Out string `required:"" type:"path" help:"File for the key." placeholder:"FILE"`
}

// Run gets the key, byte for byte: its fingerprint is that of the file.
func (c *intakeKeyCmd) Run(s *session) error {
	a, err := s.client.do(s, request{method: http.MethodGet, path: "/v1/intake/key", public: true})
	if err != nil {
		return err
	}
	key, err := sealedintake.ParsePublicKey(a.body)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Out, a.body, 0o644); err != nil {
		return fmt.Errorf("writing the key: %w", err)
	}
	sum := key.Fingerprint()
	return s.report(map[string]any{"file": c.Out, "institution": key.Institution(), "version": key.Version(), "sha256": hex.EncodeToString(sum[:])})
}

type intakeSealCmd struct {
	File  string `arg:"" type:"existingfile" help:"Drafts as JSON lines, plain or gzip."`
	Key   string `required:"" type:"existingfile" help:"The public key, as intake key wrote it." placeholder:"FILE"`
	Pin   string `help:"Refuse any key but the one of this SHA-256." placeholder:"HEX"`
	Spool string `type:"path" help:"Folder that keeps the envelopes and their receipts." placeholder:"DIR"`
	Out   string `type:"path" help:"File for envelopes as JSON lines instead, to hand in in bulk." placeholder:"FILE"`
}

// Run seals. With a spool each envelope is on disk before the next is sealed;
// with a file all of them are when the command ends.
func (c *intakeSealCmd) Run(s *session) error {
	if (c.Spool == "") == (c.Out == "") {
		return &usageError{"one of --spool and --out is required", ""}
	}
	key, err := c.key(s)
	if err != nil {
		return err
	}
	keep, done, err := c.keeper()
	if err != nil {
		return err
	}
	file, err := os.Open(c.File)
	if err != nil {
		return &usageError{"opening the file: " + err.Error(), ""}
	}
	defer func() { _ = file.Close() }() // it was only read
	rejects := &refusals{}
	sealed := 0
	for row, err := range intake.JSONLines(file, intake.Options{Rejects: rejects, Now: time.Now()}) {
		if err != nil {
			return errors.Join(fmt.Errorf("reading the file: %w", err), done())
		}
		raw, err := json.Marshal(row.Draft)
		if err != nil {
			return errors.Join(fmt.Errorf("sealing a draft: %w", err), done())
		}
		e, r, err := key.Seal(sealedintake.Draft{Source: row.Draft.Source, SourceID: row.Draft.SourceID, Body: raw}, time.Now())
		clear(raw)
		if err == nil {
			err = keep(e, r)
		}
		if err != nil {
			return errors.Join(err, done())
		}
		sealed++
	}
	if err := done(); err != nil {
		return fmt.Errorf("keeping envelopes: %w", err)
	}
	if rejects.lines > 0 {
		fmt.Fprint(s.err, rejects.text.String())
	}
	if err := s.report(map[string]any{"sealed": sealed, "rejected": rejects.lines}); err != nil || rejects.lines == 0 {
		return err
	}
	return errors.New("some lines were not sealed")
}

// refusals keeps what is said of lines that cannot be filed: numbers and codes.
type refusals struct {
	text  strings.Builder
	lines int
}

// Write takes one line of JSON.
func (r *refusals) Write(b []byte) (int, error) {
	r.lines++
	return r.text.Write(b)
}

func (c *intakeSealCmd) key(s *session) (*sealedintake.PublicKey, error) {
	raw, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, &usageError{"reading the key: " + err.Error(), ""}
	}
	key, err := sealedintake.ParsePublicKey(raw)
	if err != nil {
		return nil, &usageError{err.Error(), s.word("用 sealtrail intake key --out FILE 取得", "sealtrail intake key --out FILE gets it")}
	}
	if sum := key.Fingerprint(); c.Pin != "" && !strings.EqualFold(c.Pin, hex.EncodeToString(sum[:])) {
		return nil, &usageError{s.word("公钥不是所钉住的那一把", "the key is not the pinned one"),
			s.word("与公布目录 blob/sha256/ 中的指纹核对;换版后须重新核对并钉住", "compare it with the published folder, blob/sha256/; after a rotation compare and pin anew")}
	}
	return key, nil
}

// bulkLine is one envelope of a file.
type bulkLine struct {
	Envelope string                `json:"envelope"`
	Receipt  *sealedintake.Receipt `json:"receipt,omitempty"`
}

// keeper says where envelopes go, and how that ends.
func (c *intakeSealCmd) keeper() (keep func(sealedintake.Envelope, sealedintake.Receipt) error, done func() error, err error) {
	if c.Spool != "" {
		spool, err := sealedintake.OpenSpool(c.Spool)
		if err != nil {
			return nil, nil, err
		}
		return spool.Put, func() error { return nil }, nil
	}
	file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, &usageError{"opening the file: " + err.Error(), ""}
	}
	out := bufio.NewWriter(file)
	keep = func(e sealedintake.Envelope, r sealedintake.Receipt) error {
		raw, err := json.Marshal(bulkLine{base64.StdEncoding.EncodeToString(e.Bytes()), &r})
		if err == nil {
			_, err = out.Write(append(raw, '\n'))
		}
		return err
	}
	return keep, func() error { return errors.Join(out.Flush(), file.Sync(), file.Close()) }, nil
}

type intakeIngestCmd struct {
	From   string `arg:"" type:"path" help:"A spool (folder) or a file of envelopes as JSON lines."`
	Batch  int    `default:"100" help:"Envelopes per request, 1 to 200."`
	Forget bool   `help:"Delete envelopes of a spool once they are recorded, instead of moving them to done/, where the service could still open them."`
	Tries  int    `default:"5" help:"How often a batch is sent while the server answers 503, waiting longer each time."`
}

// Run hands in.
func (c *intakeIngestCmd) Run(s *session) error {
	if c.Batch < 1 || c.Batch > 200 {
		return &usageError{"--batch must be 1 to 200", ""}
	}
	in := &ingesting{session: s, tries: c.Tries, forget: c.Forget}
	info, err := os.Stat(c.From)
	if err != nil {
		return &usageError{"opening " + c.From + ": " + err.Error(), ""}
	}
	if info.IsDir() {
		if in.spool, err = sealedintake.OpenSpool(c.From); err != nil {
			return err
		}
		err = in.all(spooled(in.spool), c.Batch)
	} else {
		err = in.file(c.From, c.Batch)
	}
	if err != nil {
		fmt.Fprintln(s.err, s.word("重新运行同一命令即可继续", "run the same command again to continue"))
		return err
	}
	if err := s.report(map[string]any{"recorded": in.fresh, "existing": in.existing, "refused": in.refused}); err != nil || in.refused == 0 {
		return err
	}
	return errors.New("some envelopes were refused; none is lost")
}

// waiting is one envelope on its way in.
type waiting struct {
	name string // file name or line, for what is said of it
	raw  []byte
	kept *sealedintake.Kept
	bad  bool
}

func spooled(s *sealedintake.Spool) iter.Seq2[waiting, error] {
	return func(yield func(waiting, error) bool) {
		for kept, err := range s.Waiting() {
			w := waiting{name: kept.Name(), raw: kept.Envelope.Bytes(), kept: &kept}
			if errors.Is(err, sealedintake.ErrMalformed) {
				w.bad, err = true, nil
			}
			if !yield(w, err) {
				return
			}
		}
	}
}

type ingesting struct {
	*session
	spool                    *sealedintake.Spool
	tries                    int
	forget                   bool
	fresh, existing, refused int
}

// file streams a file of lines.
func (in *ingesting) file(name string, batch int) error {
	f, err := os.Open(name)
	if err != nil {
		return &usageError{"opening the file: " + err.Error(), ""}
	}
	defer func() { _ = f.Close() }() // it was only read
	return in.all(func(yield func(waiting, error) bool) {
		lines := bufio.NewReaderSize(f, 1<<20)
		for n := 1; ; n++ {
			line, err := lines.ReadBytes('\n')
			if len(strings.TrimSpace(string(line))) > 0 {
				var l bulkLine
				w := waiting{name: fmt.Sprintf("line %d", n)}
				w.bad = json.Unmarshal(line, &l) != nil
				if raw, err := base64.StdEncoding.DecodeString(l.Envelope); err == nil && len(raw) > 0 {
					w.raw = raw
				} else {
					w.bad = true
				}
				if !yield(w, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(waiting{}, err)
				return
			}
		}
	}, batch)
}

// all sends envelopes in batches.
func (in *ingesting) all(list iter.Seq2[waiting, error], size int) error {
	var batch []waiting
	for w, err := range list {
		if err != nil {
			return fmt.Errorf("reading envelopes: %w", err)
		}
		if w.bad {
			if err := in.refuse(w, "envelope_malformed"); err != nil {
				return err
			}
			continue
		}
		if batch = append(batch, w); len(batch) == size {
			if err := in.send(batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	return in.send(batch)
}

// send hands a batch in until each envelope is answered.
func (in *ingesting) send(batch []waiting) error {
	for attempt := 1; len(batch) > 0; attempt++ {
		left, err := in.once(batch)
		if err == nil && len(left) == 0 {
			return nil
		}
		if err != nil && !temporary(err) {
			return err
		}
		if attempt >= in.tries {
			if err == nil {
				err = &awayError{errors.New("the server keeps answering 503")}
			}
			return err
		}
		if err == nil {
			batch = left
		}
		if err := pause(in, time.Duration(attempt*attempt)*250*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (in *ingesting) once(batch []waiting) (left []waiting, err error) {
	items := make([]string, len(batch))
	for i, w := range batch {
		items[i] = base64.StdEncoding.EncodeToString(w.raw)
	}
	a, err := in.client.do(in, request{method: http.MethodPost, path: "/v1/intake/envelopes", purpose: true, body: map[string]any{"items": items}})
	if err != nil {
		return nil, err
	}
	var result struct {
		Items []itemResult `json:"items"`
	}
	if err := a.into(&result); err != nil {
		return nil, err
	}
	if len(result.Items) != len(batch) {
		return nil, errors.New("reading the server's answer: it has another number of results than the batch has envelopes")
	}
	for i, item := range result.Items {
		switch {
		case item.Created != nil:
			err = in.recorded(batch[i], item.Created.Existing)
		case item.Problem != nil && item.Problem.Status == http.StatusServiceUnavailable:
			left = append(left, batch[i])
		case item.Problem != nil && item.Problem.Status == http.StatusUnprocessableEntity:
			err = in.refuse(batch[i], item.Problem.first())
		case item.Problem != nil:
			return nil, item.Problem
		}
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}

func (in *ingesting) recorded(w waiting, existing bool) error {
	in.fresh++
	if existing {
		in.fresh--
		in.existing++
	}
	if in.spool == nil {
		return nil
	}
	if in.forget {
		return in.spool.Forget(*w.kept)
	}
	return in.spool.Done(*w.kept)
}

// refuse says which envelope was refused by which code; a spool keeps both.
func (in *ingesting) refuse(w waiting, code string) error {
	in.refused++
	fmt.Fprintf(in.err, "%s: %s\n", w.name, code)
	if in.spool == nil {
		return nil
	}
	return in.spool.Refused(*w.kept, code)
}

// first is the first place's code of a problem, else the problem's own.
func (p *problem) first() string {
	if len(p.Errors) > 0 {
		return p.Errors[0].Code
	}
	return p.Code
}

// report writes a result of the command's own.
func (s *session) report(v map[string]any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	a := &answer{body: raw}
	return s.show(a, s.members(a))
}
