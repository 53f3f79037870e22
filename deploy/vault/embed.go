// Package vaultdeploy holds the Vault policies that an operator applies, for
// Go programs that apply the same ones.
//
// One idea: the demo, the tests and an operator use the very same files, so a
// policy that works in the tests is the policy that runs.
//
// It must never know a Vault client.
package vaultdeploy

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
)

//go:embed service.hcl
var service string

//go:embed standing-deny.hcl
var standingDeny string

//go:embed operator.hcl
var operator string

//go:embed custodian-rotate.hcl
var custodianRotate string

//go:embed reconciler.hcl
var reconciler string

//go:embed custodian-trim.hcl
var custodianTrim string

// DenyPolicyName is the name under which StandingDeny is stored in Vault.
const DenyPolicyName = "sealtrail-standing-deny"

// OperatorPolicyName is the name under which Operator is stored in Vault.
const OperatorPolicyName = "sealtrail-operator"

// institutionName keeps an institution's name from being anything but a name
// where it is put into a policy or a path.
var institutionName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// maxInstitution is the longest name of an institution, in bytes: it is part of
// key names, role names and the log's origin.
const maxInstitution = 40

// CheckInstitution refuses names that are not lower-case letters, digits and
// single hyphens, starting with a letter, at most 40 bytes.
func CheckInstitution(name string) error {
	if len(name) > maxInstitution || !institutionName.MatchString(name) {
		return fmt.Errorf("institution name %q: want lower-case letters, digits and single hyphens, at most %d", name, maxInstitution)
	}
	return nil
}

// PolicyName is the name of the institution's service policy and of its AppRole.
func PolicyName(institution string) string { return "sealtrail-" + institution }

// Service is the policy of the service of one institution. The institution's
// name MUST have passed CheckInstitution.
func Service(institution string) string {
	return strings.ReplaceAll(service, "@INSTITUTION@", institution)
}

// StandingDeny is the policy that is attached to every standing token role.
func StandingDeny() string { return standingDeny }

// RotatePolicyName is the name of the institution's CustodianRotate in Vault.
// The dot keeps it apart from the policy of any institution.
func RotatePolicyName(institution string) string { return PolicyName(institution) + ".rotate" }

// TrimPolicyName is the name of the institution's CustodianTrim in Vault.
func TrimPolicyName(institution string) string { return PolicyName(institution) + ".trim" }

// ReconcilerPolicyName is the name of Reconciler in Vault, and of the AppRole of
// the institution's audit department.
func ReconcilerPolicyName(institution string) string { return PolicyName(institution) + ".reconcile" }

// Reconciler is the policy of whoever compares Vault's audit file with the log.
func Reconciler() string { return reconciler }

// CustodianRotate is the policy of a token for one new version of the record
// key. The institution's name MUST have passed CheckInstitution.
func CustodianRotate(institution string) string {
	return strings.ReplaceAll(custodianRotate, "@INSTITUTION@", institution)
}

// CustodianTrim is the policy of a token for one closing of an epoch. The
// institution's name MUST have passed CheckInstitution.
func CustodianTrim(institution string) string {
	return strings.ReplaceAll(custodianTrim, "@INSTITUTION@", institution)
}

// Operator is the policy for the length of `sealtraild institution add`.
func Operator() string { return operator }
