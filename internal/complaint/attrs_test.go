package complaint

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func sampleAttrs() Attrs {
	at := time.Date(2026, 11, 23, 1, 2, 3, 456789000, time.UTC)
	return Attrs{
		SchemaVersion: 1, ComplaintNo: "TS-0123456789", Source: "app", SourceID: "A-1", State: "recorded", Stage: "open",
		Level: "general", Sensitivity: "ordinary", Type: "service", Channel: "phone", Business: "loan", Product: "mortgage",
		Reason: "pricing", Assignee: "p-1", Department: "loans", Branch: "b001", Referral: "none", RegulatorRef: "r", ThirdParty: "t",
		PartyType: "self", IDType: "resident_id", AmountBand: "lt_1k", GroupFlag: true, UnderReview: true, ReceivedAt: at,
		ReceivedEvidence: "typed", Milestones: map[string]time.Time{"complaint.accepted": at, "complaint.recorded": at},
		Holds: []string{"h1", "h2"}, RetentionUntil: at, RespondentTokens: [][]byte{{1}, {2}}, DataSubjectToken: []byte{3},
		EarlierHandlers: []string{"p-2", "p-3"}, Actors: map[string]string{"propose": "p-1"}, ExtensionDays: map[string]int{"L-15": 15},
		Files: []File{
			{ID: "f-1", Field: "attachments", Generation: 1, MediaType: "application/pdf", Size: 10, SHA256: "aa"},
			{ID: "f-2", Field: "recordings", Generation: 1, MediaType: "audio/wav", Size: 20, SHA256: "bb"},
		},
		ErasedGroups: []string{"feedback", "narrative"}, RestrictedFrom: "closed", RetentionReason: "complaint_3y",
	}
}

// TestCanonicalIsStable pins the layout: a change of these bytes makes every
// stored manifest an integrity error, so it takes a new label and a migration.
func TestCanonicalIsStable(t *testing.T) {
	t.Parallel()
	a := sampleAttrs()
	sum := sha256.Sum256(a.Canonical())
	const want = "e340bf0516dcacf63ee6a4a525b9fe7a29ef700fa1aeb0741c999757e64501f8"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("sha256 of the canonical attributes: got %s, want %s", got, want)
	}
}

// TestEveryAttributeIsCovered changes one attribute after the other, found by
// reflection so that a new one cannot be forgotten.
func TestEveryAttributeIsCovered(t *testing.T) {
	t.Parallel()
	base := sampleAttrs()
	typ := reflect.TypeOf(base)
	for i := range typ.NumField() {
		changed := sampleAttrs()
		f := reflect.ValueOf(&changed).Elem().Field(i)
		switch v := f.Interface().(type) {
		case string:
			f.SetString(v + "x")
		case bool:
			f.SetBool(!v)
		case uint32:
			f.SetUint(uint64(v) + 1)
		case time.Time:
			f.Set(reflect.ValueOf(v.Add(time.Microsecond)))
		case []string:
			f.Set(reflect.ValueOf(append(v, "x")))
		case []byte:
			f.SetBytes(append(v, 9))
		case [][]byte:
			f.Set(reflect.ValueOf(append(v, []byte{9})))
		case []File:
			changeEachPart(t, &base, v)
			f.Set(reflect.ValueOf(append(v, File{ID: "f-9"})))
		case map[string]time.Time:
			v["complaint.accepted"] = v["complaint.accepted"].Add(time.Microsecond)
		case map[string]string:
			v["approve"] = "p-9"
		case map[string]int:
			v["L-15"]++
		default:
			t.Fatalf("%s: type %s is not tried here", typ.Field(i).Name, f.Type())
		}
		if base.Equal(&changed) {
			t.Errorf("a change of %s leaves the canonical bytes as they are", typ.Field(i).Name)
		}
		f.SetZero()
		if base.Equal(&changed) {
			t.Errorf("taking %s away leaves the canonical bytes as they are", typ.Field(i).Name)
		}
	}
}

