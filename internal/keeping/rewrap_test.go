package keeping_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sealtrail/sealtrail/crypto/keyring"
	"github.com/sealtrail/sealtrail/crypto/transit"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/keeping"
	"github.com/sealtrail/sealtrail/internal/vaulttest"
)

func TestRewrapBringsEveryKeyToTheNewestVersion(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 600)
	h.plant(file, 1, 300)
	h.plant(intake, 1, 2)
	version := h.rotate()
	h.plant(record, 601, 5) // made meanwhile: already under the new version
	var last keeping.Progress
	result, err := h.rewrap(keeping.RewrapConfig{Progress: func(p keeping.Progress) { last = p }})
	must(t, err)
	if result.Remaining != 0 || result.Failed != 0 || result.Done != 902 || result.Version != version {
		t.Errorf("got %+v", result)
	}
	if last.Total != 902 || last.Rate <= 0 || last.Left != 0 {
		t.Errorf("last progress: %+v", last)
	}
	if keys, remaining := h.rewrapped(); keys != 902 || remaining != 0 {
		t.Errorf("the log says %d keys were rewrapped and %d remain", keys, remaining)
	}
	if n := len(h.entries("key.rewrapped")); n > 8 {
		t.Errorf("%d entries: one per batch is wanted, not one per key", n)
	}
	h.opens(record, 1, 605, version)
	h.opens(file, 1, 300, version)
	h.opens(intake, 1, 2, version)
	again, err := h.rewrap(keeping.RewrapConfig{})
	must(t, err)
	if keys, _ := h.rewrapped(); keys != 902 || again.Remaining != 0 {
		t.Errorf("a second rewrap wrote something: %d keys in the log, %+v", keys, again)
	}
}

var errKilled = errors.New("killed here")

// killAt ends a job at the nth time that it reaches a point.
func killAt(point string, nth int64) func(string) error {
	var n atomic.Int64
	return func(p string) error {
		if p == point && n.Add(1) == nth {
			return errKilled
		}
		return nil
	}
}

func TestRewrapKilledAnywhereGoesOn(t *testing.T) {
	t.Parallel()
	for _, point := range []string{keeping.PointClaimed, keeping.PointRead, keeping.PointWritten, keeping.PointCounted} {
		for _, nth := range []int64{1, 3} {
			if nth > 1 && (point == keeping.PointClaimed || point == keeping.PointCounted) {
				continue
			}
			t.Run(fmt.Sprint(point, nth), func(t *testing.T) {
				t.Parallel()
				h := open(t, vaulttest.New(t), nil)
				h.plant(record, 1, 900)
				h.plant(file, 1, 10)
				version := h.rotate()
				if _, err := h.rewrap(keeping.RewrapConfig{At: killAt(point, nth), Join: 1}); !errors.Is(err, errKilled) {
					t.Fatalf("got %v, want it to be killed", err)
				}
				h.left()
				result, err := h.rewrap(keeping.RewrapConfig{})
				must(t, err)
				keys, remaining := h.rewrapped()
				if result.Remaining != 0 || keys != 910 || remaining != 0 {
					t.Errorf("got %+v; the log says %d keys, %d remaining", result, keys, remaining)
				}
				h.opens(record, 1, 900, version)
				h.opens(file, 1, 10, version)
			})
		}
	}
}

func TestRewrapGoesOnAtThePlaceOfTheOneThatWasKilled(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 900)
	h.rotate()
	_, err := h.rewrap(keeping.RewrapConfig{At: killAt(keeping.PointWritten, 2), Join: 1})
	if !errors.Is(err, errKilled) {
		t.Fatalf("got %v", err)
	}
	h.left()
	var first keeping.Progress
	var once sync.Once
	result, err := h.rewrap(keeping.RewrapConfig{Progress: func(p keeping.Progress) { once.Do(func() { first = p }) }})
	must(t, err)
	if first.Done < 512 || first.Total != 900 {
		t.Errorf("the second process starts at %+v", first)
	}
	runs := map[string]bool{}
	for _, b := range h.entries("key.rewrapped") {
		run, _ := b.Facts.Text("run")
		runs[run] = true
	}
	if len(runs) != 1 || !runs[result.Run] {
		t.Errorf("runs in the log: %v, want the one", runs)
	}
}

