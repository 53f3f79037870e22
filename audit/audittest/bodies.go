package audittest

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/sealtrail/sealtrail/audit"
)

// Bodies returns n bodies that look like those of a complaint service: intents and outcomes of reads, events of complaints, a
// refusal now and then; their facts fit the registry of internal/complaint. The same n always gives the same bodies; encoded as leaves they have 600 to 800 bytes.
func Bodies(n int) []audit.Body {
	out := make([]audit.Body, n)
	for i := range out {
		out[i] = Body(i)
	}
	return out
}

// Body returns the i-th of Bodies.
func Body(i int) audit.Body {
	nonce := sha256.Sum256([]byte(fmt.Sprintf("nonce %d", i)))
	bundle := fmt.Sprintf("%x", sha256.Sum256([]byte("policy bundle")))
	b := audit.Body{
		Institution: "demo",
		At:          time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(i) * time.Millisecond),
		Actor:       audit.Actor{ID: fmt.Sprintf("p-%04d", i%37), Roles: []string{"handler"}, Auth: "oidc"},
		Subject:     fmt.Sprintf("complaint:%08x-0000-4000-8000-%012x", i/4, i/4),
		Revision:    uint64(i%5 + 1),
		Purpose:     "handle",
		Request:     fmt.Sprintf("req-%06d", i/2),
		Net:         "branch-lan",
		Nonce:       [16]byte(nonce[:16]),
	}
	decision := audit.DecisionRef{Result: audit.ResultAllow, Rule: "R3", Article: "6.2.1", Bundle: bundle, ID: fmt.Sprintf("d-%06d", i)}
	switch i % 4 {
	case 0:
		b.Stage, b.Kind = audit.StageEvent, "complaint.recorded"
		b.Facts = audit.Facts{"received_at": "2026-01-01T08:00:00.000000Z", "channel": "phone", "source": "feedback", "type": "service",
			"business": "credit_card", "product": "credit_card", "level": "general", "department": "cards-ops", "branch": "b-017", "repeat_180d": i%8 == 0}
		b.Commit = map[string]string{"narrative": audit.Commit("narrative", [16]byte(nonce[16:]), []byte("x"))}
	case 1:
		b.Stage, b.Kind, b.Decision = audit.StageIntent, "access.reveal", &decision
		b.Fields = []string{"id_number", "phone"}
		b.Key = &audit.KeyUse{Name: "demo-record", Version: 1, Batch: fmt.Sprintf("b-%06d", i), Item: i % 3}
	case 2:
		b.Stage, b.Kind, b.Decision = audit.StageOutcome, "access.result", &decision
		b.Request = fmt.Sprintf("req-%06d", (i-1)/2)
		b.Facts = audit.Facts{"outcome": "answered", "revealed": 2}
	default:
		decision.Result, decision.Reason = audit.ResultDeny, "not_assigned"
		b.Stage, b.Kind, b.Decision = audit.StageEvent, "access.denied", &decision
		b.Fields, b.Facts = []string{"id_number"}, audit.Facts{"action": "reveal", "reason": "not_assigned"}
	}
	return b
}
