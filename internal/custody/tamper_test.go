package custody_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sealtrail/sealtrail/internal/complaint"
	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/store"
)

// full is a value for every field that an ordinary complaint may hold.
func full() map[string]string {
	values := map[string]string{"id_number": "11010519491231002X", "phone": "13800138000", "bank_card": "6222020200112230004",
		"account_no": "310066600018800123456", "email": "zhang.san@example.com", "respondent_staff_id": "E-9999", "birth_date": "1949-12-31",
		"amount_claimed": "400.00", "amount_paid": "120.50"}
	for _, f := range complaint.Fields() {
		if f.Sealed && values[f.Name] == "" && f.Group != "whistle" {
			values[f.Name] = "内容 " + f.Name
		}
	}
	return values
}

// fileFull stores a complaint with every field, assigned to han.
func (h *house) fileFull(n int) *custody.Created {
	h.t.Helper()
	d := draft(n)
	d.Fields = full()
	created, err := h.Create(h.t.Context(), h.as("ivy"), custody.CreateRequest{Purpose: "handle", Draft: d})
	must(h.t, err)
	h.walk(created, "accept", "classify", "assign")
	return created
}

// unlimited takes the budget away that a test of tampering would spend.
func (h *house) unlimited() {
	h.t.Helper()
	h.sql("update people.requirement set value = '1000000' where institution = $1 and name = 'reveals_per_hour'", h.institution)
}

// sees reads and reveals a complaint, from wrapped keys and not from leases,
// and returns what came of it.
func (h *house) sees(id string, fields ...string) (read, revealed error) {
	h.t.Helper()
	h.keys.VoidAll("test")
	view, read := h.Read(h.t.Context(), h.as("ivy"), custody.ReadRequest{ID: id, Purpose: "handle"})
	if read != nil && view != nil {
		h.t.Errorf("a refused read answers with %d fields", len(view.Fields))
	}
	h.keys.VoidAll("test")
	view, revealed = h.Reveal(h.t.Context(), h.as("han"), custody.RevealRequest{ID: id, Purpose: "handle", Fields: fields, Reason: "call back"})
	if revealed != nil && view != nil {
		h.t.Errorf("a refused reveal answers with %d fields", len(view.Fields))
	}
	return read, revealed
}

// refuses checks that a record is refused as an integrity error, that the trail
// says so, and that nothing of it is shown.
func (h *house) refuses(what, id string, fields ...string) {
	h.t.Helper()
	before := h.entries("complaint:"+id, "access.integrity")
	read, revealed := h.sees(id, fields...)
	for how, err := range map[string]error{"read": read, "reveal": revealed} {
		if !errors.Is(err, custody.ErrIntegrity) {
			h.t.Errorf("%s: %s: got %v, want ErrIntegrity", what, how, err)
		}
	}
	if n := h.entries("complaint:"+id, "access.integrity") - before; n != 2 {
		h.t.Errorf("%s: got %d entries about it, want 2", what, n)
	}
}

// sound checks that a record is read and revealed again.
func (h *house) sound(what, id string) {
	h.t.Helper()
	if read, revealed := h.sees(id, "phone"); read != nil || revealed != nil {
		h.t.Fatalf("%s: the untouched record: read %v, reveal %v", what, read, revealed)
	}
}

// keep remembers all rows under a name and returns what puts them back.
func (h *house) keep(name string) (restore func()) {
	h.t.Helper()
	h.sql("create table public." + name + "_complaint as select * from sealtrail.complaint")
	h.sql("create table public." + name + "_key as select * from keys.wrapped")
	columns := strings.Join(slices.DeleteFunc(h.columns(), func(c string) bool { return c == "institution" || c == "id" }), ", ")
	return func() {
		h.t.Helper()
		h.sql("update sealtrail.complaint c set (" + columns + ") = (select " + columns + " from public." + name + "_complaint k where k.id = c.id)")
		h.sql(`update keys.wrapped w set (generation, wrapped, commitment, key_version) =
			(select generation, wrapped, commitment, key_version from public.` + name + `_key k where k.complaint = w.complaint)`)
	}
}

// columns are the names of the columns of sealtrail.complaint, as the database
// has them.
func (h *house) columns() (names []string) {
	h.t.Helper()
	must(h.t, h.admin.QueryRow(h.t.Context(), `select array_agg(attname::text order by attnum) from pg_attribute
		where attrelid = 'sealtrail.complaint'::regclass and attnum > 0 and not attisdropped`).Scan(&names))
	return names
}

