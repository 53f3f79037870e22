package publish

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
)

// maxWitnessAnswer bounds what is read of a witness's answer, in bytes; a few signature lines.
const maxWitnessAnswer = 16 << 10

// WitnessClient asks a witness over HTTP (C2SP tlog-witness). Safe for concurrent use.
type WitnessClient struct {
	url  string
	name string
	vkey string
	http *http.Client
}

// WitnessClientConfig configures a WitnessClient.
type WitnessClientConfig struct {
	URL         string       // submission prefix, e.g. "http://127.0.0.1:7380"; required
	VerifierKey string       // the witness's key in note form; required
	HTTP        *http.Client // nil = http.DefaultClient; deadlines come from the context
}

// NewWitnessClient returns a WitnessClient. It does not connect.
func NewWitnessClient(_ context.Context, cfg WitnessClientConfig) (*WitnessClient, error) {
	v, err := fnote.NewVerifierForCosignatureV1(cfg.VerifierKey)
	if err != nil {
		return nil, fmt.Errorf("reading the witness's verifier key: %w", err)
	}
	if cfg.URL == "" {
		return nil, errors.New("publish: the witness's URL is required")
	}
	c := &WitnessClient{url: strings.TrimSuffix(cfg.URL, "/"), name: v.Name(), vkey: cfg.VerifierKey, http: cfg.HTTP}
	if c.http == nil {
		c.http = http.DefaultClient
	}
	return c, nil
}

// Name is the witness's key name.
func (c *WitnessClient) Name() string { return c.name }

// VerifierKey is the witness's key in note form.
func (c *WitnessClient) VerifierKey() string { return c.vkey }

// Cosign asks for a cosignature; see Witness for the errors.
func (c *WitnessClient) Cosign(ctx context.Context, checkpoint []byte, oldSize uint64, proof [][]byte) ([]byte, error) {
	body := encodeAddCheckpoint(addCheckpoint{old: oldSize, proof: proof, checkpoint: checkpoint})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("asking witness %s: %w", c.name, err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking witness %s: %w", c.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxWitnessAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of witness %s: %w", c.name, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return answer, nil
	case http.StatusConflict:
		size, err := strconv.ParseUint(strings.TrimSuffix(string(answer), "\n"), 10, 64)
		if err == nil && strings.HasPrefix(resp.Header.Get("Content-Type"), sizeContentType) {
			return nil, &StaleError{Size: size}
		}
	}
	return nil, fmt.Errorf("witness %s answered %d: %w", c.name, resp.StatusCode, ErrRefused)
}

// sizeContentType marks the body of a 409 (C2SP tlog-witness).
const sizeContentType = "text/x.tlog.size"

// addCheckpoint is the request of tlog-witness:
//
//	old <size>
//	<base64 hash>      as many as the proof has
//	<empty line>
//	<signed checkpoint>
type addCheckpoint struct {
	old        uint64
	proof      [][]byte
	checkpoint []byte
}

// maxProof is how many hashes a consistency proof may have (C2SP tlog-witness).
const maxProof = 63

var errRequest = errors.New("malformed add-checkpoint request")

func encodeAddCheckpoint(r addCheckpoint) []byte {
	out := fmt.Appendf(nil, "old %d\n", r.old)
	for _, h := range r.proof {
		out = base64.StdEncoding.AppendEncode(out, h)
		out = append(out, '\n')
	}
	return append(append(out, '\n'), r.checkpoint...)
}

// decodeAddCheckpoint is the inverse; it refuses every other spelling.
func decodeAddCheckpoint(body []byte) (addCheckpoint, error) {
	head, checkpoint, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok {
		return addCheckpoint{}, errRequest
	}
	lines := strings.Split(string(head), "\n")
	digits, ok := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || len(lines) > maxProof+1 {
		return addCheckpoint{}, errRequest
	}
	r := addCheckpoint{old: old, checkpoint: checkpoint}
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != 32 {
			return addCheckpoint{}, errRequest
		}
		r.proof = append(r.proof, h)
	}
	if !bytes.Equal(encodeAddCheckpoint(r), body) {
		return addCheckpoint{}, errRequest
	}
	return r, nil
}
