package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/pglog"
	"github.com/sealtrail/sealtrail/audit/publish"
	"github.com/sealtrail/sealtrail/internal/telemetry"
)

// WitnessConfig says which witnesses count, and when their silence alarms.
type WitnessConfig struct {
	WitnessPolicy string        `help:"Witness policy file (C2SP tlog-policy): its witnesses with a URL are asked, its quorum decides. Instead of --witness." env:"SEALTRAIL_WITNESS_POLICY"`
	WitnessStale  time.Duration `help:"Silence of a witness, or age of the quorum's newest cosignature, that alarms." default:"15m" env:"SEALTRAIL_WITNESS_STALE"`
	WitnessMaxAge time.Duration `help:"Age of the quorum's newest cosignature at which nothing more is published; 0: witnesses never stop the log." default:"0" env:"SEALTRAIL_WITNESS_MAX_AGE"`
}

// maxWitnessAlarms is how many alarms about witnesses may wait to become
// entries; each witness raises one when it falls silent and one when it is back.
const maxWitnessAlarms = 256

// openWitnesses reads --witness or --witness-policy. It connects to nothing.
func (p *publishing) openWitnesses(ctx context.Context) error {
	cfg := &p.server.cfg
	add := func(url, vkey string) error {
		w, err := publish.NewWitnessClient(ctx, publish.WitnessClientConfig{URL: url, VerifierKey: vkey})
		if err == nil {
			p.witnesses = append(p.witnesses, w)
		}
		return err
	}
	if cfg.WitnessPolicy != "" && len(cfg.Witness) > 0 {
		return errors.New("reading --witness-policy: it names the witnesses, so leave --witness out")
	}
	for _, spec := range cfg.Witness {
		url, vkey, ok := strings.Cut(spec, "=")
		if !ok {
			return errors.New("reading --witness: want URL=verifier-key")
		}
		if err := add(url, vkey); err != nil {
			return err
		}
	}
	if cfg.WitnessPolicy == "" {
		return nil
	}
	raw, err := os.ReadFile(cfg.WitnessPolicy)
	if err != nil {
		return errors.New("reading --witness-policy: " + describe(err))
	}
	policy, err := audit.ParseWitnessPolicy(raw)
	if err != nil {
		return fmt.Errorf("reading --witness-policy: %w", err)
	}
	asked := map[string]bool{}
	for _, w := range policy.Witnesses() {
		if w.URL == "" {
			continue
		}
		asked[w.Label] = true
		if err := add(w.URL, w.VerifierKey); err != nil {
			return err
		}
	}
	listed := policy.Witnesses()
	if !policy.Quorum(func(i int) bool { return asked[listed[i].Label] }) {
		return errors.New("reading --witness-policy: too few of its witnesses have a URL to make the quorum")
	}
	p.policy = policy
	return nil
}

// watchOf is what a log's publisher is told about its witnesses. A log of an
// earlier year gets no new cosignature that anybody would miss.
func (p *publishing) watchOf(shard pglog.Shard) publish.Watch {
	cfg := &p.server.cfg
	w := publish.Watch{Policy: p.policy, Stale: cfg.WitnessStale, MaxAge: cfg.WitnessMaxAge}
	if shard.Year < time.Now().UTC().Year() {
		const never = 100 * 365 * 24 * time.Hour
		w.Stale, w.MaxAge = never, 0
	}
	return w
}

