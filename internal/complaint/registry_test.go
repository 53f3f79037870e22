package complaint

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRegistryHoldsTheFixedVocabulary pins the sets that other packages, Rego
// and the log depend on. Taking a word away breaks entries already written.
func TestRegistryHoldsTheFixedVocabulary(t *testing.T) {
	t.Parallel()
	v := Registry()
	for set, want := range map[string]string{
		"role":        "intake handler head quality compliance approver records legal custodian sysadmin secadmin auditadmin auditor dpo liaison analyst portal application keeper",
		"purpose":     "handle approve quality audit subject_request regulator_report legal incident breakglass keeping",
		"action":      "create read list reveal search amend transition trail report log people grant_request grant_review breakglass_open breakglass_review keep keys hold hold_release erase_request erase_approve disclose_request disclose_approve disclose leave_request leave_approve leave evidence looked investigate investigate_approve",
		"level":       "unclassified general serious major",
		"stage":       "open closed restricted archived",
		"sensitivity": "ordinary whistle privileged",
		"fact":        "fit implicated assigned unit cleared granted breakglass held retained seconded",
		"group":       "meta identity contact account narrative respondent handling decision amount feedback whistle",
		"type":        "service product process system external",
		"state":       "recorded accepted refused classified dept_received reviewing investigating plan_proposed plan_approved decided notified closed review_requested review_decided withdrawn archived restricted erased",
		"entry_stage": "intent outcome event",
		"decision":    "allow deny",
		"index_kind":  "phone id_number card account email staff_id",
	} {
		if diff := cmp.Diff(strings.Fields(want), v.Allowed(set)); diff != "" {
			t.Errorf("set %s (-want +got):\n%s", set, diff)
		}
	}
	events := "access.checked access.denied access.disclosed access.evidence access.file access.integrity access.list access.log access.looked access.read " +
		"access.report access.result access.reveal access.search access.trail alias.erased backup.made breakglass.closed breakglass.opened " +
		"breakglass.reviewed breakglass.used bundle.activated calendar.loaded clock.skew complaint.accepted complaint.amended complaint.archived " +
		"complaint.assigned complaint.classified complaint.closed complaint.decided complaint.dept_received complaint.extended complaint.file_added " +
		"complaint.first_response complaint.notified complaint.plan_approved complaint.plan_proposed complaint.reclassified complaint.recorded " +
		"complaint.refused complaint.restricted complaint.restriction_lifted complaint.review_decided complaint.review_done complaint.review_requested " +
		"complaint.review_started complaint.withdrawn confirmation_letter.sent contact.logged definitions.loaded disclosure.approved disclosure.confirmed " +
		"disclosure.produced disclosure.refused disclosure.requested duty.appointed duty.ended erasure.approved erasure.irrecoverable erasure.kept " +
		"erasure.reduced erasure.refused erasure.requested erasure.shredded grant.expired grant.issued grant.refused grant.requested grant.revoked " +
		"hold.placed hold.release_asked hold.released index.epoch_dropped index.epoch_opened index.epoch_switched intake.c3_refused intake.ingested " +
		"intake.key_made investigation.approved investigation.closed investigation.refused investigation.requested key.config_alarm key.config_changed " +
		"key.epoch_closed key.epoch_confirmed key.epoch_proposed key.epoch_withdrawn key.leases_voided key.rewrapped key.rotated log.closed log.opened " +
		"log.retained mirror.behind mirror.recovered node.accepted norm.adopted outage.began outage.ended person.added person.changed policy.replayed population.checked " +
		"population.difference query.deleted query.saved reconciliation.alarm reconciliation.made record.lost record.reindexed record.resealed " +
		"record.scrubbed record.stale satisfaction.recorded service.started source.reported stream.state suite.chosen time.stamped trail.heads " +
		"trail.health trail.rebuilt trail.verified trail.violation training.passed transfer.received undertaking.signed witness.recovered witness.split " +
		"witness.stale"
	if diff := cmp.Diff(strings.Fields(events), v.EventsOf("")); diff != "" {
		t.Errorf("event kinds (-want +got):\n%s", diff)
	}
}

func TestEveryWordHasTwoLabels(t *testing.T) {
	t.Parallel()
	v := Registry()
	han := regexp.MustCompile(`\p{Han}`)
	check := func(where string, it Item) {
		if it.ID == "" || !han.MatchString(it.ZH) || it.EN == "" || han.MatchString(it.EN) {
			t.Errorf("%s: %q lacks a Chinese or an English label", where, it.ID)
		}
	}
	for set, items := range v.Sets {
		ids := v.Allowed(set)
		if len(slices.Compact(slices.Sorted(slices.Values(ids)))) != len(ids) {
			t.Errorf("set %s has a word twice", set)
		}
		for _, it := range items {
			check("set "+set, it)
			if !v.Has(set, it.ID) || v.Has(set, it.ID+"x") {
				t.Errorf("set %s: Has is wrong for %s", set, it.ID)
			}
		}
	}
	for _, e := range v.Events {
		check("event", e.Item)
	}
	for _, r := range v.Reasons {
		check("reason", r.Item)
		if !slices.Contains([]string{"validation", "intake", "lifecycle"}, r.Area) {
			t.Errorf("reason %s has area %q", r.ID, r.Area)
		}
	}
	for _, tr := range v.Transitions {
		check("transition", Item{tr.Name, tr.ZH, tr.EN})
	}
}

