package evidence

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/sealtrail/sealtrail/audit"
)

// The wire types have their members in the order of RFC 8785: what encoding/json writes of them is canonical.

type wireBundle struct {
	Actors      []wireActor       `json:"actors,omitempty"`
	Consistency []wireConsistency `json:"consistency,omitempty"`
	Format      string            `json:"format"`
	Heads       []wireHead        `json:"heads,omitempty"`
	Institution string            `json:"institution"`
	Items       []wireItem        `json:"items,omitempty"`
	Logs        []wireLog         `json:"logs"`
	MadeAt      string            `json:"made_at"`
	Openings    []wireOpening     `json:"openings,omitempty"`
	Query       *wireQuery        `json:"query,omitempty"`
	Scope       string            `json:"scope"`
	Stamps      []wireStamp       `json:"stamps,omitempty"`
	Subject     *string           `json:"subject,omitempty"`
}

type wireActor struct {
	Alias string `json:"alias"`
	Name  string `json:"name"`
}

type wireConsistency struct {
	From uint64   `json:"from"`
	Log  uint64   `json:"log"`
	Path []string `json:"path"`
}

type wireHead struct {
	Index   uint64     `json:"index"`
	Last    string     `json:"last"`
	Log     uint64     `json:"log"`
	N       uint64     `json:"n"`
	Other   *wireOther `json:"other,omitempty"`
	Path    []string   `json:"path"`
	Subject string     `json:"subject"`
}

type wireOther struct {
	Key  string `json:"key"`
	Last string `json:"last"`
	N    uint64 `json:"n"`
}

type wireItem struct {
	Index  uint64  `json:"index"`
	Leaf   string  `json:"leaf"`
	Log    uint64  `json:"log"`
	Part   string  `json:"part"`
	Reason *string `json:"reason,omitempty"`
	State  string  `json:"state"`
}

type wireLog struct {
	Key    string `json:"key"`
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Year   uint64 `json:"year"`
}

type wireOpening struct {
	Index  uint64     `json:"index"`
	Log    uint64     `json:"log"`
	Path   string     `json:"path"`
	Proof  *wirePlace `json:"proof,omitempty"`
	Reason *string    `json:"reason,omitempty"`
	Salt   *string    `json:"salt,omitempty"`
	State  string     `json:"state"`
	Value  *string    `json:"value,omitempty"`
}

type wirePlace struct {
	Index uint64 `json:"index"`
	Log   uint64 `json:"log"`
}

type wireQuery struct {
	Log  uint64 `json:"log"`
	Size uint64 `json:"size"`
	Text string `json:"text"`
}

type wireStamp struct {
	Log  uint64 `json:"log"`
	Size uint64 `json:"size"`
}

// marshal writes JSON without the escapes for HTML, which RFC 8785 does not have, and puts U+2028 and U+2029 as themselves.
func (w *wireBundle) marshal() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(w); err != nil {
		return nil, fmt.Errorf("writing evidence.json: %w", err)
	}
	return lineSeparators(bytes.TrimSuffix(out.Bytes(), []byte("\n"))), nil
}

// lineSeparators undoes the one escape that encoding/json makes and RFC 8785 does not. An even number of backslashes before it is text.
func lineSeparators(b []byte) []byte {
	if !bytes.Contains(b, []byte(`\u202`)) {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		switch rest := b[i:]; {
		case bytes.HasPrefix(rest, []byte(`\u2028`)):
			out, i = append(out, "\u2028"...), i+5
		case bytes.HasPrefix(rest, []byte(`\u2029`)):
			out, i = append(out, "\u2029"...), i+5
		default:
			out, i = append(out, b[i], b[i+1]), i+1
		}
	}
	return out
}

func hexes(path [][32]byte) []string {
	out := make([]string, len(path))
	for i, h := range path {
		out[i] = hex.EncodeToString(h[:])
	}
	return out
}

func (b *Bundle) wire() *wireBundle {
	w := &wireBundle{Format: Format, Institution: b.Institution, MadeAt: b.MadeAt.UTC().Format(audit.TimeLayout), Scope: b.Scope()}
	if b.Query != nil {
		w.Query = &wireQuery{Log: uint64(b.Query.Log), Size: b.Query.Size, Text: b.Query.Text}
	} else {
		w.Subject = &b.Subject
	}
	for _, l := range b.Logs {
		w.Logs = append(w.Logs, wireLog{Key: l.Key, Origin: l.Origin, Size: l.Size, Year: uint64(l.Year)})
	}
	for i := range b.Items {
		x := &b.Items[i]
		item := wireItem{Index: x.Index, Leaf: hex.EncodeToString(x.Hash[:]), Log: uint64(x.Log), Part: x.Part, State: string(x.State)}
		if x.State == Withheld {
			item.Reason = &x.Reason
		}
		w.Items = append(w.Items, item)
	}
	for _, h := range b.Heads {
		w.Heads = append(w.Heads, h.wire())
	}
	for i := range b.Openings {
		w.Openings = append(w.Openings, b.Openings[i].wire())
	}
	for _, c := range b.Consistency {
		w.Consistency = append(w.Consistency, wireConsistency{From: c.From, Log: uint64(c.Log), Path: hexes(c.Path)})
	}
	for _, s := range b.Stamps {
		w.Stamps = append(w.Stamps, wireStamp{Log: uint64(s.Log), Size: s.Size})
	}
	for _, a := range b.Actors {
		w.Actors = append(w.Actors, wireActor(a))
	}
	return w
}

func (h *Head) wire() wireHead {
	w := wireHead{Index: h.Index, Log: uint64(h.Log), N: h.N, Path: hexes(h.Path), Subject: h.Subject}
	if h.N > 0 {
		w.Last = hex.EncodeToString(h.Last[:])
	}
	if o := h.Other; o != nil {
		w.Other = &wireOther{Key: hex.EncodeToString(o.Key[:]), Last: hex.EncodeToString(o.Last[:]), N: o.N}
	}
	return w
}

func (o *Opening) wire() wireOpening {
	w := wireOpening{Index: o.Index, Log: uint64(o.Log), Path: o.Path, State: string(o.State)}
	switch o.State {
	case Disclosed:
		salt := hex.EncodeToString(o.Salt[:])
		w.Salt, w.Value = &salt, &o.Value
	case Withheld:
		w.Reason = &o.Reason
	case Erased:
		if o.Proof != nil {
			w.Proof = &wirePlace{Index: o.Proof.Index, Log: uint64(o.Proof.Log)}
		}
	case Missing:
	}
	return w
}