// alarm is told by publishers, within a round: it must not wait.
func (p *publishing) alarm(ctx context.Context, shard pglog.Shard, a publish.Alarm) {
	log := p.server.log.With(slog.String("log", shard.Origin), slog.String("witness", a.Witness))
	switch a.Kind {
	case publish.AlarmWitnessStale:
		log.ErrorContext(ctx, "witnesses are silent", slog.Uint64("size", a.Size), slog.Duration("lag", a.Age))
	case publish.AlarmWitnessBack:
		log.InfoContext(ctx, "witnesses are back", slog.Uint64("size", a.Size))
	case publish.AlarmSplit:
		log.ErrorContext(ctx, "split view: the log's key signed another history", slog.Uint64("size", a.Size), slog.String("digest", a.SHA256))
	case publish.AlarmSecond: // no entry: whoever reads the checkpoints sees it
		log.ErrorContext(ctx, "a checkpoint lacks its second signature", slog.Uint64("size", a.Size), slog.Any("error", a.Err))
		if p.alarmed != nil {
			p.alarmed.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", a.Kind)))
		}
		return
	default:
		log.ErrorContext(ctx, "publishing the log", slog.String("kind", a.Kind), slog.Any("error", a.Err))
		return
	}
	if p.alarmed != nil && a.Kind != publish.AlarmWitnessBack {
		p.alarmed.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", a.Kind)))
	}
	select {
	case p.alarms <- a:
	default:
		log.ErrorContext(ctx, "an alarm about witnesses has no entry: too many wait", slog.String("kind", a.Kind))
	}
}

// enterAlarms makes entries of alarms about witnesses, each as soon as the log
// takes entries.
func (p *publishing) enterAlarms(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-p.alarms:
			for !p.enterAlarm(ctx, a) {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(time.Second):
				}
			}
		}
	}
}

func (p *publishing) enterAlarm(ctx context.Context, a publish.Alarm) bool {
	name := a.Witness
	if name == "" {
		name = "quorum"
	}
	kind, facts := "witness.recovered", audit.Facts{"name": name, "size": int64(a.Size)}
	switch a.Kind {
	case publish.AlarmWitnessStale:
		kind, facts["seconds"] = "witness.stale", int64(a.Age.Seconds())
	case publish.AlarmSplit:
		kind, facts["sha256"] = "witness.split", a.SHA256
	}
	alias, err := p.server.trail.Alias(ctx, "service")
	if err == nil {
		_, err = p.server.trail.Append(ctx, p.server.serviceEvent(alias, "witness", kind, facts))
	}
	if err != nil {
		p.server.log.WarnContext(ctx, "alarm about witnesses not entered yet", slog.String("kind", kind), slog.String("cause", err.Error()))
	}
	return err == nil
}

// observeWitnesses registers how far each witness follows.
func (s *Server) observeWitnesses(m metric.Meter) error {
	age, err := m.Float64ObservableGauge(telemetry.MetricWitnessAge, metric.WithUnit("s"), metric.WithDescription("Age of the newest cosignature of a witness, and of the quorum."))
	if err != nil {
		return fmt.Errorf("making the witnesses' metrics: %w", err)
	}
	lag, err := m.Int64ObservableGauge(telemetry.MetricWitnessLag, metric.WithUnit("{entry}"), metric.WithDescription("Published entries that a witness has not cosigned."))
	if err != nil {
		return fmt.Errorf("making the witnesses' metrics: %w", err)
	}
	if s.publisher.alarmed, err = m.Int64Counter(telemetry.MetricWitnessAlarms, metric.WithUnit("{alarm}"), metric.WithDescription("Alarms about witnesses and the second signature, by kind.")); err != nil {
		return fmt.Errorf("making the witnesses' metrics: %w", err)
	}
	_, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		p := s.publisher.current()
		if p == nil || !s.publisher.leads() {
			return nil
		}
		now, size, known := time.Now(), p.Status().Size, p.Witnessed()
		for _, w := range known.Witnesses {
			label := metric.WithAttributes(attribute.String("witness", w.Name))
			o.ObserveInt64(lag, int64(size-min(size, w.Size)), label)
			if !w.At.IsZero() {
				o.ObserveFloat64(age, now.Sub(w.At).Seconds(), label)
			}
		}
		if !known.QuorumAt.IsZero() {
			o.ObserveFloat64(age, now.Sub(known.QuorumAt).Seconds(), metric.WithAttributes(attribute.String("witness", "quorum")))
		}
		return nil
	}, age, lag)
	if err != nil {
		return fmt.Errorf("making the witnesses' metrics: %w", err)
	}
	return nil
}
