package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"

	"github.com/sealtrail/sealtrail/internal/custody"
	"github.com/sealtrail/sealtrail/internal/intake"
)

// SealedInput is the body of a batch of sealed drafts.
type SealedInput struct {
	Items []string `json:"items" minItems:"1" maxItems:"200" doc:"Envelopes of docs/formats/sealed-intake.md, base64"`
}

func (s *service) intake() {
	type keyOutput struct {
		ContentType string `header:"Content-Type"`
		SHA256      string `header:"Intake-Key-Sha256" doc:"SHA-256 of the body: compare it with the log's entry intake.key_made, and pin it"`
		Body        []byte
	}
	add(s, operation{id: "getIntakeKey", method: http.MethodGet, path: "/v1/intake/key", tag: "intake", public: true,
		summary: "The public key that drafts are sealed to while the service is away"},
		func(ctx context.Context, _ *exchange, _ *struct{}) (*keyOutput, error) {
			k, err := s.cfg.Door.IntakeKey(ctx)
			if err != nil {
				return nil, err
			}
			return &keyOutput{ContentType: "application/json", SHA256: k.SHA256, Body: k.Bundle}, nil
		})
	documented := requestBody[SealedInput](s)
	add(s, operation{id: "ingestSealed", method: http.MethodPost, path: "/v1/intake/envelopes", tag: "intake", long: true,
		summary: "Bring in up to 200 sealed drafts", body: documented,
		description: "Each is opened and judged like a draft in clear, and recorded as late. One result per item, in order; an envelope that was brought in before answers with its complaint."},
		func(ctx context.Context, x *exchange, in *PurposeParam) (*reply[BatchResult], error) {
			purpose, err := in.purpose(x)
			if err != nil {
				return nil, err
			}
			raw, err := x.readItems()
			if err != nil {
				return nil, err
			}
			if len(raw) > custody.MaxSealed {
				return nil, x.place(codeInvalid, "/items", "out_of_range")
			}
			results, envelopes, places := x.envelopes(raw)
			if len(envelopes) > 0 {
				outcomes, err := s.cfg.Door.Ingest(ctx, x.caller, purpose, envelopes)
				if err != nil {
					return nil, err
				}
				x.settle(results, places, outcomes)
			}
			return newReply(BatchResult{Items: results}, 0, custody.AuditRef{}), nil
		})
}

// envelopes decodes each item; places tells where each one stood.
func (x *exchange) envelopes(items []json.RawMessage) (results []BatchItemResult, envelopes [][]byte, places []int) {
	results = make([]BatchItemResult, len(items))
	for i, raw := range items {
		var text string
		envelope := []byte(nil)
		err := json.Unmarshal(raw, &text)
		if err == nil {
			envelope, err = base64.StdEncoding.DecodeString(text)
		}
		if err != nil {
			results[i].Problem = x.itemProblem(&custody.InvalidError{Problems: []intake.Problem{{Pointer: "/envelope", Code: "envelope_malformed"}}})
			continue
		}
		envelopes, places = append(envelopes, envelope), append(places, i)
	}
	return results, envelopes, places
}