func TestTwoRewrapsAtOnceDoTheWorkOnce(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 1500)
	version := h.rotate()
	var both errgroup.Group
	for range 2 {
		both.Go(func() error {
			result, err := h.rewrap(keeping.RewrapConfig{})
			if err == nil && result.Remaining != 0 {
				err = fmt.Errorf("%d remain", result.Remaining)
			}
			return err
		})
	}
	must(t, both.Wait())
	if keys, remaining := h.rewrapped(); keys != 1500 || remaining != 0 {
		t.Errorf("the log says %d keys, %d remaining", keys, remaining)
	}
	h.opens(record, 1, 1500, version)
}

// Without the claim both would write; the comparison in SQL alone keeps keys.
func TestARewrapThatLostItsRunWritesNothing(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 300)
	version := h.rotate()
	ctx := t.Context()
	slow, err := h.BeginRewrap(ctx, "slow")
	must(t, err)
	batch, err := h.ReadRewrap(ctx, slow)
	must(t, err)
	if _, err := h.BeginRewrap(ctx, "fast"); !errors.Is(err, custody.ErrBusy) {
		t.Fatalf("a second holder: %v, want ErrBusy", err)
	}
	h.left()
	_, err = h.rewrap(keeping.RewrapConfig{})
	must(t, err)
	before := h.load(record, 1).Blob
	if err := h.WriteRewrap(ctx, slow, batch); !errors.Is(err, custody.ErrBusy) {
		t.Errorf("writing late: %v, want ErrBusy", err)
	}
	if h.load(record, 1).Blob != before {
		t.Error("the late one wrote")
	}
	h.opens(record, 1, 300, version)
}

func TestKeysShreddedDuringARewrapStayShredded(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 400)
	version := h.rotate()
	var once sync.Once
	result, err := h.rewrap(keeping.RewrapConfig{At: func(point string) error {
		if point == keeping.PointRead {
			once.Do(func() {
				for _, n := range []int{1, 7, 200} {
					_, err := h.admin.Exec(t.Context(), `select keys.destroy($1, $2::uuid, '', 1, 'shred', now())`, h.name, id(n))
					must(t, err)
				}
			})
		}
		return nil
	}})
	must(t, err)
	keys, remaining := h.rewrapped()
	if result.Remaining != 0 || keys != 397 || remaining != 0 {
		t.Errorf("got %+v; the log says %d keys, %d remaining", result, keys, remaining)
	}
	for _, n := range []int{1, 7, 200} {
		if h.load(record, n) != nil {
			t.Errorf("key %d came back", n)
		}
	}
	h.opens(record, 201, 200, version)
}

func TestAKeyThatDoesNotOpenIsNamedAndStopsNoOther(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 300)
	version := h.rotate()
	_, err := h.admin.Exec(t.Context(), `update keys.wrapped set wrapped = (select wrapped from keys.wrapped where complaint = $2::uuid) where complaint = $1::uuid`, id(5), id(6))
	must(t, err)
	result, err := h.rewrap(keeping.RewrapConfig{})
	must(t, err)
	if result.Remaining != 1 || result.Failed != 1 {
		t.Errorf("got %+v, want one left", result)
	}
	named := h.entries("access.integrity")
	if len(named) != 1 || named[0].Subject != "complaint:"+id(5) {
		t.Errorf("entries: %+v, want one that names the record", named)
	}
	h.opens(record, 6, 295, version)
	if keys, remaining := h.rewrapped(); keys != 299 || remaining != 1 {
		t.Errorf("the log says %d keys, %d remaining", keys, remaining)
	}
}

// faulty is a Vault that answers badly for a while.
type faulty struct {
	custody.Master
	bad func(n int64, items []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error)
	n   atomic.Int64
}

func (f *faulty) Rewrap(ctx context.Context, batch string, items []transit.RewrapItem) ([]transit.RewrapResult, error) {
	good, err := f.Master.Rewrap(ctx, batch, items)
	if err != nil {
		return nil, err
	}
	return f.bad(f.n.Add(1), items, good)
}

func away() error { return &keyring.UnavailableError{Cause: keyring.CauseUnreachable, Op: "rewrap"} }

