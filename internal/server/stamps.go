package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/audit/timestamp"
)

// StampConfig names a time stamp authority (RFC 3161).
type StampConfig struct {
	TSAURL   string        `name:"tsa-url" help:"Time stamp authority (RFC 3161) that vouches for checkpoints. Empty: none. Publishing never waits for it." env:"SEALTRAIL_TSA_URL"`
	TSACA    string        `name:"tsa-ca" help:"PEM file of the authority's certificate, against which its answers are verified; required with --tsa-url." env:"SEALTRAIL_TSA_CA"`
	TSAEvery time.Duration `name:"tsa-every" help:"How often a checkpoint is stamped if the log grew." default:"1h" env:"SEALTRAIL_TSA_EVERY"`
}

const (
	// stampDeadline bounds one question; authorities answer within a second or two.
	stampDeadline = 10 * time.Second
	// stampRetry is how soon an authority that did not answer is asked again.
	stampRetry = time.Minute
	// stampNoise is how many entries at most an hour of an idle log makes by itself: the stamp's own, that of the ends of trails, and
	// one of health. A log that grew by no more is not stamped again.
	stampNoise = 3
)

// stamper asks the authority about the published checkpoint.
type stamper struct {
	server *Server
	roots  *x509.CertPool
	http   *http.Client
	size   uint64    // stamped last
	log    string    // and of which log
	at     time.Time // when, by our clock
}

// stamp stamps a checkpoint now and then, on the replica that publishes. It
// is a loop of its own: nothing waits for an authority.
func (s *Server) stamp(ctx context.Context) error {
	if s.cfg.TSAURL == "" {
		return nil
	}
	pem, err := os.ReadFile(s.cfg.TSACA)
	if err != nil {
		return errors.New("reading --tsa-ca: " + describe(err))
	}
	st := &stamper{server: s, http: &http.Client{Timeout: stampDeadline}}
	if st.roots, err = timestamp.Roots(pem); err != nil {
		return fmt.Errorf("reading --tsa-ca: %w", err)
	}
	pause := s.cfg.TSAEvery
	if pause <= 0 {
		pause = time.Hour
	}
	return every(ctx, min(pause, stampRetry), func(ctx context.Context) {
		if time.Since(st.at) < pause {
			return
		}
		if err := st.once(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "checkpoint not time-stamped", slog.String("cause", err.Error()))
		}
	})
}

// once stamps the published checkpoint if the log grew.
func (st *stamper) once(ctx context.Context) error {
	s := st.server
	p := s.publisher.current()
	if p == nil || !s.publisher.leads() {
		return nil
	}
	shard, size := s.shard(), p.Status().Size
	if size == 0 || st.log == shard.Origin && size <= st.size+stampNoise {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*stampDeadline)
	defer cancel()
	folder, err := publish.NewFolder(s.publisher.folder(shard))
	if err != nil {
		return err
	}
	raw, err := folder.Get(ctx, audit.CheckpointSizePath(size))
	if err != nil {
		return err
	}
	n, err := audit.SplitNote(raw)
	if err != nil {
		return err
	}
	c, err := audit.ParseCheckpoint(n.Text)
	if err != nil {
		return err
	}
	response, token, err := st.ask(ctx, c.Marshal())
	if err != nil {
		return err
	}
	// The file first: crash here leaves a stamp that no entry names, which is true and gives no lower bound.
	if err := folder.Put(ctx, audit.StampPath(size), response); err != nil {
		return err
	}
	sum := sha256.Sum256(response)
	alias, err := s.trail.Alias(ctx, "service")
	if err != nil {
		return err
	}
	_, err = s.trail.Append(ctx, s.serviceEvent(alias, "time", "time.stamped", audit.Facts{"origin": c.Origin, "size": int64(size), "root": hex.EncodeToString(c.Root[:]),
		"time": token.Time.Format(audit.TimeLayout), "token_sha256": hex.EncodeToString(sum[:]), "tsa": token.Authority}))
	if err == nil {
		st.log, st.size, st.at = shard.Origin, size, time.Now()
	}
	return err
}

// ask posts the question and verifies the answer before anybody relies on it.
func (st *stamper) ask(ctx context.Context, text []byte) ([]byte, timestamp.Token, error) {
	var none timestamp.Token
	question, err := timestamp.NewRequest(text)
	if err != nil {
		return nil, none, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, st.server.cfg.TSAURL, bytes.NewReader(question.DER))
	if err != nil {
		return nil, none, errors.New("asking the time stamp authority: --tsa-url is no URL")
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	resp, err := st.http.Do(req)
	if err != nil {
		return nil, none, errors.New("asking the time stamp authority: no answer") // the cause holds the URL
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, timestamp.MaxResponse+1))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, none, fmt.Errorf("asking the time stamp authority: status %d", resp.StatusCode)
	}
	token, err := question.Check(answer, st.roots)
	if err != nil {
		return nil, none, fmt.Errorf("asking the time stamp authority: %w", err)
	}
	return answer, token, nil
}