// changes say how each clear column is changed: to a value that could well be
// true, for a false state is found by the policy already.
func changes() map[string]string {
	text := func(columns ...string) map[string]string {
		m := map[string]string{}
		for _, c := range columns {
			m[c] = c + " || 'x'"
		}
		return m
	}
	m := text("complaint_no", "source_id", "branch", "third_party", "regulator_ref")
	maps.Copy(m, map[string]string{
		"revision": "revision + 1", "schema_version": "schema_version + 1", "generation": "generation + 1", "source": "'app2'",
		"channel": "'mail'", "received_at": "received_at + interval '1 hour'", "received_evidence": "'call_record'",
		"state": "'accepted'", "stage": "'closed'", "sensitivity": "'whistle'", "level": "'serious'", "type": "'product'",
		"business_code": "'loan'", "product_code": "'mortgage'", "reason_code": "'pricing'", "department": "'cards2'", "assignee": "'hugo'",
		"party_type": "'agent'", "id_type": "'passport'", "referral": "'pboc'", "group_flag": "not group_flag", "amount_band": "'ge_1m'",
		"holds": "array_append(holds, 'case-1')", "retention_until": "now() + interval '3 years'",
		"milestones":       `milestones || '{"complaint.closed":"2026-01-01T00:00:00Z"}'`,
		"performers":       `performers || '{"propose":"hugo"}'`,
		"extension_days":   `extension_days || '{"C-FINAL":30}'`,
		"files":            `'[{"id":"11111111-8b86-4011-b42d-00c04fc964ff","field":"attachments","generation":1,"media_type":"image/png","size":7,"sha256":"00"}]'`,
		"erased_groups":    "array_append(erased_groups, 'contact')",
		"restricted_from":  "'closed'",
		"retention_reason": "'aml_10y'",
		"suite":            "3 - suite", "under_review": "not under_review", "earlier_handlers": "array_append(earlier_handlers, 'hugo')",
		"respondent_bidx": "'{}'", "data_subject_bidx": "set_byte(data_subject_bidx, 0, get_byte(data_subject_bidx, 0) # 1)",
		"manifest": "set_byte(manifest, length(manifest) / 2, get_byte(manifest, length(manifest) / 2) # 1)",
	})
	return m
}

// free are the columns that the manifest does not cover, with the reason.
// Whoever adds a column to the table must cover it or give a reason here.
func free() map[string]string {
	return map[string]string{
		"institution":     "the row's key: moving a row is TestARecordIsBoundToItsInstitution",
		"id":              "the row's key: another id is another record, whose key and envelopes are bound to theirs",
		"recorded_at":     "nothing is decided by it; the log's complaint.recorded has the time as occurred_at",
		"due_at":          "derived from milestones, which are covered; orders the due lists only, an answer computes it anew",
		"due_clock":       "derived like due_at",
		"due_provisional": "derived like due_at",
	}
}

// TestEveryClearColumnIsCovered changes the clear columns by SQL one after the
// other: what policy, clocks and retention read cannot be changed unseen.
func TestEveryClearColumnIsCovered(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	id := h.fileFull(1).ID
	restore := h.keep("kept")
	changes, free := changes(), free()
	for _, column := range h.columns() {
		change, covered := changes[column]
		switch {
		case strings.HasSuffix(column, "_sealed") || free[column] != "":
			continue
		case !covered:
			t.Errorf("column %s is neither changed by this test nor free for a reason: cover it by the manifest", column)
			continue
		}
		h.sql("update sealtrail.complaint set "+column+" = "+change+" where id = $1", id)
		before := h.entries("complaint:"+id, "access.integrity")
		h.keys.VoidAll("test")
		reader := "ivy" // who sees every complaint but those of a special sensitivity
		if column == "sensitivity" {
			reader = "cora"
		}
		view, err := h.Read(t.Context(), h.as(reader), custody.ReadRequest{ID: id, Purpose: "handle"})
		if !errors.Is(err, custody.ErrIntegrity) || view != nil {
			t.Errorf("%s changed: got %v, want ErrIntegrity", column, err)
		}
		if n := h.entries("complaint:"+id, "access.integrity") - before; n != 1 {
			t.Errorf("%s changed: got %d entries about it, want 1", column, n)
		}
		restore()
	}
	h.sound("after all", id)
	for column := range free {
		if !slices.Contains(h.columns(), column) {
			t.Errorf("%s is no column any more", column)
		}
	}
}

