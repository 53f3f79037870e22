package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Call is one line of Vault's audit file that concerns keys or audit devices.
// All values that could be secret are Vault's own HMACs of them.
type Call struct {
	Time   time.Time
	ID     string // Vault's id of the request
	Op     string // decrypt, encrypt, rewrap, hmac, sign, key, device
	Key    string // name of the key, with its institution; of a device its path
	Verb   string // of op key: what was done to it (config, rotate, trim, export, ...)
	Role   string // AppRole that the caller logged in with; empty: none
	Batch  string // correlation id: a hint
	Items  []Item
	Failed bool   // Vault refused it as a whole
	Line   string // SHA-256 of the line, the evidence
}

// Item is one input of a call.
type Item struct {
	Context string // HMAC of the base64 context; empty: none
	Input   string // of hmac: HMAC of the base64 input
}

// errNotAudit is wrapped by errors about lines that are no audit lines.
var errNotAudit = errors.New("no line of an audit file")

// line is what is read of an audit line.
type line struct {
	Time  time.Time `json:"time"`
	Type  string    `json:"type"`
	Error string    `json:"error"`
	Auth  struct {
		DisplayName string            `json:"display_name"`
		Metadata    map[string]string `json:"metadata"`
	} `json:"auth"`
	Request struct {
		ID         string              `json:"id"`
		Operation  string              `json:"operation"`
		Path       string              `json:"path"`
		MountPoint string              `json:"mount_point"`
		MountType  string              `json:"mount_type"`
		Headers    map[string][]string `json:"headers"`
		Data       json.RawMessage     `json:"data"`
	} `json:"request"`
}

type lineData struct {
	Batch []struct {
		Context string `json:"context"`
		Input   string `json:"input"`
	} `json:"batch_input"`
	Context string `json:"context"`
	Input   string `json:"input"`
}

// ParseLine reads one line of a file audit device, without its line end. ok is
// false for lines that concern no transit key and no audit device, and for the
// first line of each pair: what was asked stands in the answer's line again. The
// error says that it is no such line; it holds nothing of it.
func ParseLine(raw []byte) (c Call, ok bool, err error) {
	var l line
	if json.Unmarshal(raw, &l) != nil || l.Type != "request" && l.Type != "response" || l.Time.IsZero() {
		return c, false, errNotAudit
	}
	sum := sha256.Sum256(raw)
	c = Call{Time: l.Time.UTC(), ID: l.Request.ID, Failed: l.Error != "", Line: hex.EncodeToString(sum[:])}
	if l.Auth.DisplayName == "approle" { // of a token that was made by hand it begins with "token"
		c.Role = l.Auth.Metadata["role_name"]
	}
	if batch := l.Request.Headers["x-correlation-id"]; len(batch) > 0 {
		c.Batch = batch[0]
	}
	writes := l.Request.Operation == "update" || l.Request.Operation == "create" || l.Request.Operation == "delete" || l.Request.Operation == "patch"
	if device, found := strings.CutPrefix(l.Request.Path, "sys/audit/"); found && writes {
		// The answer to a disabling is not written any more: the question tells.
		c.Op, c.Key = "device", device
		return c, l.Type == "request", nil
	}
	if l.Type != "response" || l.Request.MountType != "transit" {
		return c, false, nil
	}
	return c, c.transit(&l, writes), nil
}

// transit fills in a call to the transit engine; false if it uses no key.
func (c *Call) transit(l *line, writes bool) bool {
	parts := strings.Split(strings.TrimPrefix(l.Request.Path, l.Request.MountPoint), "/")
	if len(parts) < 2 {
		return false
	}
	c.Op, c.Key = parts[0], parts[1]
	switch parts[0] {
	case "decrypt", "encrypt", "rewrap", "hmac":
		return c.items(l.Request.Data)
	case "sign":
		c.Items = []Item{{}}
		return true
	case "keys":
		c.Op = "key"
		if len(parts) == 2 {
			c.Verb = map[bool]string{true: "make", false: "read"}[writes]
			if l.Request.Operation == "delete" {
				c.Verb = "delete"
			}
			return c.Verb != "read"
		}
		c.Verb = parts[2]
		return true
	case "verify", "cache-config", "random", "hash", "wrapping_key":
		return false
	}
	// export, backup, byok-export, restore, import, datakey, ...: the key is the
	// last part of the path, or the one before.
	c.Op, c.Verb = "key", parts[0]
	if parts[0] != "backup" && parts[0] != "restore" && len(parts) > 2 {
		c.Key = parts[2]
	}
	return true
}

func (c *Call) items(data json.RawMessage) bool {
	var d lineData
	if len(data) > 0 && json.Unmarshal(data, &d) != nil {
		return true // it is a use all the same, of no item that anybody accounts for
	}
	for _, it := range d.Batch {
		c.Items = append(c.Items, Item{it.Context, it.Input})
	}
	if len(c.Items) == 0 { // the form for a single one, which the service never uses
		c.Items = []Item{{d.Context, d.Input}}
	}
	return true
}
