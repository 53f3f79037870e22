package verifypage_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/sealtrail/sealtrail/audit"
	"github.com/sealtrail/sealtrail/audit/audittest"
)

// sample is a small log of our own and the bundle of one complaint's trail in it: for the tests that look at the page rather than
// at the verdicts.
type sample struct {
	log   *audittest.Log
	files map[string][]byte
	ev    map[string]any
}

const complaintSubject = "complaint:7d0c1b5e-2f60-4d4e-9a57-0c9d1f3b8a21"

var salt = [16]byte{7}

func newSample(t *testing.T) *sample {
	t.Helper()
	l := audittest.New(audittest.Config{Witness: true})
	bundle := l.PutBlob([]byte("a policy bundle"))
	decision := func(result, rule, article, reason string) *audit.DecisionRef {
		return &audit.DecisionRef{Result: result, Rule: rule, Article: article, Reason: reason, Bundle: bundle, ID: "d-1"}
	}
	body := func(i int, kind string, stage audit.Stage, subject string) audit.Body {
		b := audittest.Body(i)
		return audit.Body{Institution: "demo", At: b.At.Add(time.Duration(i) * time.Hour), Stage: stage, Kind: kind, Subject: subject, Nonce: b.Nonce,
			Actor: audit.Actor{ID: "p-0007", Roles: []string{"handler"}, Auth: "oidc"}, Purpose: "handle", Request: fmt.Sprintf("req-%d", i)}
	}
	activated := body(0, "bundle.activated", audit.StageEvent, "charter:bundle")
	activated.Facts = audit.Facts{"sequence": 1, "digest": bundle}
	recorded := body(1, "complaint.recorded", audit.StageEvent, complaintSubject)
	recorded.Facts = audit.Facts{"channel": "phone", "level": "general", "source": "feedback", "received_at": "2026-01-01T08:00:00.000000Z"}
	recorded.Commit = map[string]string{"assignee": audit.Commit("assignee", salt, []byte("信用卡部 <b>王</b>")), "reason": audit.Commit("reason", salt, []byte("x")),
		"note": audit.Commit("note", salt, []byte("y"))}
	reveal := body(2, "access.reveal", audit.StageIntent, complaintSubject)
	reveal.Decision, reveal.Fields = decision("allow", "R3", "6.1.3", ""), []string{"id_number", "phone"}
	result := body(2, "access.result", audit.StageOutcome, "request:req-2")
	result.Facts = audit.Facts{"outcome": "answered", "intents": []string{"e3"}}
	denied := body(4, "access.denied", audit.StageEvent, complaintSubject)
	denied.Decision, denied.Actor.ID, denied.Actor.Roles, denied.Purpose = decision("deny", "R14", "6.1.14", "quality_redacted_only"), "p-0019", []string{"quality"}, "quality"
	erasure := func(i int, kind, by string) audit.Body {
		b := body(i, kind, audit.StageEvent, complaintSubject)
		b.Actor.ID, b.Facts = by, audit.Facts{"erasure": "er-1", "basis": "retention_expired"}
		return b
	}
	asked, approved, shredded := erasure(5, "erasure.requested", "p-1"), erasure(6, "erasure.approved", "p-2"), erasure(7, "erasure.shredded", "p-3")
	shredded.Facts["requested_by"], shredded.Facts["approved_by"] = "p-1", "p-2"
	all := []audit.Body{activated, recorded, reveal, result, denied, asked, approved, shredded}
	l.Append(all...)

	heads := &audit.Heads{}
	last := map[string]audit.Head{}
	for i := range all {
		h := last[all[i].Subject]
		h = audit.Head{Key: audit.HeadKey(all[i].Subject), N: h.N + 1, Last: audit.LeafHash(l.Leaf(uint64(i)))}
		if last[all[i].Subject] = h; audit.InHeads(all[i].Subject) {
			heads.Set(h)
		}
	}
	root := heads.Root()
	headsBody := body(8, audit.HeadsKind, audit.StageEvent, audit.HeadsSubject)
	headsBody.Facts = audit.Facts{"origin": l.Origin(), "size": 8, "trails": heads.Len(), "root": hex.EncodeToString(root[:])}
	l.Append(headsBody)

	s := &sample{log: l, files: map[string][]byte{"README.txt": []byte("see verify.html\n"), "verify.html": []byte("<!doctype html>"),
		"log/0/checkpoint": l.Checkpoint(), audit.BlobPath(bundle): []byte("a policy bundle")}}
	parts := []string{"policy", "trail", "trail", "outcome", "trail", "trail", "trail", "trail", "heads"}
	var items []any
	for i, part := range parts {
		hash := audit.LeafHash(l.Leaf(uint64(i)))
		item := map[string]any{"log": 0, "index": i, "part": part, "state": "disclosed", "leaf": hex.EncodeToString(hash[:])}
		if i == 4 {
			item["state"], item["reason"] = "withheld", "not_granted"
		} else {
			s.files[fmt.Sprintf("log/0/entries/%d.json", i)] = l.Leaf(uint64(i))
		}
		items = append(items, item)
		s.files[fmt.Sprintf("log/0/proofs/%d.tlog-proof", i)] = s.proof(t, uint64(i))
	}
	opening := func(path, state string, more map[string]any) map[string]any {
		o := map[string]any{"log": 0, "index": 1, "path": path, "state": state}
		for k, v := range more {
			o[k] = v
		}
		return o
	}
	s.ev = map[string]any{"format": "sealtrail-evidence/v1", "institution": "demo", "made_at": "2026-01-03T00:00:00.000000Z", "scope": "trail",
		"subject": complaintSubject, "logs": []any{map[string]any{"origin": l.Origin(), "year": 2026, "key": l.VerifierKey(), "size": 9}}, "items": items,
		"heads": []any{s.head(t, heads, "charter:bundle", last), s.head(t, heads, complaintSubject, last)},
		"openings": []any{opening("assignee", "disclosed", map[string]any{"salt": hex.EncodeToString(salt[:]), "value": "信用卡部 <b>王</b>"}),
			opening("note", "erased", map[string]any{"proof": map[string]any{"log": 0, "index": 7}}), opening("reason", "withheld", map[string]any{"reason": "not_granted"})},
		"actors": []any{map[string]any{"alias": "p-0007", "name": "李雷"}}}
	return s
}