// TestEverySwapOfEnvelopesIsDetected exchanges each envelope with the same
// field's of another record and with its neighbour's of its own record, and
// empties, cuts and lengthens it.
func TestEverySwapOfEnvelopesIsDetected(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	one, two := h.fileFull(1).ID, h.fileFull(2).ID
	restore := h.keep("kept")
	fields := slices.DeleteFunc(slices.Clone(store.SealedFields), func(f string) bool { return f == "whistle_report" })
	for i, f := range fields {
		neighbour := fields[(i+1)%len(fields)]
		for what, sql := range map[string]string{
			"swapped with another record's": fmt.Sprintf("update sealtrail.complaint c set %[1]s_sealed = o.%[1]s_sealed from sealtrail.complaint o where c.institution = o.institution and c.id <> o.id", f),
			"swapped with its neighbour":    fmt.Sprintf("update sealtrail.complaint set %[1]s_sealed = %[2]s_sealed, %[2]s_sealed = %[1]s_sealed", f, neighbour),
			"emptied":                       fmt.Sprintf("update sealtrail.complaint set %s_sealed = ''", f),
			"removed":                       fmt.Sprintf("update sealtrail.complaint set %s_sealed = null", f),
			"cut":                           fmt.Sprintf("update sealtrail.complaint set %[1]s_sealed = substr(%[1]s_sealed, 1, length(%[1]s_sealed) - 1)", f),
			"lengthened":                    fmt.Sprintf(`update sealtrail.complaint set %[1]s_sealed = %[1]s_sealed || '\x00'`, f),
		} {
			h.sql(sql)
			// A masked read opens everything that has a mask to show; the handler
			// reveals the very field, if he may.
			if _, err := h.Read(t.Context(), h.as("han"), custody.ReadRequest{ID: one, Purpose: "handle"}); !h.shows(f, neighbour, what) && !errors.Is(err, custody.ErrIntegrity) {
				t.Errorf("%s %s: read: got %v, want ErrIntegrity", f, what, err)
			}
			if field, _ := complaint.FieldByName(f); field.Group != "respondent" {
				view, err := h.Reveal(t.Context(), h.as("han"), custody.RevealRequest{ID: one, Purpose: "handle", Fields: []string{f}, Reason: "call back"})
				if !errors.Is(err, custody.ErrIntegrity) || view != nil {
					t.Errorf("%s %s: reveal: got %v, want ErrIntegrity", f, what, err)
				}
			}
			restore()
		}
	}
	h.sound("first", one)
	h.sound("second", two)
}

// shows says that a masked view never opens what was changed: its mask shows
// nothing, and what is only hidden is found when it is asked for.
func (h *house) shows(f, neighbour, what string) (hidden bool) {
	hides := func(name string) bool { field, _ := complaint.FieldByName(name); return field.Mask == "hidden" }
	if what == "swapped with its neighbour" {
		return hides(f) && hides(neighbour)
	}
	return hides(f)
}

// TestAnyFlippedByteIsDetected flips a random bit of a random envelope,
// manifest or wrapped key, and lets a random caller look.
func TestAnyFlippedByteIsDetected(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.unlimited()
	id := h.fileFull(1).ID
	restore := h.keep("kept")
	rapid.Check(t, func(r *rapid.T) {
		targets := []string{"manifest", "commitment", "wrapped"}
		for _, f := range store.SealedFields {
			if field, _ := complaint.FieldByName(f); field.Group != "respondent" && field.Group != "whistle" {
				targets = append(targets, f+"_sealed")
			}
		}
		target := rapid.SampledFrom(targets).Draw(r, "target")
		field := "phone"
		switch target {
		case "wrapped":
			at := rapid.IntRange(0, 70).Draw(r, "character")
			h.sql(`update keys.wrapped set wrapped = overlay(wrapped placing case when substr(wrapped, 1 + $2, 1) = 'A' then 'B' else 'A' end from 1 + $2) where complaint = $1`, id, at)
		case "commitment":
			bit := rapid.IntRange(0, 255).Draw(r, "bit")
			h.sql("update keys.wrapped set commitment = set_bit(commitment, $2, 1 - get_bit(commitment, $2)) where complaint = $1", id, bit)
		default:
			field = strings.TrimSuffix(target, "_sealed")
			if target == "manifest" {
				field = "phone"
			}
			share := rapid.Float64Range(0, 0.999999).Draw(r, "place")
			h.sql(fmt.Sprintf(`update sealtrail.complaint set %[1]s = set_bit(%[1]s, b, 1 - get_bit(%[1]s, b))
				from (select floor(length(%[1]s) * 8 * $2::float8)::bigint b from sealtrail.complaint where id = $1) at where id = $1`, target), id, share)
		}
		h.keys.VoidAll("test")
		view, err := h.Reveal(t.Context(), h.as("han"), custody.RevealRequest{ID: id, Purpose: "handle", Fields: []string{field}, Reason: "call back"})
		if !errors.Is(err, custody.ErrIntegrity) || view != nil {
			r.Errorf("%s: got %v, want ErrIntegrity", target, err)
		}
		restore()
	})
	h.sound("after all", id)
}
