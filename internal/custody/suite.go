package custody

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/crypto/field"
	"github.com/sealtrail/sealtrail/internal/complaint"
)

// The suites that an institution may choose: how its fields are sealed.
const (
	SuiteAES = field.Suite1 // AES-256-GCM with SHA-256
	SuiteSM  = field.Suite2 // SM4-GCM with SM3
)

// ErrSuiteForbidden means: the chosen suite cannot be used by a process that runs
// under GODEBUG=fips140=only.
var ErrSuiteForbidden = field.ErrSuiteForbidden

// suiteSubject is the trail of the choice. The choice is kept in the log and
// nowhere else: a row of a table could be changed by whoever can write SQL.
const suiteSubject = "charter:suite"

// suiteEvery is how often a running door looks whether another suite was
// chosen. What is sealed in the old one meanwhile, the sweep finds.
const suiteEvery = 2 * time.Second

// choice is the suite that was chosen; 0 until the log was asked.
type choice struct{ suite atomic.Uint32 }

// chosenSuite is the suite that new and changed records are sealed in.
func (d *Door) chosenSuite(ctx context.Context) (uint8, error) {
	if suite := d.choice.suite.Load(); suite != 0 {
		return uint8(suite), nil
	}
	return d.askSuite(ctx)
}

// askSuite asks the log; without any choice it is suite 1.
func (d *Door) askSuite(ctx context.Context) (uint8, error) {
	entries, err := d.cfg.Log.Trail(ctx, suiteSubject, 1)
	if err != nil {
		return 0, logError(err)
	}
	suite := SuiteAES
	if len(entries) > 0 {
		b, err := audit.ParseBody(entries[0].Body)
		if err != nil {
			return 0, fmt.Errorf("%w: entry %d of the log", ErrIntegrity, entries[0].ID)
		}
		n, _ := b.Facts.Int("suite")
		if b.Kind != "suite.chosen" || n != int64(SuiteAES) && n != int64(SuiteSM) {
			return 0, fmt.Errorf("%w: entry %d of the log chooses no known suite", ErrIntegrity, entries[0].ID)
		}
		suite = uint8(n)
	}
	d.choice.suite.Store(uint32(suite))
	return suite, nil
}

// CheckSuite returns the suite that was chosen, and ErrSuiteForbidden if this
// process cannot use it. A service that cannot must not start.
func (d *Door) CheckSuite(ctx context.Context) (uint8, error) {
	suite, err := d.askSuite(ctx)
	if err != nil {
		return 0, err
	}
	if err := field.CheckSuite(suite); err != nil {
		return suite, fmt.Errorf("the institution chose suite %d (SM4-GCM with SM3): %w; choose suite 1, or run without fips140=only", suite, err)
	}
	return suite, nil
}

// ChooseSuite makes a suite the one of every record from now on. It is an act of
// the operator that no decision covers, and an entry. What is sealed in another
// suite stays readable; it moves when it is changed, or by Reseal.
func (d *Door) ChooseSuite(ctx context.Context, suite uint8) (AuditRef, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if suite == 0 || errors.Is(field.CheckSuite(suite), field.ErrPlace) {
		return AuditRef{}, invalid("/suite", "unknown_value")
	}
	if err := field.CheckSuite(suite); err != nil {
		return AuditRef{}, fmt.Errorf("choosing suite %d (SM4-GCM with SM3): %w", suite, err)
	}
	present, err := d.askSuite(ctx)
	if err != nil {
		return AuditRef{}, err
	}
	if present == suite {
		return AuditRef{}, &ConflictError{Code: "already_decided"}
	}
	ref, err := d.operatorEvent(ctx, suiteSubject, "suite.chosen", audit.Facts{"suite": int(suite)})
	if err != nil {
		return AuditRef{}, err
	}
	d.choice.suite.Store(uint32(suite))
	return ref, nil
}

// operatorEvent records an act of the operator that no decision covers.
func (d *Door) operatorEvent(ctx context.Context, subject, kind string, facts audit.Facts) (AuditRef, error) {
	b, err := d.operatorBody(ctx, subject, kind, facts)
	if err != nil {
		return AuditRef{}, err
	}
	receipt, err := d.record(ctx, b)
	if err != nil {
		return AuditRef{}, err
	}
	return receiptRef(receipt), nil
}

func (d *Door) operatorBody(ctx context.Context, subject, kind string, facts audit.Facts) (audit.Body, error) {
	operator, err := d.cfg.Log.Alias(ctx, "operator")
	if err != nil {
		return audit.Body{}, logError(err)
	}
	return audit.Body{At: d.now(), Stage: audit.StageEvent, Kind: kind, Actor: audit.Actor{ID: operator}, Subject: subject, Facts: facts},
		complaint.CheckFacts(kind, facts)
}

// Suites is which suite the institution chose and how many records are sealed in
// each, by the rows and by the log. Where both agree, the log proves how far a
// migration is.
type Suites struct {
	Chosen uint8           `json:"chosen"`
	Stored map[uint8]int64 `json:"stored"`
	Logged map[uint8]int64 `json:"logged"`
	Agree  bool            `json:"agree"`
}

// Suites counts the records of each suite. It reads the whole log.
func (d *Door) Suites(ctx context.Context) (*Suites, error) {
	suite, err := d.askSuite(ctx)
	if err != nil {
		return nil, err
	}
	found, err := d.cfg.Store.CompareSuites(ctx, d.cfg.Institution)
	if err != nil {
		return nil, storeError(err)
	}
	return &Suites{Chosen: suite, Stored: found.Stored, Logged: found.Logged, Agree: maps.Equal(found.Stored, found.Logged)}, nil
}

// followSuite looks for another choice until ctx ends.
func (d *Door) followSuite(ctx context.Context) {
	tick := time.NewTicker(suiteEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		was := uint8(d.choice.suite.Load())
		now, err := d.askSuite(ctx)
		if err == nil && was != 0 && now != was {
			d.cfg.Logger.InfoContext(ctx, "suite chosen", slog.Int("version", int(now)))
		}
	}
}
