package doortest

import (
	"context"

	"github.com/sealtrail/sealtrail/internal/custody"
)

// CheckDecisions implements httpapi.Checking: everything is allowed.
func (d *Door) CheckDecisions(_ context.Context, c custody.Caller, _ string, list []custody.Check) ([]custody.Checked, error) {
	if err := d.enter("check", c); err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	out := make([]custody.Checked, len(list))
	for i, q := range list {
		out[i] = custody.Checked{Action: q.Action, Complaint: q.Complaint, Allowed: true, Decision: &custody.DecisionView{ID: "d", Rule: "R3"}, Audit: d.audit()}
	}
	return out, nil
}
