package stream

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sealtrail/sealtrail/audit"
)

// Version is the version of the Open Cybersecurity Schema Framework that events
// are of.
const Version = "1.6.0"

// Classes of OCSF that entries become, by uid.
const (
	classFinding   = 2006 // Data Security Finding
	classEntity    = 3004 // Entity Management
	classLifecycle = 6002 // Application Lifecycle
	classDatastore = 6005 // Datastore Activity
)

// class is what a kind of entry is in OCSF.
type class struct {
	uid, activity int
	entity        string // for classEntity: the type of thing that was managed
}

// Event is one entry as an OCSF event. Members that OCSF has no place for are in
// Unmapped under the names that the entry format gives them.
type Event struct {
	ActivityID   int            `json:"activity_id"`
	Actor        actor          `json:"actor"`
	App          *named         `json:"app,omitempty"`
	CategoryUID  int            `json:"category_uid"`
	ClassUID     int            `json:"class_uid"`
	Entity       *named         `json:"entity,omitempty"`
	FindingInfo  *named         `json:"finding_info,omitempty"`
	Message      string         `json:"message"`
	Metadata     metadata       `json:"metadata"`
	SeverityID   int            `json:"severity_id"`
	SrcEndpoint  *named         `json:"src_endpoint,omitempty"`
	StatusCode   string         `json:"status_code,omitempty"`
	StatusID     int            `json:"status_id"`
	Table        *named         `json:"table,omitempty"`
	Time         int64          `json:"time"` // milliseconds since 1970
	TypeUID      int            `json:"type_uid"`
	Unmapped     map[string]any `json:"unmapped"`
	ActivityName string         `json:"activity_name,omitempty"` // where activity_id is 99
}

type actor struct {
	User user `json:"user"`
}

type user struct {
	Groups []named `json:"groups,omitempty"` // roles
	UID    string  `json:"uid"`              // alias of the log's year, never a name
}

// named is an object of OCSF by name, uid, title or type.
type named struct {
	Name       string `json:"name,omitempty"`
	Title      string `json:"title,omitempty"`
	Type       string `json:"type,omitempty"`
	UID        string `json:"uid,omitempty"`
	VendorName string `json:"vendor_name,omitempty"`
}

type metadata struct {
	CorrelationUID string `json:"correlation_uid,omitempty"` // request id
	EventCode      string `json:"event_code"`                // kind
	LogName        string `json:"log_name"`                  // origin of the log
	LoggedTime     int64  `json:"logged_time"`               // sequencer's clock, milliseconds since 1970
	OriginalTime   string `json:"original_time"`
	Product        named  `json:"product"`
	Sequence       uint64 `json:"sequence"` // index
	TenantUID      string `json:"tenant_uid"`
	UID            string `json:"uid"` // leaf hash, hex
	Version        string `json:"version"`
}

// Severities of OCSF.
const (
	severityInformational = 1
	severityLow           = 2
	severityHigh          = 4
)

// Statuses of OCSF.
const (
	statusSuccess = 1
	statusFailure = 2
)

const activityOther = 99

// NewEvent turns the bytes of one leaf into an event. The error wraps
// audit.ErrNotCanonical for bytes that are no leaf.
func NewEvent(leaf []byte) (*Event, error) {
	l, err := audit.ParseLeaf(leaf)
	if err != nil {
		return nil, fmt.Errorf("making an event: %w", err)
	}
	hash := audit.LeafHash(leaf)
	b := l.Body
	c := classOf(b.Kind)
	e := &Event{
		ActivityID: c.activity, CategoryUID: c.uid / 1000, ClassUID: c.uid, TypeUID: c.uid*100 + c.activity,
		Actor: actor{user{UID: b.Actor.ID}}, Message: b.Kind, SeverityID: severityInformational, StatusID: statusSuccess,
		Metadata: metadata{CorrelationUID: b.Request, EventCode: b.Kind, LogName: l.Log, LoggedTime: l.SeqAt.UnixMilli(),
			OriginalTime: b.At.UTC().Format(audit.TimeLayout), Product: named{Name: "Sealtrail", VendorName: "Sealtrail"},
			Sequence: l.Index, TenantUID: b.Institution, UID: hex.EncodeToString(hash[:]), Version: Version},
		Time: b.At.UnixMilli(), Unmapped: unmapped(&l),
	}
	for _, role := range b.Actor.Roles {
		e.Actor.User.Groups = append(e.Actor.User.Groups, named{Name: role})
	}
	e.object(c, &b)
	if c.activity == activityOther {
		e.ActivityName = b.Kind
	}
	if d := b.Decision; d != nil && d.Result == audit.ResultDeny {
		e.SeverityID, e.StatusID, e.StatusCode = severityLow, statusFailure, d.Reason
	}
	if c.uid == classFinding {
		e.SeverityID = severityHigh
	}
	return e, nil
}

// object sets what the class requires of the thing acted on.
func (e *Event) object(c class, b *audit.Body) {
	switch c.uid {
	case classFinding:
		what, _ := b.Facts.Text("what")
		e.FindingInfo = &named{Title: strings.TrimSuffix(b.Kind+": "+what, ": "), UID: e.Metadata.UID}
	case classEntity:
		e.Entity = &named{Type: c.entity, UID: b.Subject}
	case classLifecycle:
		e.App = &named{Name: "sealtraild", VendorName: "Sealtrail"}
	case classDatastore:
		kind, id, _ := strings.Cut(b.Subject, ":")
		e.Table = &named{Name: kind, UID: id}
		e.SrcEndpoint = &named{Name: b.Net}
		if b.Net == "" {
			e.SrcEndpoint.Name = "service"
		}
	}
}

// unmapped are the members of the entry that OCSF has no place for.
func unmapped(l *audit.Leaf) map[string]any {
	b := &l.Body
	m := map[string]any{"stage": string(b.Stage), "subject": b.Subject, "trail_n": l.TrailN, "entry": l.ID}
	set := func(name, value string) {
		if value != "" {
			m[name] = value
		}
	}
	set("purpose", b.Purpose)
	set("auth", b.Actor.Auth)
	set("on_behalf", b.Actor.OnBehalf)
	if len(b.Fields) > 0 {
		m["fields"] = b.Fields
	}
	if len(b.Facts) > 0 {
		m["facts"] = b.Facts
	}
	if b.Revision > 0 {
		m["revision"] = b.Revision
	}
	if b.Sim {
		m["sim"] = true
	}
	if d := b.Decision; d != nil {
		set("decision", d.Result)
		set("rule", d.Rule)
		set("article", d.Article)
		set("bundle", d.Bundle)
		set("decision_id", d.ID)
	}
	return m
}

// JSON is the event as it is sent: one line.
func (e *Event) JSON() ([]byte, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encoding an event: %w", err)
	}
	return raw, nil
}

// isFinding tells by an encoded event whether somebody must look at it.
func isFinding(event []byte) bool {
	var e struct {
		ClassUID int `json:"class_uid"`
	}
	return json.Unmarshal(event, &e) == nil && e.ClassUID == classFinding
}
