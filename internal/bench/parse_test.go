package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealtrail/sealtrail/internal/intake"
	"github.com/sealtrail/sealtrail/internal/store"
)

func TestFiguresOfABenchmarkAreReadByUnit(t *testing.T) {
	t.Parallel()
	const out = `goos: linux
BenchmarkSealRecordSmall-2   	     100	     9 ns/op
BenchmarkSealRecord-2        	   27004	     44127 ns/op	      3677 ns/field	    8816 B/op	      34 allocs/op
PASS
`
	want := figures{"ns/op": 44127, "ns/field": 3677, "B/op": 8816, "allocs/op": 34}
	if diff := cmp.Diff(want, parseFigures(out, "BenchmarkSealRecord")); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if got := parseFigures(out, "BenchmarkOther"); got != nil {
		t.Errorf("a benchmark that did not run has %v", got)
	}
	if got := parseFigures("BenchmarkCold/reveal-2  10  5 ns/op\n", "BenchmarkCold/reveal"); got["ns/op"] != 5 {
		t.Errorf("a part of a benchmark has %v", got)
	}
}

func TestStagesAreFoundInAProfile(t *testing.T) {
	t.Parallel()
	const out = `File: sealtraild
Duration: 3s, Total samples = 1200ms (40.00%)
Showing nodes accounting for 1200ms, 100% of 1200ms total
      flat  flat%   sum%        cum   cum%
       0ms     0%     0%      600ms 50.00%  github.com/sealtrail/sealtrail/internal/custody.(*Door).Read
      10ms  0.83%  0.83%      300ms 25.00%  github.com/sealtrail/sealtrail/internal/store.(*Store).Load
       5ms  0.42%  1.25%       60ms  5.00%  github.com/sealtrail/sealtrail/policy.(*Engine).Decide (inline)
`
	if diff := cmp.Diff(map[string]float64{"load": 25, "decide": 5}, parseTop(out)); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
}

func TestUsageIsTakenApartByProgram(t *testing.T) {
	t.Parallel()
	before := usage{"service": 1, "Vault": 2}
	after := usage{"service": 3, "Vault": 2, "PostgreSQL": 0.5}
	spent := usage{}.plus(after.minus(before))
	if got := spent.total(); got != 2.5 {
		t.Errorf("total = %v, want 2.5", got)
	}
	if got, want := spent.per(1000), "service 2000 us, PostgreSQL 500 us"; got != want {
		t.Errorf("per = %q, want %q", got, want)
	}
}

// The parts of a file hold all of its rows, each once, also where a narrative
// spans lines.
func TestTheFileIsCutBetweenRows(t *testing.T) {
	t.Parallel()
	raw := []byte("complaint_id,date_received,product,issue,submitted_via,consumer_complaint_narrative\n" +
		"1000001,2024-01-02,Mortgage,Fees,Web,\"one\ntwo\"\n" +
		"1000002,2024-01-03,Mortgage,Fees,Web,three\n" +
		"1000003,2024-01-04,Mortgage,Fees,Web,\"four\n\nfive\"\n" +
		"1000004,2024-01-05,Mortgage,Fees,Web,six\n")
	ids := func(raw []byte) (list []string, ends []int) {
		for row, err := range intake.CFPB(bytes.NewReader(raw), intake.Options{}) {
			if err != nil {
				t.Fatal(err)
			}
			list, ends = append(list, row.Draft.SourceID), append(ends, row.LastLine)
		}
		return list, ends
	}
	want, ends := ids(raw)
	d := &dataset{}
	if err := d.cut(t.TempDir(), raw, ends, 3); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range d.parts {
		part, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		list, _ := ids(part)
		got = append(got, list...)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 4 {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// Without the file the figures say so.
func TestMadeUpComplaintsAreCalledThat(t *testing.T) {
	t.Parallel()
	b := &bench{dir: t.TempDir(), options: options{rows: 9}}
	d, err := b.madeUp(3)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.note, "NOT the CFPB file") || len(d.parts) != 3 {
		t.Errorf("note %q, parts %v", d.note, d.parts)
	}
	n := 0
	for _, name := range d.parts {
		raw, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(raw, []byte("\n"))
	}
	if n != 9 {
		t.Errorf("%d complaints, want 9", n)
	}
}

// The floor must have the columns of the service, or it would be another floor.
func TestTheFloorHasTheColumnsOfTheService(t *testing.T) {
	t.Parallel()
	r := &clearRow{}
	sealed := make([]*string, len(store.SealedFields))
	if a, b, c := len(floorColumns()), len(r.pointers(sealed)), len(r.arguments()); a != b || a != c {
		t.Errorf("%d columns, %d pointers, %d arguments", a, b, c)
	}
}
