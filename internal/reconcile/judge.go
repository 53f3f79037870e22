package reconcile

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Judge matches what has come and returns the alarms about what stayed alone. now
// is up to when both sides are complete: the log was read to its end then, and
// so was Vault's file. The error is the Hasher's; then nothing is lost, and the
// next Judge goes on.
func (m *Matcher) Judge(ctx context.Context, now time.Time) ([]Alarm, error) {
	if err := m.constants(ctx); err != nil {
		return nil, err
	}
	claimed, err := m.judgeClaims(ctx, now)
	alarms := append(m.late, claimed...)
	m.late = nil
	if err != nil {
		return alarms, err
	}
	for _, c := range m.calls {
		if c.tried {
			continue
		}
		found, err := m.judgeCall(ctx, c, now)
		if err != nil {
			return alarms, err
		}
		alarms = append(alarms, found...)
	}
	m.prune(now)
	return alarms, nil
}

func (m *Matcher) constants(ctx context.Context) error {
	if m.known != nil {
		return nil
	}
	known := map[string]bool{}
	for _, text := range m.cfg.Constants {
		h, err := m.hash(ctx, text)
		if err != nil {
			return err
		}
		known[h] = true
	}
	m.known = known
	return nil
}

// judgeClaims finds the call of each use that an entry names.
func (m *Matcher) judgeClaims(ctx context.Context, now time.Time) (alarms []Alarm, err error) {
	kept := m.claims[:0]
	for i, c := range m.claims {
		var found bool
		if found, err = m.find(ctx, c); err != nil {
			kept = append(kept, m.claims[i:]...)
			break
		}
		switch {
		case found:
			m.count.Matched++
		case c.at.Before(m.cfg.From.Add(leaseLife)): // its call may have been before the beginning
		case c.at.Before(now.Add(-m.cfg.Grace)) && (c.intent == nil || !c.intent.long):
			m.count.Findings++
			alarms = append(alarms, Alarm{What: AlarmBatchUnseen, At: c.at, Batch: c.batch, Entry: c.entry, Items: 1})
		case c.at.Before(now.Add(-longWithin)):
			m.count.Excused++ // its call is long forgotten
		default:
			kept = append(kept, c)
		}
	}
	m.claims = slices.Clip(kept)
	return alarms, err
}

// find looks for the item that a claim names, with the context that it must have.
func (m *Matcher) find(ctx context.Context, c *claim) (bool, error) {
	for _, call := range m.byBatch[c.batch] {
		if call.Op == "hmac" || c.at.After(call.Time.Add(leaseLife)) && (c.intent == nil || !c.intent.long) {
			continue
		}
		for i := range call.Items {
			if c.item >= 0 && i != c.item || call.first[i] && c.use <= 1 {
				continue
			}
			ok, err := m.among(ctx, call.Items[i].Context, c.places)
			if err != nil {
				return false, err
			}
			if ok || c.places == nil {
				call.named[i], call.first[i] = true, call.first[i] || c.use <= 1
				return true, nil
			}
		}
	}
	return false, nil
}

// judgeCall alarms about what nothing stands for.
func (m *Matcher) judgeCall(ctx context.Context, c *called, now time.Time) ([]Alarm, error) {
	due := c.Time.Before(now.Add(-m.cfg.Grace))
	switch c.Op {
	case "key":
		return m.judgeKey(c, now), nil
	case "rewrap":
		run, isRun := strings.CutPrefix(c.Batch, "rewrap-")
		if _, known := m.runs[run]; isRun && known {
			c.tried = true
			m.count.Matched += len(c.Items)
			return nil, nil
		}
		if !c.Time.Before(now.Add(-m.cfg.keyGrace())) {
			return nil, nil
		}
		c.tried = true
		return m.alarm(AlarmRewrap, &c.Call, len(c.Items)), nil
	case "hmac":
		return m.judgeIndex(c, now, due), nil
	}
	if !slices.Contains(c.named, false) {
		c.tried = true
		return nil, nil
	}
	if !due {
		return nil, nil
	}
	c.tried = true
	if c.Op == "encrypt" {
		for _, named := range c.named {
			if !named {
				m.count.Wraps++
			}
		}
		return nil, nil
	}
	return m.judgeOpened(ctx, c)
}

