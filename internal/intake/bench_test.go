package intake

import (
	"bytes"
	"encoding/json"
	"testing"
)

// BenchmarkValidate is one generated complaint, cleaned and validated.
func BenchmarkValidate(b *testing.B) {
	var drafts []Draft
	for d := range Generate(GeneratorConfig{Seed: 1, Count: 64, End: testNow}) {
		drafts = append(drafts, d)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if problems := Validate(Clean(drafts[i%len(drafts)]), testNow); problems != nil {
			b.Fatal(codes(problems))
		}
	}
}

// BenchmarkJSONLines is reading, decoding and validating one complaint.
func BenchmarkJSONLines(b *testing.B) {
	var file bytes.Buffer
	for d := range Generate(GeneratorConfig{Seed: 1, Count: 256, End: testNow}) {
		data, err := json.Marshal(d)
		if err != nil {
			b.Fatal(err)
		}
		file.Write(append(data, '\n'))
	}
	b.SetBytes(int64(file.Len() / 256))
	b.ReportAllocs()
	for left := b.N; left > 0; {
		for _, err := range JSONLines(bytes.NewReader(file.Bytes()), Options{Now: testNow}) {
			if err != nil {
				b.Fatal(err)
			}
			if left--; left == 0 {
				break
			}
		}
	}
}