func (s *sample) proof(t *testing.T, index uint64) []byte {
	t.Helper()
	folder := s.log.Folder()
	path, err := audit.InclusionProof(index, s.log.Size(), func(level int, at uint64, width int) ([]byte, error) {
		if width == audit.TileWidth {
			width = 0
		}
		return folder[audit.TilePath(level, at, width)].Data, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Appendf(nil, "c2sp.org/tlog-proof@v1\nindex %d\n", index)
	for _, h := range path {
		out = append(append(out, base64.StdEncoding.EncodeToString(h)...), '\n')
	}
	return append(append(out, '\n'), s.log.Checkpoint()...)
}

func (s *sample) head(t *testing.T, m *audit.Heads, subject string, last map[string]audit.Head) map[string]any {
	t.Helper()
	h, proof := m.Prove(audit.HeadKey(subject))
	if h.N == 0 || h.N != last[subject].N {
		t.Fatalf("no head of %s", subject)
	}
	path := []any{}
	for _, p := range proof.Path {
		path = append(path, hex.EncodeToString(p[:]))
	}
	return map[string]any{"log": 0, "index": 8, "subject": subject, "n": h.N, "last": hex.EncodeToString(h.Last[:]), "path": path}
}

// zip packs the sample as the format wants it: every second file deflated.
func (s *sample) zip(t *testing.T) []byte {
	t.Helper()
	raw, err := json.Marshal(s.ev) // sorted names; no character here that encoding/json escapes but < and >
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"<", ">", "&"} {
		raw = bytes.ReplaceAll(raw, fmt.Appendf(nil, `\u%04x`, c[0]), []byte(c))
	}
	s.files["evidence.json"] = raw
	return packed(t, s.files)
}

func packed(t *testing.T, files map[string][]byte) []byte { return packedWith(t, files, nil) }

// packedWith alters each packed stream before the headers are made of it.
func packedWith(t *testing.T, files map[string][]byte, alter func(name string, method uint16, data []byte) []byte) []byte {
	t.Helper()
	var out, central bytes.Buffer
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		data, method := files[name], zip.Store
		if i%2 == 0 {
			var b bytes.Buffer
			w, err := flate.NewWriter(&b, flate.BestCompression)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(files[name]); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			data, method = b.Bytes(), zip.Deflate
		}
		if alter != nil {
			data = alter(name, method, slices.Clone(data))
		}
		le := binary.LittleEndian
		var common []byte // from version to length of name
		for _, v := range []uint16{20, 0, method, 0, 33} {
			common = le.AppendUint16(common, v)
		}
		for _, v := range []int{int(crc32.ChecksumIEEE(files[name])), len(data), len(files[name])} {
			common = le.AppendUint32(common, uint32(v))
		}
		common = le.AppendUint16(common, uint16(len(name)))
		offset := uint32(out.Len())
		out.WriteString("PK\x03\x04")
		out.Write(common)
		out.Write([]byte{0, 0})
		out.WriteString(name)
		out.Write(data)
		central.WriteString("PK\x01\x02\x14\x00")
		central.Write(common)
		central.Write(make([]byte, 12))
		central.Write(le.AppendUint32(nil, offset))
		central.WriteString(name)
	}
	end := []byte("PK\x05\x06\x00\x00\x00\x00")
	for range 2 {
		end = binary.LittleEndian.AppendUint16(end, uint16(len(names)))
	}
	end = binary.LittleEndian.AppendUint32(end, uint32(central.Len()))
	end = binary.LittleEndian.AppendUint32(end, uint32(out.Len()))
	out.Write(central.Bytes())
	out.Write(append(end, 0, 0))
	return out.Bytes()
}

// newOther is a log of the same name with another key.
func newOther(s *sample) *audittest.Log {
	return audittest.New(audittest.Config{Origin: s.log.Origin(), Seed: 9})
}
