package custody_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// TestRegisterRowsBySQLDoNotCount: the register's rows carry no proof, so what
// the log does not say of a person does not count, whoever wrote the row.
func TestRegisterRowsBySQLDoNotCount(t *testing.T) {
	t.Parallel()
	for name, attack := range map[string]struct {
		sql  string
		what string
	}{
		"a duty that nobody proposed": {`insert into people.duty (institution, id, person, role, level, department, valid_from, valid_until, appointed_by, confirmed_by)
			values ($1, gen_random_uuid(), 'quinn', 'handler', 3, 'cards', now() - interval '1 day', now() + interval '1 day', 'sec-a', 'sec-b')`, "register.duty"},
		"another role in an old duty": {`update people.duty set role = 'handler' where institution = $1 and person = 'quinn'`, "register.duty"},
		"a higher level":              {`update people.duty set level = 2 where institution = $1 and person = 'quinn'`, "register.duty"},
		"a longer appointment":        {`update people.duty set valid_until = valid_until + interval '9 years' where institution = $1 and person = 'quinn'`, "register.duty"},
		"a longer training":           {`update people.training set valid_until = valid_until + interval '9 years' where institution = $1 and person = 'quinn'`, "register.training"},
		"another staff id":            {`update people.person set staff_bidx = '\x00' where institution = $1 and id = 'quinn'`, "register.staff_id"},
		"another department":          {`update people.person set department = 'cards' where institution = $1 and id = 'quinn'`, "register.department"},
		"no staff id":                 {`update people.person set staff_bidx = null where institution = $1 and id = 'quinn'`, "register.staff_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			if n := h.integrity("register."); n != 0 {
				t.Fatalf("%d findings before anything was changed", n)
			}
			_, err := h.admin.Exec(t.Context(), attack.sql, h.institution)
			must(t, err)
			c := h.as("quinn")
			c.Roles = []string{"quality", "handler"}
			// Whatever comes of it, it comes of what the log says.
			_, err = h.List(t.Context(), c, custody.ListRequest{Purpose: "handle"})
			if err == nil && attack.what == "register.duty" {
				t.Error("a duty written by SQL was believed")
			}
			if n := h.integrity(attack.what); n != 1 {
				t.Errorf("%d findings %s, want 1", n, attack.what)
			}
			_, _ = h.List(t.Context(), c, custody.ListRequest{Purpose: "quality"})
			if n := h.integrity(attack.what); n != 1 {
				t.Errorf("the finding was told %d times", n)
			}
		})
	}
}

// TestWhoLeftStaysOutBySQL: the log's last word on a person's state counts.
func TestWhoLeftStaysOutBySQL(t *testing.T) {
	t.Parallel()
	h := open(t)
	created := h.file(1)
	_, err := h.SetStatus(t.Context(), h.as("sec-a"), "ivy", "left")
	must(t, err)
	_, err = h.admin.Exec(t.Context(), "update people.person set status = 'active' where institution = $1 and id = 'ivy'", h.institution)
	must(t, err)
	var refused *custody.RefusedError
	if _, err = h.Read(t.Context(), h.as("ivy"), custody.ReadRequest{ID: created.ID, Purpose: "handle"}); !errors.As(err, &refused) || refused.Decision.Reason != "account_inactive" {
		t.Errorf("read by somebody who left: %v, want account_inactive", err)
	}
}

// TestAnEndedDutyStaysEndedBySQL: so does its word on a duty.
func TestAnEndedDutyStaysEndedBySQL(t *testing.T) {
	t.Parallel()
	h := open(t)
	d, err := h.Appoint(t.Context(), h.as("sec-a"), "quinn", custody.Duty{Role: "handler", Level: "major", Department: "qa", Until: time.Now().Add(time.Hour)})
	must(t, err)
	_, err = h.ConfirmDuty(t.Context(), h.as("sec-b"), "quinn", d.ID)
	must(t, err)
	c := h.as("quinn")
	c.Roles = []string{"handler"}
	_, err = h.List(t.Context(), c, custody.ListRequest{Purpose: "handle"})
	must(t, err)
	_, err = h.EndDuty(t.Context(), h.as("sec-a"), "quinn", d.ID)
	must(t, err)
	_, err = h.admin.Exec(t.Context(), "update people.duty set ended_at = null where institution = $1 and id = $2", h.institution, d.ID)
	must(t, err)
	if _, err = h.List(t.Context(), c, custody.ListRequest{Purpose: "handle"}); err == nil {
		t.Error("an ended duty came back by SQL")
	}
}

// integrity counts the findings of a kind in the log.
func (h *house) integrity(what string) (n int) {
	h.t.Helper()
	must(h.t, h.admin.QueryRow(h.t.Context(), `select count(*) from audit.entry
		where convert_from(body, 'UTF8') like '%"kind":"access.integrity"%' and convert_from(body, 'UTF8') like '%"what":"' || $1 || '%'`, what).Scan(&n))
	return n
}