// changeEachPart changes one part of a file's description after the other.
func changeEachPart(t *testing.T, base *Attrs, files []File) {
	t.Helper()
	for i := range reflect.TypeFor[File]().NumField() {
		changed := *base
		changed.Files = slices.Clone(files)
		switch f := reflect.ValueOf(&changed.Files[0]).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString(f.String() + "x")
		case reflect.Uint32:
			f.SetUint(f.Uint() + 1)
		case reflect.Int64:
			f.SetInt(f.Int() + 1)
		default:
			t.Fatalf("part %d of a file is not tried here", i)
		}
		if base.Equal(&changed) {
			t.Errorf("a change of %s of a file leaves the canonical bytes as they are", reflect.TypeFor[File]().Field(i).Name)
		}
	}
}

// TestOldRowsKeepTheirBytes: a record without any attribute of version 2 has the
// very bytes that it had before there was a version 2.
func TestOldRowsKeepTheirBytes(t *testing.T) {
	t.Parallel()
	old := sampleAttrs()
	old.Files, old.ErasedGroups, old.RestrictedFrom, old.RetentionReason = nil, nil, "", ""
	sum := sha256.Sum256(old.Canonical())
	const want = "e3e4c85b250003e270d185015947b9a685d94380a768a58948bf5cef2901fd88"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("sha256 of the canonical attributes of version 1: got %s, want %s", got, want)
	}
}

func TestCanonicalForgetsOrderAndNil(t *testing.T) {
	t.Parallel()
	a, b := sampleAttrs(), sampleAttrs()
	slices.Reverse(b.Holds)
	slices.Reverse(b.RespondentTokens)
	slices.Reverse(b.EarlierHandlers)
	slices.Reverse(b.Files)
	slices.Reverse(b.ErasedGroups)
	b.ReceivedAt = b.ReceivedAt.In(time.FixedZone("x", 8*3600)).Add(300 * time.Nanosecond)
	if !a.Equal(&b) {
		t.Error("order, zone or nanoseconds change the canonical bytes")
	}
	empty := Attrs{Milestones: map[string]time.Time{}, Holds: []string{}, RespondentTokens: [][]byte{}, DataSubjectToken: []byte{}, Actors: map[string]string{},
		Files: []File{}, ErasedGroups: []string{}}
	if !empty.Equal(&Attrs{}) {
		t.Error("empty and nil differ")
	}
	epoch := Attrs{ReceivedAt: time.Unix(0, 0)}
	if epoch.Equal(&Attrs{}) {
		t.Error("1970 passes as no time")
	}
}

// TestCanonicalIsInjective: two values that run into each other when simply
// joined stay apart.
func TestCanonicalIsInjective(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringN(0, 3, -1)
		a, b := Attrs{}, Attrs{}
		a.Source, a.SourceID, a.Holds = word.Draw(t, "a1"), word.Draw(t, "a2"), rapid.SliceOfN(word, 0, 3).Draw(t, "a3")
		b.Source, b.SourceID, b.Holds = word.Draw(t, "b1"), word.Draw(t, "b2"), rapid.SliceOfN(word, 0, 3).Draw(t, "b3")
		set := func(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }
		same := a.Source == b.Source && a.SourceID == b.SourceID && slices.Equal(set(a.Holds), set(b.Holds))
		if a.Equal(&b) != same {
			t.Fatal("different attributes have the same canonical bytes, or the same ones differ")
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	a := sampleAttrs()
	b.ReportAllocs()
	for b.Loop() {
		_ = a.Canonical()
	}
}

// TestCanonicalExample is the example of docs/formats/attrs.md.
func TestCanonicalExample(t *testing.T) {
	t.Parallel()
	a := Attrs{SchemaVersion: 1, Source: "app", SourceID: "A-1", Holds: []string{"h2", "h1"}}
	got := hex.EncodeToString(a.Canonical())
	empty := func(n int) string { return strings.Repeat("00000000", n) }
	want := "00000012" + "7365616c747261696c2f61747472732f7631" + "000000080000000000000001" + empty(1) + "00000003617070" + "00000003412d31" +
		empty(18) + "000000080000000000000000" + "000000080000000000000000" + empty(3) + "0000000c" + "000000026831" + "000000026832" + empty(6)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
