package pglog_test

import (
	"slices"
	"testing"

	"github.com/sealtrail/sealtrail/audit/pglog"
)

// The self-check knows every partition: none may be gone, foreign, without its fences, and the next must be there.
func TestSelfCheckKnowsEveryPartition(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.append("complaint:1", 1)
	const unfence = "set local audit.migration = 'on'"
	attach := []string{"alter table audit.entry attach partition audit.entry_000000 for values from (0) to (16777216)",
		"alter table audit.entry_000000 enable always trigger refuse_change"}
	for _, test := range []struct {
		name     string
		do, undo []string
		want     []pglog.Weakness // code and object
	}{
		{"detached", []string{"alter table audit.entry detach partition audit.entry_000000"}, attach,
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.entry_000000"}, {Code: pglog.WeakPartition, Object: "audit.entry"}}},
		{"hidden elsewhere", []string{"alter table audit.entry detach partition audit.entry_000000", "alter table audit.entry_000000 set schema public"},
			append([]string{"alter table public.entry_000000 set schema audit"}, attach...),
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.entry"}}},
		{"a hole in the middle", []string{"select audit.ensure_partition('leaf', 2)", "drop table audit.leaf_000001"}, []string{"set local role audit_owner", "select audit.ensure_partition('leaf', 1)", "reset role", "drop table audit.leaf_000002"},
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.leaf"}}},
		{"none ahead", []string{"select setval('audit.entry_id', 2 * 16777216 - 4000000)"}, []string{"select setval('audit.entry_id', 1)"},
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.entry"}}},
		{"no leaf partition ahead", []string{"update audit.tree set size = 2 * 16777216 - 4000000"}, []string{"update audit.tree set size = 0"},
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.leaf"}}},
		{"attached by hand", []string{"create table audit.mine (like audit.leaf including constraints)", "alter table audit.leaf attach partition audit.mine for values from (33554432) to (50331648)"},
			[]string{"drop table audit.mine"},
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.mine"}, {Code: pglog.WeakFence, Object: "audit.mine"}}},
		{"with other bounds", []string{"create table audit.leaf_000002 partition of audit.leaf for values from (33554432) to (33554440)"}, []string{"drop table audit.leaf_000002"},
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.leaf_000002"}}},
		{"a partition without triggers", []string{"drop trigger refuse_truncate on audit.entry_000001"},
			[]string{"create trigger refuse_truncate before truncate on audit.entry_000001 for each statement execute function audit.refuse_change()", "alter table audit.entry_000001 enable always trigger refuse_truncate"},
			[]pglog.Weakness{{Code: pglog.WeakFence, Object: "audit.entry_000001"}}},
		{"an heir", []string{"create table public.shadow () inherits (audit.pending)"}, []string{"drop table public.shadow"},
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "public.shadow"}}},
		{"a foreign heir", []string{"create foreign data wrapper away", "create server away foreign data wrapper away", "create foreign table public.away () inherits (audit.trail) server away"},
			[]string{"drop foreign data wrapper away cascade"}, []pglog.Weakness{{Code: pglog.WeakPartition, Object: "public.away"}}},
		{"a table of somebody's own", []string{"create table audit.entry_x (id bigint)"}, []string{"drop table audit.entry_x"},
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.entry_x"}}},
		{"a table that looks detached", []string{"create table audit.entry_000007 (id bigint)"}, []string{"drop table audit.entry_000007"},
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.entry_000007"}}},
		{"a view", []string{"create view audit.overview as select 1"}, []string{"drop view audit.overview"},
			[]pglog.Weakness{{Code: pglog.WeakPartition, Object: "audit.overview"}}},
	} {
		if err := e.admin(append([]string{unfence}, test.do...)...); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		weak, err := pglog.SelfCheck(t.Context(), e.pool)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !slices.ContainsFunc(weak, func(w pglog.Weakness) bool { return w.Code == want.Code && w.Object == want.Object }) {
				t.Errorf("%s: %v; want %s %s", test.name, weak, want.Code, want.Object)
			}
		}
		if err := e.admin(append([]string{unfence}, test.undo...)...); err != nil {
			t.Fatalf("%s: undoing: %v", test.name, err)
		}
		if weak, err := pglog.SelfCheck(t.Context(), e.pool); err != nil || weak != nil {
			t.Fatalf("%s: after undoing: %v, %v", test.name, weak, err)
		}
	}
}