func TestNoAnswerOfVaultLosesAKey(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(n int64, items []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error){
		"away three times": func(n int64, _ []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error) {
			if n <= 3 {
				return nil, away()
			}
			return good, nil
		},
		"partly": func(n int64, _ []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error) {
			for i := range good {
				if n <= 2 && i%2 == 0 {
					good[i] = transit.RewrapResult{Err: away()}
				}
			}
			return good, nil
		},
		"too few": func(n int64, _ []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error) {
			if n == 1 {
				return good[1:], nil
			}
			return good, nil
		},
		"the old version": func(n int64, items []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error) {
			if n == 1 {
				for i := range good {
					good[i] = transit.RewrapResult{Blob: items[i].Blob, KeyVersion: 1}
				}
			}
			return good, nil
		},
		"the old key called new": func(n int64, items []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error) {
			if n == 1 {
				for i := range good {
					good[i].Blob = "vault:v2:" + items[i].Blob[len("vault:v1:"):]
				}
			}
			return good, nil
		},
		"empty": func(n int64, _ []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error) {
			if n == 1 {
				good[3].Blob = ""
			}
			return good, nil
		},
		"cut": func(n int64, _ []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error) {
			if n == 1 {
				good[3].Blob = good[3].Blob[:len(good[3].Blob)-4]
			}
			return good, nil
		},
		"one answer for all": func(n int64, _ []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error) {
			if n == 1 {
				for i := range good {
					good[i] = good[0]
				}
			}
			return good, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, vaulttest.New(t), func(m custody.Master) custody.Master { return &faulty{Master: m, bad: bad} })
			h.plant(record, 1, 300)
			version := h.rotate()
			var waited atomic.Bool
			result, err := h.rewrap(keeping.RewrapConfig{MaxWait: time.Millisecond, Progress: func(p keeping.Progress) {
				if p.Waiting != "" {
					waited.Store(true)
				}
			}})
			must(t, err)
			if result.Remaining != 0 || result.Failed != 0 {
				t.Errorf("got %+v", result)
			}
			if name == "away three times" && !waited.Load() {
				t.Error("nobody heard that it waits")
			}
			h.opens(record, 1, 300, version)
		})
	}
}

func TestAVaultThatNeverAnswersRightEndsTheJobAndChangesNothing(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), func(m custody.Master) custody.Master {
		return &faulty{Master: m, bad: func(_ int64, items []transit.RewrapItem, good []transit.RewrapResult) ([]transit.RewrapResult, error) {
			for i := range good {
				good[i] = transit.RewrapResult{Blob: items[i].Blob, KeyVersion: 1}
			}
			return good, nil
		}}
	})
	h.plant(record, 1, 10)
	h.rotate()
	result, err := h.rewrap(keeping.RewrapConfig{})
	must(t, err)
	if result.Remaining != 10 {
		t.Errorf("got %+v, want all left", result)
	}
	h.opens(record, 1, 10, 1)
}

func TestInterruptedRewrapCanGoOnAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 600)
	h.rotate()
	ctx, interrupt := context.WithCancel(t.Context())
	_, err := keeping.Rewrap(ctx, keeping.RewrapConfig{Door: h.Door, At: func(point string) error {
		if point == keeping.PointWritten {
			interrupt()
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it to be interrupted", err)
	}
	if _, err := h.BeginRewrap(t.Context(), "next"); err != nil {
		t.Errorf("the next process: %v, want it to go on at once", err)
	}
}

func TestSmallCallsMakeFewEntries(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 700)
	version := h.rotate()
	result, err := h.rewrap(keeping.RewrapConfig{Share: 0.9, Batch: 10})
	must(t, err)
	if n := len(h.entries("key.rewrapped")); n > 4 || result.Remaining != 0 {
		t.Errorf("%d entries for 700 keys, %+v", n, result)
	}
	h.opens(record, 1, 700, version)
}

func TestRateIsKept(t *testing.T) {
	t.Parallel()
	h := open(t, vaulttest.New(t), nil)
	h.plant(record, 1, 768)
	h.rotate()
	began := time.Now()
	_, err := h.rewrap(keeping.RewrapConfig{Rate: 1024})
	must(t, err)
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("768 keys at 1024 a second took %v", took)
	}
}