// TestEveryC3KindHasAReason: intake answers "c3_" + kind.
func TestEveryC3KindHasAReason(t *testing.T) {
	t.Parallel()
	for _, kind := range Registry().Allowed("c3_kind") {
		if _, ok := Registry().Reason("c3_" + kind); !ok {
			t.Errorf("c3_%s is no reason", kind)
		}
	}
}

func TestCatalogueFitsTheRegistry(t *testing.T) {
	t.Parallel()
	v := Registry()
	for _, f := range Fields() {
		for set, word := range map[string]string{"group": f.Group, "mask": f.Mask, "retention_rule": f.Retention} {
			if !v.Has(set, word) {
				t.Errorf("%s: %q is not in set %s", f.Name, word, set)
			}
		}
		if f.Index != "" && !v.Has("index_kind", f.Index) {
			t.Errorf("%s: index %q is not in the registry", f.Name, f.Index)
		}
		if set, ok := strings.CutPrefix(f.Kind, "set:"); ok && len(v.Allowed(set)) == 0 {
			t.Errorf("%s: set %s is not in the registry", f.Name, set)
		}
		hidden := f.Sealed != f.Stream // a field is one of the two, or clear
		if f.Sealed && f.Stream || (f.Group == GroupMeta) == hidden || (f.Class == ClassC2) != hidden || f.MaxLength <= 0 || f.Article == "" || f.ZH == "" || f.EN == "" {
			t.Errorf("%s: everything but meta is class C2 and sealed, with length, article and labels", f.Name)
		}
		if f.Sealed && (f.Mask == "none" || f.Pad == 0) || !f.Sealed && f.Index != "" {
			t.Errorf("%s: a sealed field is masked and padded, only sealed fields have an index", f.Name)
		}
	}
}

// TestCatalogueGroups pins which field belongs to which group: the policy
// decides by group, so moving a field is a change of access.
func TestCatalogueGroups(t *testing.T) {
	t.Parallel()
	for group, want := range map[string]string{
		"meta": "complaint_no received_at channel source state stage level type business_code product_code reason_code branch department assignee " +
			"third_party regulator_ref referral group_flag party_type id_type amount_band retention_until legal_hold",
		"identity":   "complainant_name representative_name id_number birth_date address",
		"contact":    "phone email",
		"account":    "bank_card account_no transactions",
		"narrative":  "narrative demand attachments recordings",
		"respondent": "respondent_staff_id respondent_name",
		"handling":   "contact_notes findings plan",
		"decision":   "decision_text",
		"amount":     "amount_claimed amount_paid",
		"feedback":   "satisfaction_reason",
		"whistle":    "whistle_report",
	} {
		var got []string
		for _, f := range FieldsOf(group) {
			got = append(got, f.Name)
		}
		slices.Sort(got)
		if diff := cmp.Diff(slices.Sorted(slices.Values(strings.Fields(want))), got); diff != "" {
			t.Errorf("group %s (-want +got):\n%s", group, diff)
		}
	}
	indexed := map[string]string{}
	for _, f := range IndexedFields() {
		indexed[f.Name] = f.Index
	}
	if diff := cmp.Diff(map[string]string{
		"phone": "phone", "id_number": "id_number", "bank_card": "card", "account_no": "account", "email": "email", "respondent_staff_id": "staff_id",
	}, indexed); diff != "" {
		t.Errorf("indexed fields (-want +got):\n%s", diff)
	}
	if len(SealedFields()) != 22 || CatalogueVersion() != 1 {
		t.Errorf("got %d sealed fields in version %d, want 22 in version 1", len(SealedFields()), CatalogueVersion())
	}
}

func TestParsersRefuseBrokenFiles(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", `{"verion": 1}`, `{"version": "one"}`} {
		if _, err := parseRegistry([]byte(text)); err == nil {
			t.Errorf("registry %q was taken", text)
		}
		if _, err := parseCatalogue([]byte(text)); err == nil {
			t.Errorf("catalogue %q was taken", text)
		}
	}
	if _, err := parseCatalogue([]byte(`{"version":1,"fields":[{"name":"a"},{"name":"a"}]}`)); err == nil {
		t.Error("a field that stands twice was taken")
	}
}

func TestSharedDataCannotBeChangedThroughAccessors(t *testing.T) {
	t.Parallel()
	Fields()[0].Name = "changed"
	Registry().Allowed("role")[0] = "changed"
	RegistryJSON()[0] = 'x'
	CatalogueJSON()[0] = 'x'
	if Fields()[0].Name == "changed" || Registry().Allowed("role")[0] == "changed" || RegistryJSON()[0] == 'x' || CatalogueJSON()[0] == 'x' {
		t.Error("a caller changed the vocabulary")
	}
}

func TestCheckMemberListsWhatIsAllowed(t *testing.T) {
	t.Parallel()
	if err := CheckMember("purpose", "handle"); err != nil {
		t.Errorf("a member was refused: %v", err)
	}
	err := CheckMember("stage", "canary7731")
	if err == nil || !strings.Contains(err.Error(), "open, closed, restricted, archived") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v, want the allowed values and not the given one", err)
	}
}