// judgeOpened judges a decrypt of which no entry names every item. An intent
// whose outcome names no key accounts for one: it failed after Vault had
// answered, or its process died.
func (m *Matcher) judgeOpened(ctx context.Context, c *called) ([]Alarm, error) {
	surplus := 0
	for i, named := range c.named {
		if named {
			continue
		}
		in, err := m.standsFor(ctx, c, i)
		if err != nil {
			c.tried = false
			return nil, err
		}
		if in == nil {
			surplus++
			continue
		}
		in.spent++
		in.stood = &c.Call
		c.named[i] = true
		m.count.Matched++
	}
	if surplus == 0 {
		return nil, nil
	}
	what := AlarmWithoutEntry
	if m.genuine(c) {
		what = AlarmSurplus
	}
	return m.alarm(what, &c.Call, surplus), nil
}

// genuine says that the log, or another call, knows the call's id.
func (m *Matcher) genuine(c *called) bool {
	return c.Batch != "" && (len(m.byBatch[c.Batch]) > 1 || slices.Contains(c.named, true))
}

// standsFor finds an intent that accounts for an item without naming it.
func (m *Matcher) standsFor(ctx context.Context, c *called, item int) (*intent, error) {
	for _, in := range m.recent {
		within := readWithin
		if in.long {
			within = longWithin
		}
		if in.done || in.spent > 0 || in.named > 0 && !in.long || c.Time.Before(in.at.Add(-time.Second)) || c.Time.After(in.at.Add(within)) {
			continue
		}
		ok, err := m.among(ctx, c.Items[item].Context, in.places)
		if err != nil {
			return nil, err
		}
		if ok {
			return in, nil
		}
	}
	return nil, nil
}

// judgeIndex counts the tokens of a call against those that entries name.
func (m *Matcher) judgeIndex(c *called, now time.Time, due bool) []Alarm {
	constant := 0
	for _, it := range c.Items {
		if it.Input != "" && m.known[it.Input] {
			constant++
		}
	}
	same := m.byBatch[c.Batch] // a second call under one id is nobody's
	first := c.Batch != "" && same[slices.IndexFunc(same, func(o *called) bool { return o.Op == "hmac" })] == c
	missing := len(c.Items) - constant
	if first {
		missing -= m.counted[c.Batch]
	}
	if missing <= 0 {
		c.tried = true
		m.count.Matched += len(c.Items)
		return nil
	}
	if !due || m.restarting(c, now) {
		return nil
	}
	c.tried = true
	if slices.ContainsFunc(m.starts, func(t time.Time) bool { return !t.Before(c.Time) && t.Before(c.Time.Add(m.cfg.keyGrace())) }) {
		m.count.Excused += missing // the service ended between the call and the entry
		return nil
	}
	what := AlarmIndex
	if !first && c.Batch != "" {
		what = AlarmSurplus
	}
	return m.alarm(what, &c.Call, missing)
}

// restarting leaves a call of a service that may have been killed a little longer
// alone: the entry of its next start tells.
func (m *Matcher) restarting(c *called, now time.Time) bool {
	return !c.Time.Before(now.Add(-2 * m.cfg.Grace))
}

// judgeKey looks for the entry that stands for a change of a key.
func (m *Matcher) judgeKey(c *called, now time.Time) []Alarm {
	want := map[string]string{"rotate": "key.rotated", "config": "key.epoch_closed", "trim": "key.epoch_closed"}[c.Verb]
	if want != "" {
		known := slices.ContainsFunc(m.keyed, func(e keyEvent) bool {
			return e.kind == want && e.key == c.Key && e.at.After(c.Time.Add(-m.cfg.keyGrace())) && e.at.Before(c.Time.Add(m.cfg.keyGrace()))
		})
		if known {
			c.tried = true
			m.count.Matched++
			return nil
		}
		if !c.Time.Before(now.Add(-m.cfg.keyGrace())) {
			return nil
		}
	}
	c.tried = true
	return m.alarm(AlarmKeyCall, &c.Call, 1)
}
